"""Two gateway nodes as network namespaces with a link between them, each with its own charon; captures of the link."""

from __future__ import annotations

import re
import signal
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, ip_address
from pathlib import Path

from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.adapters.strongswan import Vici
from isthmus.core.federation.agreement import Agreement
from isthmus.core.node import firewall, ipsec
from isthmus.model.api.objects import LocalReference
from isthmus.model.api.v1alpha1.cloudpeer import ApiAccess, CloudPeerSpec, PeerGateway, PeerIPsec, TunnelIDRange
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicySpec
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.ipsec import BlockPolicy, IkeConnection, IkeView, ProtectPolicy, SecurityAssociation
from isthmus.model.node.tunnel import Vxlan
from tests.kernel.openvswitch import inside, ping, sh
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Expected, Summary, mac_addresses, summarise

UDP_PORT = 14789
KEY = b"a pre-shared key has 32 characters or more".replace(b" ", b"-")
AGREEMENT = Agreement(
    encapsulation=Vxlan(UDP_PORT),
    id_range=TunnelIDRange(),
    ike_proposals=("aes256gcm16-prfsha384-ecp384",),
    esp_proposals=("aes256gcm16-ecp384",),
    initiator=True,
)
WAN = IPv4Network("192.0.2.0/24")
# Constants of Linux that Python's socket module does not name.
_SOL_PACKET, _PACKET_STATISTICS, _SO_RCVBUFFORCE, _ETH_P_ALL = 263, 6, 33, 3
_LISTENER_QUERY = 130  # the first ICMPv6 type of MLD and ND (RFC 2710, RFC 4861)
_RECEIVE_BUFFER_BYTES = 8 << 20
_CHARON = "/usr/lib/ipsec/charon"
SETTINGS = Path(__file__).parents[2] / "deploy" / "strongswan.conf"
OVERRIDES = "charon {{ plugins {{ vici {{ socket = unix://{socket} }} }} filelog {{ stdout {{ path = {log} }} }} }}"


