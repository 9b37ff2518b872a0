"""OVN's central part: northbound and southbound databases and northd."""

import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from tests.testbed.host import process
from tests.testbed.host.process import wait_until
from tests.testbed.topology import OVN_SOUTHBOUND_PORT

_SCHEMAS: Final = Path("/usr/share/ovn")


@dataclass(frozen=True)
class OvnCentral:
    """One deployment; Neutron and northd use the databases' Unix sockets, nodes use TCP to the southbound database."""

    directory: Path
    data: Path
    netns: str
    address: IPv4Address

    @property
    def northbound(self) -> str:
        """The northbound database for clients in the lab."""
        return f"unix:{self.data}/ovn/nb.sock"

    @property
    def southbound(self) -> str:
        """The southbound database for clients in the lab."""
        return f"unix:{self.data}/ovn/sb.sock"

    @property
    def node_remote(self) -> str:
        """The southbound database for gateway nodes."""
        return f"tcp:{self.address}:{OVN_SOUTHBOUND_PORT}"

    def start(self) -> None:
        """Start all three with empty databases, which Neutron populates."""
        (self.data / "ovn").mkdir()
        self._start_database("nb", "ovn-nbctl")
        self._start_database("sb", "ovn-sbctl", f"--remote=ptcp:{OVN_SOUTHBOUND_PORT}:{self.address}")
        process.spawn(
            [
                "ovn-northd",
                f"--ovnnb-db={self.northbound}",
                f"--ovnsb-db={self.southbound}",
                f"--unixctl={self.data}/ovn/northd.ctl",
                "-vconsole:warn",
            ],
            name="ovn-northd",
            directory=self.directory,
            netns=self.netns,
        )

    def _start_database(self, name: str, control: str, *remotes: str) -> None:
        base = self.data / "ovn" / name
        schema = _SCHEMAS / f"ovn-{name}.ovsschema"
        subprocess.run(["ovsdb-tool", "create", f"{base}.db", schema], check=True)
        process.spawn(
            [
                "ovsdb-server",
                f"{base}.db",
                f"--remote=punix:{base}.sock",
                *remotes,
                f"--unixctl={base}.ctl",
                "-vconsole:warn",
            ],
            name=f"ovn-{name}",
            directory=self.directory,
            netns=self.netns,
        )
        wait_until(Path(f"{base}.sock").exists, 60, f"{base}.sock")
        subprocess.run([control, f"--db=unix:{base}.sock", "init"], check=True)
