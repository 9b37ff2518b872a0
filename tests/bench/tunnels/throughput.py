"""TCP and UDP of a stretched network, between the hosts, and through routers, in interleaved rounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path as Directory
from typing import Final

from isthmus.adapters.linux.devices import KernelTunnelDevices
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.agent.clamping import Clamping, wanted_clamps
from isthmus.model.node.firewall import DEVICE_FAMILY
from tests.bench.tunnels import ciphers
from tests.bench.tunnels.esp import End, protect
from tests.bench.tunnels.iperf import Arrived, Path
from tests.bench.tunnels.rounds import Run
from tests.bench.tunnels.routed import routed
from tests.kernel.kinds import HUB, Cloud, Federation, federation
from tests.kernel.openvswitch import inside, sh

CIPHERS: Final = {"b": "aes256gcm16", "c": "chacha20poly1305"}
"""By peer."""
PACKET_BYTES: Final = (64, 128, 256, 512, 1024, 1400, 1500, 4000, 9000)
STREAMS: Final = 10
TCP_ROUNDS: Final = 7
UDP_ROUNDS: Final = 3
_TCP_SECONDS: Final = 2
_UDP_SECONDS: Final = 1
_MTU: Final = 1416  # of the stretched networks, by VXLAN in transport mode
_SEGMENT_BYTES: Final = _MTU - 40


def measure(directory: Directory) -> list[Run]:
    """All rounds of TCP, then all of UDP."""
    with federation(dict.fromkeys(CIPHERS, "VXLAN"), directory) as made, ExitStack() as undo:
        for peer, cipher in CIPHERS.items():
            ciphers.use(made, peer, cipher)
        made.fences()
        made.connect()
        for peer, cipher in CIPHERS.items():
            ciphers.require(made, peer, cipher)
        for cloud in made.clouds.values():
            _limit_segments(cloud)
        hosts, stretched = _hosts(), _stretched(made)
        through_routers = undo.enter_context(routed(made, CIPHERS))
        for path in (*hosts, *stretched, *through_routers):
            undo.enter_context(path.served())
        return [*_tcp(hosts, stretched, through_routers), *_udp(stretched[0], through_routers[0])]


def case(cipher: str, streams: int) -> str:
    """Name of the runs of TCP."""
    return f"TCP, {cipher}, {streams} {'stream' if streams == 1 else 'streams'}"


def udp_case(packet_bytes: int) -> str:
    """Name of the runs of UDP."""
    return f"UDP, {packet_bytes} bytes"


def _tcp(hosts: list[Path], stretched: list[Path], through_routers: list[Path]) -> Iterator[Run]:
    for path in (*hosts, *stretched, *through_routers):
        path.tcp(1)  # so that addresses and path MTUs are known
    for number in range(TCP_ROUNDS):
        for paths in zip(hosts, stretched, through_routers, strict=True):
            for path in paths[:2]:
                arrived = path.tcp(_TCP_SECONDS, segment_bytes=_SEGMENT_BYTES)
                yield _run(number, case(path.cipher, 1), path, arrived)
            for path in paths[1:]:
                yield _run(number, case(path.cipher, STREAMS), path, path.tcp(_TCP_SECONDS, STREAMS))


def _udp(*paths: Path) -> Iterator[Run]:
    for number in range(UDP_ROUNDS):
        for packet_bytes in PACKET_BYTES:
            for path in paths:
                yield _run(number, udp_case(packet_bytes), path, path.udp(_UDP_SECONDS, packet_bytes))


def _run(number: int, name: str, path: Path, arrived: Arrived) -> Run:
    megabits = arrived.bits / arrived.seconds / 1e6
    print(f"round {number}: {name}, {path.name}: {megabits:.1f} Mbit/s", flush=True)
    return Run(number, name, path.name, arrived.bits, arrived.seconds, arrived.number)


def _limit_segments(cloud: Cloud) -> None:
    """As its agent does."""
    addresses = inside(cloud.node.name, RtNetlink().view).addresses
    wanted = wanted_clamps(replace(cloud.plan, addresses=addresses), cloud.database.view())
    inside(cloud.node.name, lambda: Clamping(Nft(DEVICE_FAMILY), KernelTunnelDevices()).follow(wanted))


def _stretched(federation: Federation) -> list[Path]:
    """From a machine of the hub to one of each peer, which know the MTU of their network."""
    paths = []
    for peer, cipher in CIPHERS.items():
        for netns in (f"vm-{HUB}{peer}", f"vm-{peer}{HUB}"):
            sh(f"ip link set eth0 mtu {_MTU}", netns)
        machine = federation.machines[peer]
        paths.append(Path("stretched", cipher, machine.netns, f"vm-{peer}{HUB}", machine.far, HUB))
    return paths


def _hosts() -> list[Path]:
    """From the hub to each peer by additional addresses, between which ESP in transport mode protects everything."""
    paths = []
    for number, (peer, cipher) in enumerate(CIPHERS.items(), 1):
        near, far = _host(HUB, 200 + 2 * number), _host(peer, 201 + 2 * number)
        sh(f"ip route add {far.address} dev eth0 src {near.address}", HUB)
        protect((near, far), "transport", cipher, number)
        paths.append(Path("hosts", cipher, HUB, peer, far.address, HUB))
    return paths


def _host(netns: str, host: int) -> End:
    address = f"192.0.2.{host}"
    sh(f"ip addr add {address}/24 dev eth0", netns)
    return End(netns, address, f"{address}/32")
