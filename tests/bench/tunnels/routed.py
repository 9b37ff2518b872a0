"""A path between two networks as Neutron's VPNaaS makes it, on the nodes of a federation.

machine ─ br-int ─ router ─ br-ex ─ wire ─ br-ex ─ router ─ br-int ─ machine

A router is a network namespace with an interface of br-int and one of br-ex, where ESP in tunnel mode begins, and
iptables as Neutron has them: it tracks connections for source NAT, which IPsec is exempt from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.bench.tunnels.esp import End, protect
from tests.bench.tunnels.iperf import Path
from tests.bench.tunnels.routertables import tables
from tests.kernel.kinds import HUB, Cloud, Federation
from tests.kernel.openvswitch import sh

_TENANT_MTU: Final = 1450
"""What Neutron gives a network of VXLAN: of the VPN it knows nothing, so that machines learn the path's."""
_FIRST_TAG: Final = 101


@contextmanager
def routed(federation: Federation, ciphers: dict[str, str]) -> Iterator[list[Path]]:
    """Paths from the hub to each peer, by whose cipher."""
    made: list[str] = []
    try:
        for name in (HUB, *ciphers):
            _add_external_bridge(federation.clouds[name])
        paths = []
        for number, (peer, cipher) in enumerate(ciphers.items(), 1):
            near = _add_router(federation.hub, f"{HUB}{peer}", number, made)
            far = _add_router(federation.clouds[peer], f"{peer}{HUB}", number, made)
            protect((near, far), "tunnel", cipher, 0x100 + number)
            address = _host(far.network, 2)
            paths.append(Path("routed", cipher, f"vpn-{HUB}{peer}", f"vpn-{peer}{HUB}", address, near.netns))
        yield paths
    finally:
        for netns in made:
            sh(f"ip netns del {netns}")


def _host(network: str, host: int) -> str:
    return f"{network.rpartition('.')[0]}.{host}"


def _add_external_bridge(cloud: Cloud) -> None:
    """With an interface of its own to the wire, as Neutron's guides have it."""
    name = cloud.node.name
    sh(
        f"ip link add wan-{name}x type veth peer name ext netns {name} && ip link set wan-{name}x master wan up\n"
        f"ip -n {name} link set ext up"
    )
    cloud.switch.vsctl("add-br br-ex -- add-port br-ex ext")


def _add_router(cloud: Cloud, name: str, number: int, made: list[str]) -> End:
    """A router with a tenant's network and a machine in it."""
    node, router = cloud.node.name, f"router-{name}"
    side = 0 if node == HUB else 1
    network, external = f"10.4{side}.{number}.0/24", f"192.0.2.{100 + 2 * number + side}"
    other = f"10.4{1 - side}.{number}.0/24"
    cloud.switch.attach_port(f"vpn-{name}", _host(network, 2), _FIRST_TAG + number)
    made.append(f"vpn-{name}")
    sh(f"ip netns add {router}")
    made.append(router)
    for bridge, port in (("br-int", f"qr-{name}"), ("br-ex", f"qg-{name}")):
        tag = f"tag={_FIRST_TAG + number}" if bridge == "br-int" else ""
        cloud.switch.vsctl(f"add-port {bridge} {port} {tag} -- set Interface {port} type=internal")
        sh(f"ip -n {node} link set {port} netns {router}")
    sh(
        f"ip link set lo up; sysctl -qw net.ipv4.ip_forward=1\n"
        f"ip addr add {_host(network, 1)}/24 dev qr-{name}; ip link set qr-{name} mtu {_TENANT_MTU} up\n"
        f"ip addr add {external}/24 dev qg-{name}; ip link set qg-{name} up\n"
        f"ip route add {other} dev qg-{name} via 192.0.2.{100 + 2 * number + 1 - side}",
        router,
    )
    rules = tables(internal=f"qr-{name}", external=f"qg-{name}", network=network, other=other)
    sh(f"iptables-restore <<'END'\n{rules}END", router)
    machine = f"ip link set eth0 mtu {_TENANT_MTU}; ip route add default via {_host(network, 1)}"
    sh(machine, f"vpn-{name}")
    return End(router, external, network)
