"""One of Neutron's agents on a node: its configuration, its process, its log."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testbed.cloud.servers import ini
from tests.testbed.cloud.servers.neutron import Neutron
from tests.testbed.node.node import Node

OVSDB: Final = {"ovsdb_connection": "unix:/run/openvswitch/db.sock", "datapath_type": "system"}
"""How agents reach Open vSwitch."""
_REPLACED: Final = Path(__file__).parent / "guest" / "bin"
"""Programs that agents run instead of the machine's."""


@dataclass(frozen=True)
class Agent:
    """A program of Neutron's that runs on the node under its own name."""

    program: str
    node: Node
    neutron: Neutron

    def configure(self, sections: ini.Sections) -> None:
        """Write its configuration."""
        self.node.put(self._configuration, self.neutron.agent_configuration(self.node.name, sections))

    def spawn(self, *wrapper: str) -> None:
        """Start it, by a command that runs another one."""
        programs = self.neutron.environment / "bin"
        self.node.spawn(
            [*wrapper, programs / self.program, "--config-file", self._configuration],
            self.program,
            # The agents look up their helpers in PATH.
            env={"PATH": f"{_REPLACED}:{programs}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "TMPDIR": "/run"},
        )

    def logged(self, what: str) -> int:
        """How often it has logged something, in all its runs."""
        log = self.node.log(self.program)
        return log.read_text(errors="replace").count(what) if log.exists() else 0

    @property
    def _configuration(self) -> str:
        return f"/run/neutron/{self.program}.conf"
