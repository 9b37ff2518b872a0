"""A tenant's machine: a network namespace on a gateway node, plugged into br-int as a hypervisor plugs its own."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Interface
from itertools import permutations
from pathlib import Path
from typing import Any, Final

from openstack.connection import Connection

from tests.testbed.host.process import wait_until
from tests.testbed.node import openvswitch
from tests.testbed.node.node import Node, Place
from tests.testbed.workload.ping import PingResult, PingRun, ping

_GUEST_FILES: Final = Path(__file__).parents[1] / "node" / "guest"
_TCP_PORT: Final = 7777
_METADATA_URL: Final = "http://169.254.169.254/latest/meta-data/instance-id"


@dataclass(frozen=True)
class Lease:
    """A DHCP lease."""

    address: str
    prefix_length: int
    mtu: int | None
    router: str | None
    routes: dict[str, str]
    """Next hops by destination (option 121)."""


@dataclass(frozen=True)
class TcpExchange:
    """Hashes of a payload: as sent, as received by the other machine, as returned."""

    sent: str
    received: str
    probed: str

    @property
    def intact(self) -> bool:
        """Whether the payload was unchanged in both directions."""
        return self.sent == self.received == self.probed


class Machine:
    """One machine with one port; created by `Cloud.boot`."""

    def __init__(self, name: str, node: Node, port: Any, admin: Connection, interface: IPv4Interface) -> None:
        self.name = name
        self.node = node
        self.port_id: str = port.id
        self.instance_id: str = port.device_id
        self.mac_address: str = port.mac_address
        self.address: str | None = None
        """Address of its interface, once it has one."""
        self.lease: Lease | None = None
        self._interface = interface
        self._admin = admin
        self._tap = f"tap{self.port_id[:11]}"

    @property
    def place(self) -> Place:
        """Its network namespace, to run commands in."""
        return self.node.place(self.name)

    def attach_port(self, mtu: int, *, addressed: bool) -> None:
        """Create the namespace and its interface, with the port's address or without any."""
        lines = [
            f"ip netns add {self.name}",
            f"ip link add {self._tap} mtu {mtu} type veth peer name eth0 netns {self.name}",
            # No address on the host, as on a hypervisor: an IPv6 address would appear a moment after the link is up.
            f"echo 1 >/proc/sys/net/ipv6/conf/{self._tap}/disable_ipv6",
            f"ip link set {self._tap} up",
            f"ip -n {self.name} link set lo up",
            f"ip -n {self.name} link set eth0 address {self.mac_address} mtu {mtu} up",
        ]
        if addressed:
            lines.append(self._take_address())
        self.node.run(["bash", "-ec", "\n".join(lines)])
        openvswitch.attach_port(
            self.node,
            self._tap,
            port_id=self.port_id,
            mac_address=self.mac_address,
            owner_id=self.instance_id,
        )

    def use_port_address(self) -> None:
        """Configure the address of the Neutron port, as a config drive would."""
        self.node.run(self._take_address())

    def _take_address(self) -> str:
        self.address = str(self._interface.ip)
        return f"ip -n {self.name} address add {self._interface} dev eth0"

    def request_lease(self, timeout_seconds: int = 240) -> Lease:
        """Request an address by DHCP and apply the lease; the server of a busy guest is slow."""
        client = ["busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-O", "mtu", "-O", "staticroutes"]
        tries = ["-t", str(timeout_seconds), "-T", "1", "-s", str(_GUEST_FILES / "udhcpc.sh")]
        done = self.place.run([*client, *tries], check=False, timeout_seconds=timeout_seconds + 30)
        given = re.search(r"LEASE address=(\S+) prefix=(\d+) mtu=(\d*) routes=(\S*) router=(\S*)", done.stdout)
        if given is None:
            raise TimeoutError(f"no lease for {self.name} within {timeout_seconds} s: {done.stderr.strip()}")
        mtu, routes, router = given[3], given[4].split(","), given[5]
        next_hops = dict(zip(routes[::2], routes[1::2], strict=False))
        self.lease = Lease(given[1], int(given[2]), int(mtu) if mtu else None, router or None, next_hops)
        self.address = self.lease.address
        return self.lease

    def wait_active(self, timeout_seconds: float = 180.0) -> None:
        """Wait until its port is ACTIVE."""
        wait_until(
            lambda: self._admin.network.get_port(self.port_id).status == "ACTIVE",
            timeout_seconds,
            f"port of {self.name} ACTIVE",
            poll_seconds=0.3,
        )

    def ping(
        self,
        address: str,
        count: int = 5,
        interval_seconds: float = 0.1,
        size: int | None = None,
        df: bool = False,
    ) -> PingResult:
        """Ping an address; `size` is the size of the IP packet in bytes."""
        return ping(self.place, address, count, interval_seconds, size, df)

    def reaches(self, other: "Machine") -> bool:
        """Whether the other machine answers one ping."""
        return self.ping(str(other.address), count=1).all_answered

    def resolves(self, other: "Machine") -> bool:
        """Whether it knows the other machine's MAC address, which it asks for, whether or not that answers a ping."""
        self.ping(str(other.address), count=1)
        return str(other.address) in self.neighbours()

    def start_ping(self, address: str, interval_seconds: float = 0.01) -> PingRun:
        """Ping in the background, to count losses during an event."""
        return PingRun(self.place, f"ping-{self.name}", address, interval_seconds)

    def tcp_exchange(self, other: "Machine", length: int = 1 << 20) -> TcpExchange:
        """Send a random payload to another machine and back over one TCP connection."""
        if other.address is None:
            raise ValueError(f"{other.name} has no address")
        python = ["/usr/bin/python3", str(_GUEST_FILES / "tcp.py")]
        server, port = f"tcp-{other.name}", str(_TCP_PORT)
        other.node.log(server).unlink(missing_ok=True)
        other.place.spawn([*python, "serve", other.address, port], server)
        sent = self.place.run([*python, "send", other.address, port, str(length)], timeout_seconds=120)
        wait_until(lambda: not other.place.alive(server), 30, f"end of {server}")
        here, probed = sent.stdout.split()
        return TcpExchange(here, other.node.log(server).read_text().strip(), probed)

    def ask_metadata(self, timeout_seconds: int = 10) -> str:
        """What the metadata service answers; empty if it does not, or refuses."""
        # Not with busybox's wget, which User Mode Linux ends with a segmentation fault.
        read = f"urlopen('{_METADATA_URL}', timeout={timeout_seconds}).read().decode()"
        ask = f"from urllib.request import urlopen; print({read})"
        return self.place.run(["/usr/bin/python3", "-I", "-c", ask], check=False).stdout.strip()

    def neighbours(self) -> dict[str, str]:
        """The machine's ARP table: MAC addresses by IP address, resolved entries only."""
        table = json.loads(self.place.run(["ip", "-j", "-4", "neigh"]).stdout or "[]")
        return {entry["dst"]: entry["lladdr"] for entry in table if "lladdr" in entry}

    def mtu(self) -> int:
        """MTU of its interface in bytes."""
        link = json.loads(self.place.run(["ip", "-j", "link", "show", "eth0"]).stdout)
        return int(link[0]["mtu"])

    def shut_down(self) -> None:
        """Unplug and remove it; its Neutron port is kept."""
        openvswitch.unplug(self.node, self._tap)
        self.node.channel.forget(self.name)
        self.node.run(["bash", "-c", f"ip link del {self._tap}; ip netns del {self.name}"])

    def delete(self) -> None:
        """Shut it down and delete its port as the compute service does: members may not delete a machine's port."""
        self.shut_down()
        self._admin.network.delete_port(self.port_id)


def wait_for_pings(machines: Sequence[Machine], timeout_seconds: float) -> None:
    """Wait until each machine reaches each other one."""
    for source, target in permutations(machines, 2):
        answers = partial(source.reaches, target)
        wait_until(answers, timeout_seconds, f"{target.name} to answer {source.name}")
