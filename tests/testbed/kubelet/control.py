"""A node on the host's kernel, in the network namespace of a cloud's servers: for controllers and jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.testbed.host import process
from tests.testbed.host.process import wait_until
from tests.testbed.node.channel import Channel
from tests.testbed.node.node import Place
from tests.testbed.topology import EXEC_PORT, Site

_SANDBOX: Final = Path(__file__).with_name("sandbox.sh")
_EXEC_SERVER: Final = Path(__file__).parents[1] / "node" / "guest" / "execd.py"
_NAMESPACES: Final = ("--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation=private")


class ControlNode(Place):
    """The sandbox of the node; its address is that of the cloud's servers."""

    def __init__(self, site: Site, directory: Path, netns: str) -> None:
        self.name = f"cp-{site.name}"
        log_directory = directory / self.name
        log_directory.mkdir(exist_ok=True)
        self.address = str(site.server_address.ip)
        super().__init__(Channel(self.address, EXEC_PORT), log_directory)
        self._directory = directory
        self._cloud_namespace = netns

    def start(self) -> None:
        """Start it, and return when it executes commands."""
        # Not `ip netns exec`, which mounts a new /sys without control groups.
        enter = ["nsenter", f"--net=/run/netns/{self._cloud_namespace}", "unshare", *_NAMESPACES]
        argv = ["env", "-i", *enter, str(_SANDBOX), self.name, str(_EXEC_SERVER), self.address, str(EXEC_PORT)]
        process.spawn(argv, name=self.name, directory=self._directory)
        wait_until(self.channel.answers, 60, f"node {self.name}")
