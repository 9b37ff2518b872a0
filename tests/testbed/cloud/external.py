"""An external network of a cloud with ML2/OVN, on a bridge of its gateway node, and a host that is outside."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.node.gateway import Gateway
from tests.testbed.node.node import Place
from tests.testbed.workload.ping import PingResult, ping

CIDR: Final = "172.24.4.0/24"
_HOST_ADDRESS: Final = "172.24.4.1"
_BRIDGE, _PHYSICAL_NETWORK, _HOST = "br-ex", "external", "outside"
_MAPPING: Final = f"{_PHYSICAL_NETWORK}:{_BRIDGE}"
# What makes a node one on which Neutron schedules gateways of routers.
_SETTINGS: Final = {"ovn-bridge-mappings": _MAPPING, "ovn-cms-options": "enable-chassis-as-gw"}


@dataclass(frozen=True)
class External:
    """The network, and the host on it, which has no route to any network of a tenant."""

    network_id: str
    host: Place
    host_address: str = _HOST_ADDRESS

    def ping(self, address: str, count: int) -> PingResult:
        """Ping an address from outside."""
        return ping(self.host, address, count, interval_seconds=0.1)


@contextmanager
def external_network(cloud: Cloud) -> Iterator[External]:
    """Tenants may connect their routers to it while the block runs; nothing of it is left."""
    node, network = cloud.gateway, cloud.openstack().network
    with ExitStack() as undo:
        undo.callback(node.run, _removal())
        node.run(["bash", "-ec", _creation()])
        undo.callback(node.channel.forget, _HOST)
        wait_until(lambda: _is_known(cloud, node), 60, f"Neutron to know the external network of {node.name}")
        created: Any = network.create_network(
            name=_PHYSICAL_NETWORK,
            provider_network_type="flat",
            provider_physical_network=_PHYSICAL_NETWORK,
            is_router_external=True,
        )
        undo.callback(network.delete_network, created)
        network.create_subnet(
            network_id=created.id, ip_version=4, cidr=CIDR, gateway_ip=_HOST_ADDRESS, is_dhcp_enabled=False
        )
        yield External(created.id, node.place(_HOST))


def _creation() -> str:
    columns = " ".join(f"external_ids:{key}={value}" for key, value in _SETTINGS.items())
    lines = (
        f"ip netns add {_HOST}",
        f"ovs-vsctl --timeout=30 add-br {_BRIDGE} -- add-port {_BRIDGE} {_HOST}"
        f" -- set Interface {_HOST} type=internal -- set Open_vSwitch . {columns}",
        f"ip link set {_HOST} netns {_HOST}",
        f"ip -n {_HOST} address add {_HOST_ADDRESS}/24 dev {_HOST}",
        f"ip -n {_HOST} link set {_HOST} up",
    )
    return "\n".join(lines)


def _removal() -> str:
    keys = " ".join(_SETTINGS)
    remove = f"remove Open_vSwitch . external_ids {keys} -- --if-exists del-br {_BRIDGE}"
    return f"ovs-vsctl --timeout=30 {remove}; ip netns del {_HOST}"


def _is_known(cloud: Cloud, node: Gateway) -> bool:
    agents = cloud.openstack().network.agents(host=node.name)
    return any("Gateway" in agent.agent_type and _MAPPING in str(agent.configuration) for agent in agents)
