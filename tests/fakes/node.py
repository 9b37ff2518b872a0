"""A gateway node in memory: its kernel, and the peer's answers to probes (charon.py: charon, switch.py: Open vSwitch).

Every change is checked against the rule that must always hold: a tunnel port exists only behind both fences, block
policies and nftables table, for its UDP port, and a connection only behind both for its gateway's address. In tunnel
mode the inner ends exist before both.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from isthmus.core.node import firewall, ipsec
from isthmus.core.node.inner import is_inner
from isthmus.model.errors import Conflict, ExternalError, MissingCapability, Unavailable
from isthmus.model.names import BRIDGE, INNER_DEVICE, PROBE_PORT, PROBE_PORT_MTU
from isthmus.model.node.drops import DropKey
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.flows import Meter, Traffic
from isthmus.model.node.host import KernelChange, NodeAddress, NodeView, ProbeResult
from isthmus.model.node.inforce import InForce, Nat
from isthmus.model.node.ipsec import (
    BlockPolicy,
    BlockView,
    CertificateChain,
    IkeConnection,
    ProtectPolicy,
    SecurityAssociation,
)
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import WHOLE_REQUEST_MAC, Direction
from isthmus.model.node.switch import Ports
from isthmus.model.node.tunnel import TunnelEnds
from isthmus.model.proposals import GROUPS

_SOURCE = re.compile(rf"\bdl_src=([0-9a-f:]{{17}})\b(?!/|,dl_dst={WHOLE_REQUEST_MAC})")
_WHOLE = re.compile(rf"\bdl_src=([0-9a-f:]{{17}}),dl_dst={WHOLE_REQUEST_MAC},")
_PROBE_PORT_MTU = 1500  # ovs-vswitchd's choice
_LOCAL_PORT = 65534  # OpenFlow's name for the bridge itself


@dataclass
class FakeNode:
    """State of the node, which the ports below read and change."""

    address: NodeAddress | None = field(default_factory=lambda: NodeAddress("192.0.2.11", 1500))
    foreign_tunnels: dict[str, int] = field(default_factory=dict)
    """UDP ports of foreign tunnels in Open vSwitch, by port name."""
    has_foreign_gre: bool = False
    """In Open vSwitch."""
    kernel_udp_ports: frozenset[int] = frozenset()
    """UDP ports of tunnels that do not belong to Open vSwitch."""
    inner_ends: frozenset[TunnelEnds] = frozenset()
    incomplete_inner_ends: frozenset[TunnelEnds] = frozenset()
    """Of which the address or the route is missing."""
    foreign_inner_device: bool = False
    """A foreign device has our device's name."""
    blocks: frozenset[BlockPolicy] = frozenset()
    outdated_blocks: frozenset[BlockPolicy] = frozenset()
    """Those of `blocks` that differ from what this release creates."""
    foreign_policies: frozenset[BlockPolicy] = frozenset()
    """Block policies whose packets a foreign policy matches."""
    associations: frozenset[SecurityAssociation] = frozenset()
    protect_policies: frozenset[ProtectPolicy] = frozenset()
    """Charon's."""
    has_nftables: bool = True
    firewall: Ruleset = field(default_factory=Ruleset)
    clamps: Ruleset = field(default_factory=Ruleset)
    """The table on tunnel devices."""
    device_index: int = 10
    """Of every tunnel device; another one when they are made again."""
    has_esp_offload: bool = False
    segmented_devices: frozenset[tuple[str, int]] = frozenset()
    """Names and indexes of tunnel devices that take no packets that are still to be segmented."""
    bridge_exists: bool = False
    foreign_bridge: bool = False
    """A foreign bridge has our bridge's name."""
    ports: Ports = field(default_factory=Ports)
    leftovers: frozenset[str] = frozenset()
    ofport: dict[str, int] = field(default_factory=dict)
    numbers: Numbers = field(default_factory=Numbers)
    flows: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Cookie and text of each flow, by its table, priority and match."""
    learned: set[int] = field(default_factory=set)
    """Cookies of flows in the table of learned flows."""
    changed_cookies: set[int] | None = None
    """Of flows that changed since that was last asked; None: not known."""
    meters: dict[int, Meter] = field(default_factory=dict)
    sent: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    """By the numbers of network and member."""
    received: dict[tuple[int, int], Traffic] = field(default_factory=dict)
    dropped: dict[DropKey, int] = field(default_factory=dict)
    over_bandwidth: dict[tuple[int, Direction], int] = field(default_factory=dict)
    relayed: dict[tuple[int, int, int], Traffic] = field(default_factory=dict)
    """By the numbers of network, sender and receiver."""
    switch_instance: int = 1
    switch_answers: bool = True
    refuses_flows: ExternalError | None = None
    """What every change of flows fails with."""
    run_directory_is_deleted: bool = False
    """Open vSwitch's, of which the agent has a mount."""
    charon_instance: int = 1
    charon_answers: bool = True
    key_exchanges: frozenset[str] = frozenset(GROUPS)
    """Those that charon can do."""
    peer_key_exchanges: frozenset[str] = frozenset(GROUPS)
    """Those that the peer's charon can do."""
    refused_connections: frozenset[str] = frozenset()
    """Connections that charon refuses to load, such as for an algorithm that it does not have."""
    refused_negotiations: frozenset[str] = frozenset()
    """Connections that charon refuses to initiate or to rekey."""
    loaded: dict[str, IkeConnection] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    chains: dict[str, CertificateChain] = field(default_factory=dict)
    certificates: int = 0
    """That charon has, old ones included."""
    revocation_lists: tuple[bytes, ...] = ()
    """One of each CA, in DER."""
    refused_lists: frozenset[bytes] = frozenset()
    """Lists that charon cannot parse."""
    peer_is_revoked: bool = False
    """By the revocation lists, once there are any."""
    revoked: set[str] = field(default_factory=set)
    """Connections whose peer was found to be revoked."""
    negotiated: dict[str, set[str]] = field(default_factory=dict)
    """Digests with established SAs, by connection."""
    agreed: dict[str, str] = field(default_factory=dict)
    """Key exchange of the IKE SA, by the digest for which it was established."""
    in_force: dict[str, InForce] = field(default_factory=dict)
    """Likewise."""
    reqids: dict[str, dict[str, int]] = field(default_factory=dict)
    """Likewise, of each child."""
    ike_sas: int = 0
    """Established so far."""
    nat: Nat = "None"
    """Which gateway is behind NAT."""
    rekeyed: dict[str, int] = field(default_factory=dict)
    """How often its children were rekeyed, by connection."""
    may_send_probes: bool = True
    peer_answers: bool = True
    peer_answers_ping: bool = True
    path_mtu: int = 1500
    """The longest frames that come back, without their Ethernet header."""
    whole_mtu: int = 1416
    """The longest of those that may not be fragmented."""
    bfd_init: frozenset[str] = frozenset()
    esp_packets: int = 0
    """Received by every connection with SAs."""
    ike_packets: int = 0
    """Received from every gateway."""
    peer_key: bytes | None = None
    """The key that the peer requires, if any."""
    refused: set[str] = field(default_factory=set)
    """Connections with an authentication failure."""
    effects: list[str] = field(default_factory=list)
    """All changes, in order."""
    listener: Callable[[KernelChange], None] | None = None
    """Callbacks of the monitors."""
    callers: list[threading.Thread] = field(default_factory=list)

    def restart_charon(self) -> None:
        """Restart charon: it has no connections any more; the kernel keeps its SAs."""
        self.charon_instance += 1
        self.chains, self.certificates, self.revocation_lists = {}, 0, ()
        self.loaded, self.keys, self.negotiated, self.refused = {}, {}, {}, set()

    def flush_xfrm(self) -> None:
        """Like `ip xfrm policy flush; ip xfrm state flush`; charon does not notice."""
        self.associations = frozenset()
        self.flush_policies()
        self.notify(KernelChange.ASSOCIATIONS)

    def restart_switch(self) -> None:
        """Restart ovs-vswitchd: it has no flows any more; the database keeps the ports."""
        self.switch_instance += 1
        self.flows, self.learned, self.meters, self.changed_cookies = {}, set(), {}, None
        self.sent, self.received, self.dropped, self.over_bandwidth, self.relayed = {}, {}, {}, {}, {}

    def put_flow(self, cookie: int, flow: str) -> None:
        """Add a flow, in place of one with the same match."""
        self.flows[flow.split(" actions=")[0]] = (cookie, flow)
        self.flow_changed(cookie)

    def flow_changed(self, cookie: int) -> None:
        """Notify the flow monitor."""
        if self.changed_cookies is not None:
            self.changed_cookies.add(cookie)

    def flow_text(self) -> str:
        """All flows, one in each line."""
        return "\n".join(flow for _, flow in self.flows.values())

    def flush_policies(self) -> None:
        """`ip xfrm policy flush`."""
        self.blocks = self.outdated_blocks = self.foreign_policies = frozenset()
        self.protect_policies = frozenset()
        self.notify(KernelChange.POLICIES)

    def notify(self, change: KernelChange) -> None:
        """Notify the monitor, which calls on a thread of its own as the real one does."""
        if self.listener is not None:
            self.callers.append(threading.Thread(target=self.listener, args=(change,)))
            self.callers[-1].start()

    def changed(self, effect: str) -> None:
        """Record a change and check the rule."""
        self.effects.append(effect)
        inner = {tunnel.ends for tunnel in self.ports.tunnels if is_inner(tunnel.ends)}
        inner |= {c.tunnel_ends for c in self.loaded.values() if is_inner(c.tunnel_ends)}
        inner_exist = inner <= self.inner_ends or not effect.startswith(("apply", "load", "remove_ends"))
        assert inner_exist, f"without its inner ends after {effect}"
        needed = ipsec.blocks(port.encapsulation for port in self.ports.encapsulating)
        for tunnel in self.ports.tunnels:
            if not tunnel.encapsulation.udp_ports:
                needed |= ipsec.blocks_between(tunnel.encapsulation, tunnel.ends)
        for connection in self.loaded.values():
            needed |= ipsec.blocks_of_connection(connection)
        assert needed <= self.blocks, f"without its block policies after {effect}"
        if self.has_nftables and effect.startswith(("apply", "load")):
            needed_table = firewall.ruleset(
                {udp_port for port in self.ports.encapsulating for udp_port in port.encapsulation.udp_ports},
                {connection.tunnel_ends.remote for connection in self.loaded.values()},
                {tunnel.ends.remote for tunnel in self.ports.tunnels if not tunnel.encapsulation.udp_ports},
            )
            assert firewall.widened(needed_table, self.firewall) == self.firewall, f"without its table after {effect}"

    def number_ports(self) -> None:
        """Assign port numbers as Open vSwitch does: from 1 on each bridge, kept until the port is removed."""
        patches = self.ports.patches
        tunnels = {port.name for port in self.ports.encapsulating}
        on_bridge = {p.cloud_name for p in patches} | tunnels | self.leftovers
        own = {PROBE_PORT} if self.bridge_exists else set()
        self.ofport = (
            self._numbered({p.integration_name for p in patches})
            | self._numbered(on_bridge | own)
            | ({BRIDGE: _LOCAL_PORT} if self.bridge_exists else {})
        )

    def _numbered(self, names: set[str]) -> dict[str, int]:
        numbers = {name: number for name, number in self.ofport.items() if name in names}
        for name in sorted(names - set(numbers)):
            numbers[name] = max(numbers.values(), default=0) + 1
        return numbers


