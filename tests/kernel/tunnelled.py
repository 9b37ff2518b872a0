"""br-cloud on Open vSwitch's own data path, whose tunnels are real: what they send leaves encapsulated, into a file.

They have no `local_ip`: where routes are set by hand, Open vSwitch has none to its own addresses, and finds no way.
"""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from isthmus.adapters.openvswitch import metermods
from isthmus.model.names import BRIDGE
from isthmus.model.node.flows import Meter, PacketMeter
from tests.testbed.host.process import wait_until
from tests.testbed.host.switch import start_switch, vsctl

_LOCAL = "192.0.2.1"
WIRE = "wire"  # the bridge that what is encapsulated leaves by
_VXLAN_PORT = 14789
_PCAP_HEADER, _RECORD_HEADER = 24, 16
_WITNESS = bytes.fromhex("ffffffffffff0600000000ff88b7")
_WITNESS_NUMBER = slice(14, 18)
_FRAME_OCTETS = 64
_LEARNED = re.compile(r"cookie=0x([0-9a-f]+), .*hard_timeout=\d+,.* (priority=.*)")
_UNLIMITED = 10_000_000  # packets per second: time must not change what is forwarded


class Entering(NamedTuple):
    """A frame that enters by an OpenFlow port; with a tunnel ID if that is one of tunnels."""

    frame: bytes
    port: int
    tun_id: int = 0


class Left(NamedTuple):
    """A frame that left by a port, with the VNI if it is one of tunnels."""

    port: str
    frame: bytes
    vni: int = 0


@dataclass(frozen=True)
class TunnelledBridge:
    """A br-cloud with ports that lead nowhere (`plain`), and tunnels to the addresses in `tunnels`, each by name."""

    directory: Path
    plain: Mapping[str, int]
    tunnels: Mapping[str, tuple[int, str]]

    def install(self, flows: Iterable[tuple[int, str]], meters: Iterable[Meter]) -> None:
        """Have exactly these flows, given with their cookies, and none that were learned."""
        unlimited = [PacketMeter(meter.id, _UNLIMITED, _UNLIMITED) for meter in meters]
        metermods.put(self.directory / f"{BRIDGE}.mgmt", unlimited)
        text = "".join(f"cookie={cookie:#x},{flow}\n" for cookie, flow in flows)
        self._ofctl("--bundle", "replace-flows", "-", text=text)

    def learned(self, table: int) -> set[tuple[int, str]]:
        """The flows of a table that were learned, with their cookies, without their time-outs."""
        listed = self._ofctl("--no-names", "dump-flows", f"table={table}")
        return {(int(cookie, 16), f"table={table},{flow}") for cookie, flow in _LEARNED.findall(listed)}

    def trace(self, entry: Entering) -> str:
        """What `ofproto/trace-packet-out` says of a frame (ovs-vswitchd(8)); it is learned from, and goes nowhere."""
        words = BRIDGE, f"in_port={entry.port}", entry.frame.hex(), _actions(entry)
        return _appctl(self.directory, "ofproto/trace-packet-out", *words)

    def receive(self, entering: Sequence[Entering]) -> list[list[Left]]:
        """What leaves for each frame, in order by port; each is followed by a numbered witness, which leaves by all."""
        before = {name: len(self._file(name)) for name in (*self.plain, WIRE)}
        lines = [line for number, entry in enumerate(entering) for line in (_packet_out(entry), self._witness(number))]
        self._ofctl("bundle", "-", text="".join(f"packet-out {line}\n" for line in lines))
        witnesses = {name: len(entering) for name in self.plain} | {WIRE: len(entering) * len(self.tunnels)}

        def left() -> dict[str, list[Left]]:
            return {name: [self._left(name, frame) for frame in self._file(name)[at:]] for name, at in before.items()}

        def complete() -> bool:
            return all(sum(map(_is_witness, of_port)) == witnesses[name] for name, of_port in left().items())

        wait_until(complete, 30, "the witnesses")
        found: list[list[Left]] = [[] for _ in entering]
        for of_port in left().values():
            number = 0
            for one in of_port:
                if _is_witness(one):
                    number = int.from_bytes(one.frame[_WITNESS_NUMBER]) + 1
                else:
                    found[number].append(one)
        return found

    def _witness(self, number: int) -> str:
        frame = (_WITNESS + number.to_bytes(4)).ljust(_FRAME_OCTETS, b"\0")
        ports = [*self.plain.values(), *(port for port, _ in self.tunnels.values())]
        return f"in_port=LOCAL,packet={frame.hex()},actions=" + ",".join(f"output:{port}" for port in ports)

    def _left(self, port: str, octets: bytes) -> Left:
        """Of the wire: Ethernet, IPv4, UDP and VXLAN (RFC 7348) come before the frame."""
        if port != WIRE:
            return Left(port, octets)
        destination, vni = str(IPv4Address(octets[30:34])), int.from_bytes(octets[46:49])
        (tunnel,) = (name for name, (_, address) in self.tunnels.items() if address == destination)
        return Left(tunnel, octets[50:], vni)

    def _file(self, port: str) -> list[bytes]:
        """All frames that have left by a port, from the file in pcap format that Open vSwitch writes."""
        octets, found, at = (self.directory / f"{port}.pcap").read_bytes(), [], _PCAP_HEADER
        while at + _RECORD_HEADER <= len(octets):
            _, _, length, _ = struct.unpack("=IIII", octets[at : at + _RECORD_HEADER])
            found.append(octets[at + _RECORD_HEADER : at + _RECORD_HEADER + length])
            at += _RECORD_HEADER + length
        return found

    def _ofctl(self, *words: str, text: str = "") -> str:
        command, *arguments = [word for word in words if not word.startswith("--")]
        options = [word for word in words if word.startswith("--")]
        target = f"unix:{self.directory}/{BRIDGE}.mgmt"
        line = ["ovs-ofctl", "-O", "OpenFlow15", *options, command, target, *arguments]
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(line)}: {done.stderr}"
        return done.stdout


