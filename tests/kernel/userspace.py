"""br-cloud on Open vSwitch's own data path: frames enter by devices without a kernel, and leave into files."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.core.node.flowsets import differences
from isthmus.core.node.plan import NodePlan
from isthmus.core.node.setcache import SetCache
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.names import BRIDGE, PROBE_PORT, tunnel_port
from isthmus.model.node.flows import FlowChanges, FlowSet, PlannedNetwork, PlannedNetworks
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from tests.testbed.host.process import wait_until
from tests.testbed.host.switch import start_switch, vsctl

PATCH = "iscnet"
GATEWAY = PeerGateway(name="gw", address="192.0.2.2")
MEMBERS = {"cloud-b": 3, "cloud-c": 4}
NETWORK = 7
TUNNELS = {cloud_id: tunnel_port(cloud_id, GATEWAY.name) for cloud_id in MEMBERS}
WITNESS = bytes.fromhex("ffffffffffff0600000000ff88b7").ljust(64, b"\0")
_PORTS = {PROBE_PORT: 1, PATCH: 2, TUNNELS["cloud-b"]: 3, TUNNELS["cloud-c"]: 4}
_PCAP_HEADER, _RECORD_HEADER = 24, 16


@dataclass
class Bridge:
    """A br-cloud with one network, which is stretched to two clouds."""

    directory: Path
    openflow: OvsOfctl
    installed: Mapping[int, FlowSet] = field(default_factory=dict)

    def install(self, network: PlannedNetwork) -> FlowChanges:
        """Have exactly the flows of this network; returns what had to be changed."""
        clouds = {link.cloud_id for link in network.links}
        ends = TunnelEnds("192.0.2.1", GATEWAY.address)
        plan = NodePlan(
            ports=Ports(frozenset(TunnelPort(TUNNELS[cloud_id], Vxlan(14789), ends) for cloud_id in clouds)),
            networks=PlannedNetworks.of([network]),
            gateways=dict.fromkeys(sorted(clouds), (GATEWAY,)),
        )
        self.installed = SetCache().sets(plan, Numbers({PATCH: NETWORK}, MEMBERS), _PORTS)
        view = self.openflow.view()
        meters = {meter.id: meter for meter in view.meters}
        change = FlowChanges(tuple(differences(self.installed, view.flows, meters)))
        self.openflow.replace(change)
        return change

    def enter(self, *frames: bytes) -> dict[str, list[bytes]]:
        """What leaves by each port, by its name, when machines of this cloud send these frames."""
        return self._sent([f"in_port={_PORTS[PATCH]},packet={sent.hex()},actions=resubmit(,0)" for sent in frames])

    def arrive(self, cloud_id: str, tunnel_id: int, *frames: bytes) -> dict[str, list[bytes]]:
        """What leaves by each port, by its name, when these frames arrive from a peer."""
        entry = f"set_field:{tunnel_id:#x}->tun_id,resubmit(,0)"
        port = _PORTS[TUNNELS[cloud_id]]
        return self._sent([f"in_port={port},packet={sent.hex()},actions={entry}" for sent in frames])

    def ofctl(self, command: str, argument: str, text: str = "") -> None:
        """Run ovs-ofctl with that on its standard input."""
        words = ["ovs-ofctl", "-O", "OpenFlow15", command, f"unix:{self.directory}/{BRIDGE}.mgmt", argument]
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"

    def _sent(self, packets: list[str]) -> dict[str, list[bytes]]:
        """A witness that is flooded follows the frames: it leaves when they have left, or were dropped."""
        before = {name: len(self._frames(name)) for name in _PORTS}
        witness = f"in_port={_PORTS[PATCH]},packet={WITNESS.hex()},actions=" + ",".join(
            f"output:{number}" if name != PATCH else "IN_PORT" for name, number in _PORTS.items()
        )
        self.ofctl("bundle", "-", "".join(f"packet-out {packet}\n" for packet in (*packets, witness)))

        def new(name: str) -> list[bytes]:
            return self._frames(name)[before[name] :]

        wait_until(lambda: all(WITNESS in new(name) for name in _PORTS), 30, "the witness")
        return {name: found for name in _PORTS if (found := [sent for sent in new(name) if sent != WITNESS])}

    def _frames(self, port: str) -> list[bytes]:
        """All frames that have left by a port, from the file in pcap format that Open vSwitch writes."""
        octets, found, at = (self.directory / f"{port}.pcap").read_bytes(), [], _PCAP_HEADER
        while at + _RECORD_HEADER <= len(octets):
            _, _, length, _ = struct.unpack("=IIII", octets[at : at + _RECORD_HEADER])
            found.append(octets[at + _RECORD_HEADER : at + _RECORD_HEADER + length])
            at += _RECORD_HEADER + length
        return found


@contextmanager
def userspace_bridge(directory: Path) -> Iterator[Bridge]:
    """An Open vSwitch of its own; ends with the context."""
    with start_switch(directory) as socket:
        for name, number in _PORTS.items():
            device = "set", "Interface", name, "type=dummy", f"ofport_request={number}"
            vsctl(socket, "add-port", BRIDGE, name, "--", *device, f"options:tx_pcap={directory}/{name}.pcap")
        openflow = OvsOfctl(socket)
        try:
            yield Bridge(directory, openflow)
        finally:
            openflow.close()
