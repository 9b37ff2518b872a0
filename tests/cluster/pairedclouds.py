"""Clouds with real API servers, whose administrators have `kubectl isthmus`.

The controllers are the real ones; OpenStack is a fake, and the agents' reports are written by the tests.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import KubernetesLeases
from isthmus.adapters.peers import RemotePeers
from isthmus.controller.election import Election
from isthmus.controller.run import published_identity
from isthmus.model import names
from tests.fakes.federation import FakeCloud
from tests.testbed.host import terminal
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import account_kubeconfig
from .pluginfile import Plugin
from .realcloud import as_administrator, remove_everything

TIMEOUT_SECONDS = 180


@dataclass
class Side:
    """One cloud: its API server, its controller, and an administrator with the plugin."""

    plane: ControlPlane
    cloud: FakeCloud
    plugin: Plugin
    server: str
    election: Election

    def cycle(self) -> None:
        self.election.attempt()
        self.cloud.play_agent()
        self.cloud.cycle()

    def objects(self, *what: str) -> list[Any]:
        found: list[Any] = json.loads(self.plane.kubectl("get", *what, "-o", "json"))["items"]
        return found

    def peers(self) -> dict[str, Any]:
        return {item["metadata"]["name"]: item for item in self.objects("cloudpeers")}

    def secrets(self) -> dict[str, dict[str, str]]:
        """Decoded data of all Secrets of peers, by namespace."""
        return _secrets(self.objects("secrets", "-A"))

    def trace(self) -> Any:
        """Everything that a verb could have left."""
        found = self.objects("cloudpeers,ipsecpolicies,secrets,namespaces", "-A")
        made = {f"{item['kind']} {item['metadata']['name']}" for item in found if item["kind"] != "Secret"}
        files = sorted(path.name for path in self.plugin.directory.glob("*isthmus*") if path.is_file())
        ours = sorted(name for name in made if not name.startswith("Namespace") or "isthmus-peer-cloud-" in name)
        return ours, _secrets(found), files

    def wait(self, peer: str, condition: str) -> None:
        self.plane.kubectl("wait", f"cloudpeer/{peer}", f"--for=condition={condition}", f"--timeout={TIMEOUT_SECONDS}s")


def _secrets(items: list[Any]) -> dict[str, dict[str, str]]:
    return {
        item["metadata"]["namespace"]: {k: base64.b64decode(v).decode() for k, v in item["data"].items()}
        for item in items
        if item["kind"] == "Secret" and item["metadata"]["name"].startswith("peer-cloud-")
    }


@dataclass
class Clouds:
    """One or two of them, with their controllers in a thread."""

    sides: tuple[Side, ...]
    stopped: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)
    cycling: threading.Lock = field(default_factory=threading.Lock)

    @property
    def a(self) -> Side:
        return self.sides[0]

    @property
    def b(self) -> Side:
        return self.sides[1]

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                with self.cycling:
                    for side in self.sides:
                        side.cycle()
                time.sleep(0.2)
        except BaseException as error:
            self.failures.append(error)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Without controllers that do anything."""
        with self.cycling:
            yield


@contextmanager
def running(*sides: Side) -> Iterator[Clouds]:
    """Their controllers run until the end of the block."""
    clouds = Clouds(sides)
    thread = threading.Thread(target=clouds.run)
    thread.start()
    try:
        for side in sides:
            wait_until(lambda: side.plugin.run("status").stdout.startswith(side.cloud.cloud_id), 180, "a controller")  # noqa: B023
        yield clouds
    finally:
        clouds.stopped.set()
        thread.join()
        for side in sides:
            side.cloud.backends.peers.stop()
            remove_everything(side.plane)
            side.plane.kubectl("delete", "node", f"gw-{side.cloud.cloud_id}")
    assert not clouds.failures


def side_on(cloud: FakeCloud, plane: ControlPlane, directory: Path, server: str) -> Side:
    """One cloud on that API server, which its peer reaches at that URL."""
    remove_everything(plane)
    directory.mkdir()
    as_administrator(cloud, plane, directory)
    cloud.backends = replace(cloud.backends, peers=RemotePeers(cloud.cloud_id, 0.5))
    cloud.restart()
    controller = account_kubeconfig(plane, directory, names.SYSTEM_NAMESPACE, names.CONTROLLER)
    leases = KubernetesLeases(str(controller), names.CONTROLLER)
    election = Election(leases, SystemClock(), annotations=published_identity(cloud.settings))
    plugin = Plugin.install(directory / "bin", plane.kubeconfig)
    plugin.record_calls()
    return Side(plane, cloud, plugin, server, election)


def invite(side: Side, peer: str = "cloud-b", *options: str, server: str = "") -> tuple[str, ...]:
    """The arguments of an invitation whose code goes to a file."""
    return ("invite", peer, "--server", server or side.server, "--code-file", "isthmus-code", *options)


def join(side: Side, file: Path, code: Path, *options: str) -> tuple[str, ...]:
    return ("join", str(file), "--server", side.server, "--code-file", str(code), "--yes", *options)


def refused(side: Side, *arguments: str, code: int = 1) -> str:
    """The sentence of a verb that must have changed nothing, and removed nothing as it never created anything."""
    return side.plugin.sentence(*arguments, code=code)


def remove_files(*sides: Side) -> None:
    for side in sides:
        for path in (*side.plugin.directory.glob("*.isthmus"), side.plugin.directory / "isthmus-code"):
            path.unlink(missing_ok=True)


def agree(a: Side, b: Side, *options: str) -> None:
    """A invites B with these options; returns when both are ready for each other."""
    remove_files(a, b)
    assert a.plugin.run(*invite(a, "cloud-b", *options)).returncode == 0
    file, code = a.plugin.directory / "cloud-a.for.cloud-b.isthmus", a.plugin.directory / "isthmus-code"
    assert b.plugin.run(*join(b, file, code)).returncode == 0
    answer = b.plugin.directory / "cloud-b.for.cloud-a.isthmus"
    assert a.plugin.run("accept", str(answer), "--code-file", str(code), "--yes").returncode == 0
    a.wait("cloud-b", "Ready")
    b.wait("cloud-a", "Ready")


def at_terminal(side: Side, *arguments: str, typed: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a verb at a terminal of its own, and type after each prompt; exit code, and what the terminal shows."""
    return terminal.converse(
        [str(side.plugin.directory / "kubectl-isthmus"), *arguments],
        env=side.plugin.environment,
        cwd=side.plugin.directory,
        answers=typed or {},
        timeout_seconds=300,
    )