class FakeNetlink:
    """ports.Netlink."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> NodeView:
        node = self._node
        addresses = (node.address,) if node.address else ()
        leftovers = bool(node.incomplete_inner_ends)
        return NodeView(addresses, node.kernel_udp_ports, "6.12.0", node.inner_ends, leftovers)


class FakeInner:
    """ports.InnerNetwork."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def ensure_ends(self, ends: Iterable[TunnelEnds]) -> None:
        wanted = frozenset(ends)
        if wanted:
            self._require_own_device()
            self._node.inner_ends |= wanted
            self._node.incomplete_inner_ends -= wanted
        self._node.changed("ensure_ends")

    def remove_ends_except(self, kept: frozenset[TunnelEnds]) -> None:
        self._require_own_device()
        self._node.inner_ends &= kept
        self._node.incomplete_inner_ends &= kept
        self._node.changed("remove_ends_except")

    def _require_own_device(self) -> None:
        if self._node.foreign_inner_device:
            raise Conflict(f"device {INNER_DEVICE} is not ours: rename or remove it")


class FakeXfrm:
    """ports.Xfrm."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def blocks(self) -> BlockView:
        return BlockView(self._node.blocks, self._node.outdated_blocks)

    def add_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        wanted = frozenset(blocks)
        foreign = wanted & self._node.foreign_policies
        self._node.blocks |= wanted - foreign
        self._node.outdated_blocks -= wanted
        self._node.changed("add_blocks")
        if foreign:
            raise Conflict(f"policies that are not ours: {', '.join(map(str, foreign))}")

    def remove_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        self._node.blocks -= frozenset(blocks)
        self._node.outdated_blocks &= self._node.blocks
        self._node.changed("remove_blocks")
        self._node.notify(KernelChange.POLICIES)

    def associations(self, addresses: frozenset[str]) -> frozenset[SecurityAssociation]:
        return frozenset(a for a in self._node.associations if addresses & {a.source, a.destination})

    def protect_policies(self) -> frozenset[ProtectPolicy]:
        return self._node.protect_policies

    def remove_associations(self, associations: Iterable[SecurityAssociation]) -> None:
        self._node.associations -= frozenset(associations)
        self._node.changed("remove_associations")
        self._node.notify(KernelChange.ASSOCIATIONS)


class FakeMonitor:
    """ports.KernelMonitor."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def start(self, changed: Callable[[KernelChange], None]) -> None:
        self._node.listener = changed

    def stop(self) -> None:
        self._node.listener = None
        for caller in self._node.callers:
            caller.join()