class Node:
    """A gateway node: a network namespace with an address on the link, and a charon."""

    def __init__(self, name: str, address: str, directory: Path) -> None:
        self.name = name
        self.address = address
        self.log = directory / f"{name}.log"
        self._socket = directory / f"{name}.vici"
        self._settings = directory / f"{name}.conf"
        self._settings.write_text(f"include {SETTINGS}\n{OVERRIDES.format(socket=self._socket, log=self.log)}\n")
        self._charon: subprocess.Popen[bytes] | None = None
        self.ike = self.new_ike()

    def new_ike(self) -> Vici:
        """Another session with its charon, for another thread."""
        return Vici(str(self._socket))

    def connect(self) -> socket.socket:
        """A connection to its charon."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self._socket))
        return client

    def start_charon(self) -> None:
        """Start charon without a socket or PID file of an earlier one."""
        self._socket.unlink(missing_ok=True)
        script = f"mount -t tmpfs tmpfs /run && STRONGSWAN_CONF={self._settings} exec {_CHARON}"
        self._charon = subprocess.Popen(["ip", "netns", "exec", self.name, "bash", "-c", script])
        wait_until(self._listens, 30, f"charon's socket on {self.name}")

    def _listens(self) -> bool:
        """A socket exists a moment before charon listens on it."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def end_charon(self, number: signal.Signals) -> None:
        """With SIGTERM charon removes its policies and SAs, with SIGKILL it leaves them."""
        if self._charon is not None:
            self._charon.send_signal(number)
            self._charon.wait(30)
            self._charon = None

    def signal_charon(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT: it does not answer for a while."""
        assert self._charon is not None
        self._charon.send_signal(number)

    def block(self) -> None:
        """Add the block policies, as the agent does first."""
        gateways = [f"{WAN.network_address + host}" for host in (1, 2)]
        wanted = ipsec.blocks([Vxlan(UDP_PORT)]) | ipsec.icmp_unreachable_blocks(set(gateways) - {self.address})
        inside(self.name, lambda: NetlinkXfrm().add_blocks(wanted))

    def raise_firewall(self) -> None:
        """Add the nftables table, as the agent does."""
        gateways = {f"{WAN.network_address + host}" for host in (1, 2)}
        wanted = firewall.ruleset([UDP_PORT], gateways - {self.address})
        inside(self.name, lambda: Nft().replace_table(wanted))

    def dropped(self) -> dict[str, int]:
        """Dropped packets by counter of the nftables table, without zeros."""
        dropped = inside(self.name, lambda: Nft().view()).dropped
        return {counter: traffic.packets for counter, traffic in dropped.items() if traffic.packets}

    def blocks(self) -> frozenset[BlockPolicy]:
        return inside(self.name, NetlinkXfrm().blocks).blocks

    def table(self) -> Ruleset:
        return inside(self.name, Nft().view).ruleset

    def protect_policies(self) -> frozenset[ProtectPolicy]:
        return inside(self.name, NetlinkXfrm().protect_policies)

    def associations(self) -> frozenset[SecurityAssociation]:
        return inside(self.name, lambda: NetlinkXfrm().associations(frozenset({self.address})))

    def views(self) -> tuple[frozenset[SecurityAssociation], IkeView]:
        """SAs and charon's view, read in the agent's order."""
        return self.associations(), self.ike.view()

    def remove_blocks(self, blocks: frozenset[BlockPolicy]) -> None:
        inside(self.name, lambda: NetlinkXfrm().remove_blocks(blocks))

    def remove_associations(self, associations: frozenset[SecurityAssociation]) -> None:
        inside(self.name, lambda: NetlinkXfrm().remove_associations(associations))

    def tunnel(self, remote: str, udp_port: int, inner: str, kind: str = "vxlan") -> None:
        """Create a tunnel device with an inner address and MTU 1500, as if machines did not know of the tunnel."""
        device = f"{kind}{udp_port}"
        local = f"local {self.address} " if kind == "vxlan" else ""
        sh(
            f"ip link add {device} type {kind} id 7 {local}remote {remote} dstport {udp_port}\n"
            f"ip link set {device} mtu 1500 up\nip addr add {inner}/24 dev {device}",
            self.name,
        )

    def ping(self, address: str, count: int = 5, size: int = 84, fragment: bool = True) -> Ping:
        """Ping with packets of `size` bytes, including the IP header."""
        words = ["-M", "dont" if fragment else "do", "-s", str(size - 28), address]
        received, output = ping(self.name, count, *words)
        reported = re.search(r"mtu ?= ?(\d+)", output)
        return Ping(received, int(reported[1]) if reported else None)


@dataclass(frozen=True)
class Ping:
    """Number of replies, and the path MTU that the sender received."""

    received: int
    mtu: int | None


@dataclass
class Pair:
    """Two nodes; `a` is the initiator."""

    a: Node
    b: Node
    nodes: tuple[Node, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = (self.a, self.b)

    def connection(self, node: Node, agreement: Agreement = AGREEMENT, version: str = "1") -> IkeConnection:
        """The planned connection of a node."""
        other = self.b if node is self.a else self.a
        (connection,) = ipsec.connections(
            own_cloud_id=f"cloud-{node.name}",
            node=f"gw-{node.name}",
            local_address=node.address,
            peer=self.peer(node),
            policy=IPsecPolicySpec(dpd_delay_seconds=5),
            agreement=replace(agreement, initiator=node is self.a),
            gateways=[PeerGateway(name=f"gw-{other.name}", address=other.address)],
            secret_version=version,
        )
        return connection

    def peer(self, node: Node) -> CloudPeerSpec:
        """What a node's cloud agreed with the other one's."""
        other = self.b if node is self.a else self.a
        return CloudPeerSpec(
            cloud_id=f"cloud-{other.name}",
            api=ApiAccess(kubeconfig_secret_ref=LocalReference(name="kubeconfig")),
            gateway_cidrs=(f"{other.address}/32",),
            ipsec=PeerIPsec(policy_ref=LocalReference(name="policy"), auth_secret_ref=LocalReference(name="key")),
        )

    def load(self, key: bytes = KEY, agreement: Agreement = AGREEMENT, version: str = "1") -> None:
        """Load the connections; the block policies must exist."""
        for node in self.nodes:
            node.ike.load(self.connection(node, agreement, version), key)

    def up(self, agreement: Agreement = AGREEMENT, version: str = "1") -> bool:
        return all(ipsec.up(self.connection(node, agreement, version), node.ike.view()) for node in self.nodes)

    def protect(self, agreement: Agreement = AGREEMENT) -> None:
        """Configure IPsec for the tunnel's UDP port on both nodes."""
        for node in self.nodes:
            node.block()
        self.load(agreement=agreement)
        self.a.ike.initiate(self.connection(self.a, agreement).name)
        wait_until(lambda: self.up(agreement), 30, "IKE and ESP on both nodes")

    def tunnels(self, udp_port: int = UDP_PORT, kind: str = "vxlan", subnet: str = "10.99.0") -> str:
        """Create a tunnel between both nodes; returns the inner address of b."""
        self.a.tunnel(self.b.address, udp_port, f"{subnet}.1", kind)
        self.b.tunnel(self.a.address, udp_port, f"{subnet}.2", kind)
        return f"{subnet}.2"

    @contextmanager
    def wire(self) -> Iterator[Wire]:
        """Record frames on the link from now on."""
        with wire_of(self.nodes) as wire:
            yield wire


@contextmanager
def wire_of(nodes: tuple[Node, ...]) -> Iterator[Wire]:
    """Record frames on the link of the first of these nodes, which are all that there are on it."""
    with inside(nodes[0].name, packets_at) as packets:
        yield Wire(packets, nodes)


@contextmanager
def wire_at(device: str, nodes: tuple[Node, ...]) -> Iterator[Wire]:
    """Record frames at a device that is outside of these nodes, which are all that there are on the wire.

    At a device of its own a kernel shows also what it has decapsulated from ESP tunnel mode.
    """
    with packets_at(device) as packets:
        yield Wire(packets, nodes)


class Wire:
    """Recorded frames of the link, in both directions."""

    def __init__(
        self,
        packets: socket.socket,
        nodes: tuple[Node, ...],
        network: IPv4Network = WAN,
        others: frozenset[str] = frozenset(),
    ) -> None:
        """`others` are the MAC addresses of what else is on the link."""
        self._packets = packets
        cards = others.union(*(mac_addresses(sh("ip -j link show dev eth0", node.name)) for node in nodes))
        gateways = frozenset(ip_address(node.address) for node in nodes)
        self._expected = Expected(cards, gateways=gateways, apis=frozenset(), networks=(network,))

    def frames(self) -> Iterator[bytes]:
        """The frames recorded since the last call."""
        while True:
            try:
                yield self._packets.recv(65535, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return

    def summary(self) -> Summary:
        """Summary of the frames recorded since the last call."""
        frames = [*self.frames()]
        statistics = self._packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return summarise(frames, self._expected, unrecorded=struct.unpack("II", statistics)[1])

    def udp_ports(self) -> Counter[int]:
        """Destination ports of unprotected UDP packets recorded since the last call."""
        return Counter(
            {port: count for (protocol, port), count in self.unprotected().items() if protocol == socket.IPPROTO_UDP}
        )

    def unprotected(self) -> Counter[tuple[int, int]]:
        """IP packets that are not ESP, recorded since the last call, by protocol and UDP destination port or 0.

        Without what IPv6 needs to find its neighbours, and without fragments of ESP over IPv6.
        """
        found: Counter[tuple[int, int]] = Counter()
        for frame in self.frames():
            protocol, begins = _payload(frame)
            if protocol not in (None, socket.IPPROTO_ESP):
                port = int.from_bytes(frame[begins + 2 : begins + 4], "big") if protocol == socket.IPPROTO_UDP else 0
                found[protocol, port] += 1
        return found


def _payload(frame: bytes) -> tuple[int | None, int]:
    """Protocol of an IP packet, and where its payload begins; none for other frames and for ND and MLD."""
    if frame[12:14] == b"\x08\x00":
        return frame[23], 34
    if frame[12:14] != b"\x86\xdd":
        return None, 0
    protocol, begins = frame[20], 54
    if protocol == socket.IPPROTO_FRAGMENT:
        protocol, begins = frame[54], 62
    finds_neighbours = protocol == socket.IPPROTO_ICMPV6 and frame[begins] >= _LISTENER_QUERY
    return (None if finds_neighbours or protocol == socket.IPPROTO_HOPOPTS else protocol), begins


def packets_at(device: str = "eth0") -> socket.socket:
    """Records frames at a device of this network namespace."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
    packets.bind((device, _ETH_P_ALL))
    return packets