def _packet_out(entry: Entering) -> str:
    return f"in_port={entry.port},packet={entry.frame.hex()},actions={_actions(entry)}"


def _actions(entry: Entering) -> str:
    """What makes it the frame that enters."""
    tunnel = f"set_field:{entry.tun_id:#x}->tun_id," if entry.tun_id else ""
    return f"{tunnel}resubmit(,0)"


def _is_witness(left: Left) -> bool:
    return left.frame.startswith(_WITNESS)


@contextmanager
def tunnelled_bridge(
    directory: Path, plain: Mapping[str, int], tunnels: Mapping[str, tuple[int, str]]
) -> Iterator[TunnelledBridge]:
    """An Open vSwitch of its own; `tunnels` are OpenFlow ports and remote addresses by name."""
    with start_switch(directory, real_tunnels=True) as socket:
        settings = "set", "Bridge", WIRE, "datapath_type=dummy", "fail_mode=secure"
        vsctl(socket, "add-br", WIRE, "--", *settings)
        _add_dummy(socket, directory, WIRE, WIRE + "0", 1)
        for name, number in plain.items():
            _add_dummy(socket, directory, BRIDGE, name, number)
        for name, (number, address) in tunnels.items():
            _add_tunnel(socket, name, number, address)
        _lead_to_the_wire(directory)
        yield TunnelledBridge(directory, plain, tunnels)


def _add_dummy(socket: str, directory: Path, bridge: str, name: str, number: int) -> None:
    pcap = directory / f"{bridge if bridge == WIRE else name}.pcap"
    device = "set", "Interface", name, "type=dummy", f"ofport_request={number}", f"options:tx_pcap={pcap}"
    vsctl(socket, "add-port", bridge, name, "--", *device)


def _add_tunnel(socket: str, name: str, number: int, remote: str) -> None:
    options = "options:key=flow", f"options:remote_ip={remote}", f"options:dst_port={_VXLAN_PORT}"
    device = "set", "Interface", name, "type=vxlan", f"ofport_request={number}"
    vsctl(socket, "add-port", BRIDGE, name, "--", *device, *options)


def _lead_to_the_wire(directory: Path) -> None:
    """Open vSwitch looks up routes and neighbours of its tunnels itself, on this data path."""
    target = f"unix:{directory}/{WIRE}.mgmt"
    subprocess.run(["ovs-ofctl", "add-flow", target, "actions=output:1"], check=True)
    for command in (
        f"netdev-dummy/ip4addr {WIRE} {_LOCAL}/24",
        f"ovs/route/add 192.0.2.0/24 {WIRE}",
        *(f"tnl/neigh/set {WIRE} 192.0.2.{host} 06:00:00:00:00:{host:02x}" for host in range(2, 16)),
    ):
        _appctl(directory, *command.split())


def _appctl(directory: Path, *words: str) -> str:
    command = ["ovs-appctl", f"--target={directory}/ovs-vswitchd.ctl", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
