"""strongSwan's charon on a gateway node, which the agent configures through vici."""

import signal
from pathlib import Path
from typing import Final

from tests.testbed.host.process import wait_until
from tests.testbed.node.node import Node

SOCKET: Final = "/run/charon.vici"
# The shipped settings.
_CONFIGURATION: Final = Path(__file__).parents[3] / "deploy" / "strongswan.conf"


class Charon:
    """The charon of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def start(self) -> None:
        """Start it and wait for its vici socket."""
        self._node.run(["rm", "-f", SOCKET])
        self._node.spawn(["/usr/lib/ipsec/charon"], "charon", env={"STRONGSWAN_CONF": str(_CONFIGURATION)})
        there = ["test", "-S", SOCKET]
        wait_until(lambda: not self._node.run(there, check=False).returncode, 60, f"{SOCKET} on {self._node.name}")

    def stop(self) -> None:
        """Stop it cleanly: it removes its own policies."""
        self._node.stop("charon")

    def kill(self) -> None:
        """Kill it: its SAs and policies stay in the kernel."""
        self._node.kill("charon", signal.SIGKILL)
        wait_until(lambda: not self._node.alive("charon"), 60, "end of charon")

    def alive(self) -> bool:
        """Whether it is running."""
        return self._node.alive("charon")
