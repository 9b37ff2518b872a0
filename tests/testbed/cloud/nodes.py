"""Gateway nodes of a cloud: booted, registered in its Kubernetes, and a second one for as long as a test needs it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.cloud.servers.daemon import await_server
from tests.testbed.host.process import wait_until
from tests.testbed.node import hosting, openvswitch
from tests.testbed.node.gateway import Gateway
from tests.testbed.state import State

GATEWAY_LABEL: Final = "isthmus.cloud/gateway"
_BOOT_SECONDS: Final = 180.0
_BACK_END_SECONDS: Final = 240.0


def boot(state: State, gateway: Gateway) -> None:
    """Start a node and Open vSwitch on it."""
    site = gateway.site
    hosting.start(site, kernel=state.assets.uml_kernel, namespaces=state.namespaces, directory=state.directory)
    await_server(state.directory, site.gateway, gateway.channel.answers, timeout_seconds=_BOOT_SECONDS)
    openvswitch.start(gateway)


def register(cloud: Cloud, gateway: Gateway) -> None:
    """Create the Kubernetes Node with the label of gateway nodes; it is Ready, as a kubelet would report."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": gateway.name, "labels": {GATEWAY_LABEL: "true"}}}
    cloud.kubectl("apply", "-f", "-", input=json.dumps(node))
    report_ready(cloud, gateway, "True")


def report_ready(cloud: Cloud, gateway: Gateway, status: str) -> None:
    """Set condition Ready of the Node, as its kubelet does, or Kubernetes once the kubelet is silent (`Unknown`)."""
    condition = {"type": "Ready", "status": status, "reason": "Testbed"}
    patch = json.dumps({"status": {"conditions": [condition]}})
    cloud.kubectl("patch", "node", gateway.name, "--subresource=status", "--type=strategic", "-p", patch)


def label(cloud: Cloud, gateway: Gateway, *, is_gateway: bool) -> None:
    """Make the node a gateway node, or an ordinary one, as an administrator does."""
    value = f"{GATEWAY_LABEL}=true" if is_gateway else f"{GATEWAY_LABEL}-"
    cloud.kubectl("label", "node", gateway.name, value, "--overwrite")


@contextmanager
def second_gateway(state: State, cloud: Cloud) -> Iterator[Gateway]:
    """The cloud's second gateway node with everything that the first one has, but Isthmus and DHCP."""
    start_second(state, cloud)
    try:
        yield cloud.second_gateway
    finally:
        remove_second(state, cloud)


def start_second(state: State, cloud: Cloud) -> None:
    """Start the second node, and return when Neutron's back end wires ports on it."""
    gateway = cloud.second_gateway
    boot(state, gateway)
    gateway.back_end.start()
    gateway.charon.start()
    register(cloud, gateway)
    ready = partial(gateway.back_end.ready, cloud.openstack())
    wait_until(ready, _BACK_END_SECONDS, f"back end of {gateway.name}", poll_seconds=0.5)


def remove_second(state: State, cloud: Cloud) -> None:
    """End the second node, if it runs, and remove what Kubernetes, Neutron and the first node know about it."""
    gateway = cloud.second_gateway
    cloud.kubectl("delete", "node", gateway.name, "--ignore-not-found")
    hosting.end(gateway.site, namespaces=state.namespaces, directory=state.directory)
    gateway.channel.forget_all()
    network = cloud.openstack().network
    for agent in network.agents(host=gateway.name):
        network.delete_agent(agent)
    _remove_tunnels_to(gateway, cloud)


def _remove_tunnels_to(gone: Gateway, cloud: Cloud) -> None:
    """ML2/OVS never removes the tunnel port to an agent that is gone; ML2/OVN removes it soon, but not its QoS."""
    node, address = cloud.gateway, gone.site.gateway_address.ip
    find = f"ovs-vsctl --timeout=30 --bare --columns=name find Interface options:remote_ip={address}"
    if cloud.back_end == "ovs":
        node.run(f"for port in $({find}); do ovs-vsctl --timeout=30 del-port $port; done")
    wait_until(lambda: not node.run(find).stdout.strip(), 30, f"{node.name} to have no tunnel to {gone.name}")
    unused = "ovs-vsctl --timeout=30 --bare --columns=_uuid find QoS type=linux-noop"
    node.run(f"for row in $({unused}); do ovs-vsctl --timeout=30 destroy QoS $row; done")
