"""A gateway node with its daemons: Open vSwitch, Neutron's back end, charon."""

import re
import signal
from pathlib import Path

from tests.testbed.host import process
from tests.testbed.node.backend import BackEnd
from tests.testbed.node.charon import Charon
from tests.testbed.node.node import Node
from tests.testbed.topology import Site


class Gateway(Node):
    """A gateway node of one cloud."""

    def __init__(self, site: Site, directory: Path) -> None:
        super().__init__(site, directory)
        self.charon = Charon(self)
        self._back_end: BackEnd | None = None

    @property
    def running(self) -> bool:
        """Whether the node has been started."""
        return process.alive(self.directory, self.name)

    @property
    def back_end(self) -> BackEnd:
        """Neutron's back end on the node."""
        if self._back_end is None:
            raise RuntimeError(f"{self.name} has no back end yet")
        return self._back_end

    @back_end.setter
    def back_end(self, back_end: BackEnd) -> None:
        self._back_end = back_end

    def restart_neutron_back_end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Restart ovn-controller or the Open vSwitch agent, and wait until it has taken over."""
        self.back_end.restart(how)

    def spis(self) -> set[str]:
        """The SPIs of all SAs in the kernel that have keys."""
        states = self.run(["ip", "xfrm", "state", "list", "nokeys"]).stdout
        return set(re.findall(r"spi (0x[0-9a-f]{8}) ", states)) - {"0x00000000"}