class FakeProbe:
    """ports.DataplaneProbe; answers if the flows contain the link's address."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def exchange(
        self,
        macs: Mapping[str, str],
        timeout_seconds: float,
        spread_seconds: float = 0.0,
        mtus: Mapping[str, int] = MappingProxyType({}),
        whole: bool = False,
    ) -> Mapping[str, ProbeResult]:
        if not self._node.may_send_probes:
            raise MissingCapability("CAP_NET_RAW")
        if not self._node.bridge_exists:
            raise Unavailable(f"no interface {PROBE_PORT}")
        known = {*(_WHOLE if whole else _SOURCE).findall(self._node.flow_text())}
        most = PROBE_PORT_MTU if self._node.ports.echoes else _PROBE_PORT_MTU
        longest = min(self._node.path_mtu, self._node.whole_mtu) if whole else self._node.path_mtu
        back = {
            link: self._node.peer_answers and mac in known and mtus.get(link, 0) <= longest
            for link, mac in macs.items()
        }
        return {
            link: ProbeResult(int(mtus.get(link, 0) <= most), int(up), 0.001 if up else None)
            for link, up in back.items()
        }


class FakePing:
    """ports.GatewayPing."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def answering(self, addresses: frozenset[str], timeout_seconds: float) -> frozenset[str]:
        if not self._node.may_send_probes:
            raise MissingCapability("CAP_NET_RAW")
        return addresses if self._node.peer_answers_ping else frozenset()
