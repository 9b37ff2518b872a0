"""Access to a gateway node through its command server: commands, background processes and files."""

import shlex
import signal as signals
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.testbed.host.process import wait_until
from tests.testbed.node.channel import Channel
from tests.testbed.topology import EXEC_PORT, Location


class CommandError(RuntimeError):
    """A command on a node failed."""


class Place:
    """A network namespace on a node, in which commands and background processes run; None is the node's own."""

    def __init__(self, channel: Channel, log_directory: Path, netns: str | None = None) -> None:
        self.channel = channel
        self.log_directory = log_directory
        self.netns = netns

    def run(
        self,
        argv: Sequence[str] | str,
        *,
        check: bool = True,
        input: str | None = None,
        timeout_seconds: float = 60.0,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, given as arguments or as a line for bash."""
        words = ["bash", "-c", argv] if isinstance(argv, str) else list(argv)
        request: dict[str, Any] = {
            "argv": words,
            "input": input,
            "timeout_seconds": timeout_seconds,
            "env": dict(env or {}),
            "cwd": cwd,
        }
        reply = self.channel.call("run", request, netns=self.netns, busy_seconds=timeout_seconds)
        done = subprocess.CompletedProcess(words, reply["returncode"], reply["stdout"], reply["stderr"])
        if check and done.returncode:
            output = (done.stderr or done.stdout).strip()
            raise CommandError(f"{shlex.join(words)} ended with {done.returncode}: {output}")
        return done

    def spawn(
        self,
        argv: Sequence[str | Path],
        name: str,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> int:
        """Start a background process in a session of its own; its output goes to `log(name)`."""
        request = {
            "name": name,
            "argv": [str(word) for word in argv],
            "log": str(self.log(name)),
            "env": dict(env or {}),
            "cwd": cwd,
        }
        return int(self.channel.call("spawn", request, netns=self.netns)["pid"])

    def kill(self, name: str, signal: int = signals.SIGTERM) -> bool:
        """Signal a background process and its session; False if it is not running."""
        return bool(self.channel.call("kill", {"name": name, "signal": int(signal)})["killed"])

    def alive(self, name: str) -> bool:
        """Whether a background process is running."""
        return bool(self.channel.call("alive", {"name": name})["alive"])

    def stop(self, name: str, *, grace_seconds: float = 10.0) -> None:
        """Stop a background process with SIGTERM, after the grace time with SIGKILL, if it is running."""
        if not self.kill(name, signals.SIGTERM):
            return
        try:
            wait_until(lambda: not self.alive(name), grace_seconds, f"end of {name}")
        except TimeoutError:
            self.kill(name, signals.SIGKILL)
            wait_until(lambda: not self.alive(name), 60, f"end of {name} after SIGKILL")

    def log(self, name: str) -> Path:
        """Log file of a background process, which the tester can also read."""
        return self.log_directory / f"{name}.log"


class Node(Place):
    """One gateway node, in its own network namespace."""

    def __init__(self, site: Location, directory: Path) -> None:
        log_directory = directory / site.gateway
        log_directory.mkdir(exist_ok=True)
        super().__init__(Channel(str(site.gateway_address.ip), EXEC_PORT), log_directory)
        self.site = site
        self.name = site.gateway
        self.directory = directory

    def place(self, netns: str | None) -> Place:
        """A network namespace on this node, such as a machine's."""
        return Place(self.channel, self.log_directory, netns)

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file on the node."""
        self.channel.call("put", {"path": path, "text": text, "mode": mode})

    def get(self, path: str) -> str:
        """Read a file on the node."""
        return str(self.channel.call("get", {"path": path})["text"])
