"""Two controllers converge from arbitrary states within a bounded number of rounds, and then write nothing.

Whatever users did before: once they withdraw everything, nothing of ours is left and nothing of theirs is harmed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import GatewayChoice, NetworkExpansion
from isthmus.model.errors import Conflict
from isthmus.model.facts.openstack import Port
from tests.fakes.addresses import addresses_of
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, FakeFederation

MAX_ROUNDS = 12


class Simulation:
    """Two clouds with two tenants each, and what users may do in any order."""

    def __init__(self) -> None:
        self.federation = FakeFederation()
        self.federation.agree()
        self.machines: list[tuple[FakeCloud, Port]] = []
        self.tenants = [
            (cloud, name, *cloud.tenant(name, cidr))
            for cloud in self.federation.clouds
            for name, cidr in (("shop", "10.20.0.0/24"), ("bakery", "10.20.0.0/24"))
        ]
        self.original = [(subnet, network) for _, _, _, network, subnet in self.tenants]

    def peer_of(self, cloud: FakeCloud) -> FakeCloud:
        first, second = self.federation.clouds
        return second if cloud is first else first

    def expand(self, which: int, gateway: GatewayChoice = "Origin") -> None:
        cloud, name, _, network, _ = self.tenants[which]
        found = cloud.expansion(name)
        if found is None or not found.metadata.deletion_timestamp:
            cloud.expand(network.id, self.peer_of(cloud).cloud_id, namespace=name, gateway=gateway)

    def expand_with_local_gateway(self, which: int) -> None:
        self.expand(which, "Local")

    def expand_without_gateway(self, which: int) -> None:
        self.expand(which, "None")

    def route(self, which: int) -> None:
        """Attach a router to each replica in the peer's cloud that has a gateway which no port has."""
        peer = self.peer_of(self.tenants[which][0])
        for subnet in list(peer.neutron.subnets.values()):
            if subnet.description and subnet.gateway_ip:
                try:
                    port = peer.neutron.attach_router(subnet.network_id, subnet.project_id, subnet.gateway_ip)
                except Conflict:
                    continue
                self.machines.append((peer, port))

    def withdraw(self, which: int) -> None:
        cloud, name, *_ = self.tenants[which]
        cloud.kubectl.delete(NetworkExpansion, "web", name)

    def unbind(self, which: int) -> None:
        cloud, name, *_ = self.tenants[which]
        cloud.namespace(name)

    def bind(self, which: int) -> None:
        cloud, name, project, *_ = self.tenants[which]
        cloud.namespace(name, {names.PROJECT_ANNOTATION: project})

    def boot(self, which: int) -> None:
        """Boot a machine on the tenant's network, and one on each replica."""
        cloud, _, project, network, _ = self.tenants[which]
        peer = self.peer_of(cloud)
        places = [(cloud, network.id, project)]
        places += [(peer, n.id, n.project_id) for n in peer.neutron.networks.values() if n.description]
        for where, network_id, owner in places:
            try:
                self.machines.append((where, where.neutron.boot(network_id, owner)))
            except Conflict:
                continue

    def destroy_machines(self, _: int) -> None:
        for cloud, port in self.machines:
            cloud.neutron.delete_port(port.id)
        self.machines.clear()

    def edit_ports(self, which: int) -> None:
        """An administrator edits the descriptions of all ports of Isthmus in the tenant's cloud."""
        ports = self.tenants[which][0].neutron.ports
        ours = [port for port in ports.values() if port.device_owner.startswith("isthmus")]
        ports.update({port.id: replace(port, description="edited") for port in ours})

    def delete_peer(self, which: int) -> None:
        cloud = self.tenants[which][0]
        cloud.kubectl.delete(CloudPeer, self.peer_of(cloud).cloud_id)

    def agree(self, which: int) -> None:
        cloud = self.tenants[which][0]
        found = cloud.kubectl.get(CloudPeer, self.peer_of(cloud).cloud_id)
        if found is None or not found.metadata.deletion_timestamp:
            cloud.agree(self.peer_of(cloud))

    def cordon(self, which: int) -> None:
        cloud = self.tenants[which][0]
        peer = self.peer_of(cloud)
        if cloud.kubectl.get(CloudPeer, peer.cloud_id) is not None:
            cloud.kubectl.apply(cloud.cloud_peer(peer, agreement={"state": "Cordoned"}))

    def drain(self, which: int) -> None:
        """With a deadline that has come, or that comes as time passes."""
        cloud = self.tenants[which][0]
        peer = self.peer_of(cloud)
        if cloud.kubectl.get(CloudPeer, peer.cloud_id) is not None:
            drain = {"graceSeconds": int(GRACE_SECONDS) if which % 2 else 0}
            cloud.kubectl.apply(cloud.cloud_peer(peer, agreement={"state": "Drained", "drain": drain}))

    def accept_manually(self, which: int) -> None:
        cloud = self.tenants[which][0]
        peer = self.peer_of(cloud)
        if cloud.kubectl.get(CloudPeer, peer.cloud_id) is not None:
            cloud.kubectl.apply(cloud.cloud_peer(peer, agreement={"acceptance": "Manual"}))

    def limit(self, which: int) -> None:
        """Room for one project of the peer, of which the first that comes is accepted."""
        cloud = self.tenants[which][0]
        peer = self.peer_of(cloud)
        if cloud.kubectl.get(CloudPeer, peer.cloud_id) is not None:
            limits = {"projects": 1} if which % 2 else {"ports": 399}
            cloud.kubectl.apply(cloud.cloud_peer(peer, agreement={"limits": limits}))

    def refuse_project(self, which: int) -> None:
        """The peer accepts no further network of the tenant's project."""
        cloud, _, project, *_ = self.tenants[which]
        peer = self.peer_of(cloud)
        if peer.kubectl.get(CloudPeer, cloud.cloud_id) is not None:
            peer.kubectl.apply(peer.cloud_peer(cloud, agreement={"refusedProjects": [project]}))

    def approve(self, which: int) -> None:
        self._decide(which, "Accept")

    def refuse(self, which: int) -> None:
        self._decide(which, "Refuse")

    def forget_decision(self, which: int) -> None:
        cloud, _, _, network, _ = self.tenants[which]
        name, home = names.link_name(cloud.cloud_id, network.id), names.peer_namespace(cloud.cloud_id)
        self.peer_of(cloud).kubectl.delete(ExpansionApproval, name, home)

    def _decide(self, which: int, decision: str) -> None:
        """The receiver's administrator decides about the tenant's network, if the namespace for it is there."""
        cloud, _, _, network, _ = self.tenants[which]
        name, home = names.link_name(cloud.cloud_id, network.id), names.peer_namespace(cloud.cloud_id)
        kubectl = self.peer_of(cloud).kubectl
        namespace = kubectl.get_manifest("v1", "Namespace", home)
        if namespace is not None and "deletionTimestamp" not in namespace["metadata"]:
            metadata = ObjectMeta(name=name, namespace=home)
            kubectl.apply(ExpansionApproval.model_validate({"metadata": metadata, "spec": {"decision": decision}}))

    def forget_withdrawn(self, which: int) -> None:
        """Wait no longer for the peer's release of the tenant's network."""
        cloud, _, _, network, _ = self.tenants[which]
        name, home = names.link_name(cloud.cloud_id, network.id), names.peer_namespace(self.peer_of(cloud).cloud_id)
        link = cloud.kubectl.get(ExpansionLink, name, home)
        if link is not None and link.spec.state == "Withdrawn":
            metadata = link.metadata.model_copy(update={"annotations": {names.FORGET_ANNOTATION: "true"}})
            cloud.kubectl.apply(link.model_copy(update={"metadata": metadata}))

    def toggle_api(self, which: int) -> None:
        """Start or end an outage of this cloud's API for its peers (its own controller can still read it)."""
        cloud = self.tenants[which][0]
        reader = self.peer_of(cloud).peers
        reader.unreachable = not reader.unreachable

    def restart(self, which: int) -> None:
        self.tenants[which][0].restart()

    def cycle(self, which: int) -> None:
        cloud = self.tenants[which][0]
        cloud.play_agent()
        cloud.cycle()

    def pass_time(self, _: int) -> None:
        self.federation.clock.move(GRACE_SECONDS)

    def settle(self) -> None:
        assert self.federation.settle(MAX_ROUNDS) <= MAX_ROUNDS
        for cloud in self.federation.clouds:
            self._check(cloud)

    def _check(self, cloud: FakeCloud) -> None:
        assert [p for where, p in self.machines if where is cloud and cloud.neutron.ports.get(p.id) != p] == []
        paths = [(path.cloud_id, path.tunnel_id) for a in cloud.attachments() for path in a.spec.links]
        assert len(paths) == len(set(paths)), "a tunnel ID is connected twice"
        for subnet in cloud.neutron.subnets.values():
            gateway = subnet.gateway_ip
            assert gateway is None or all(gateway not in addresses_of([pool]) for pool in subnet.pools)
        attached = [
            p.network_id for p in cloud.neutron.ports.values() if p.device_owner == names.ATTACHMENT_DEVICE_OWNER
        ]
        assert len(attached) == len(set(attached)), "a network is attached twice"

    def remove_everything(self) -> None:
        """Withdraw everything while peers can read each other and time passes, and check that nothing is left."""
        for cloud in self.federation.clouds:
            cloud.peers.unreachable = False
        for _ in ("finish deleting peers", "peer again"):
            for which in range(len(self.tenants)):
                self.agree(which)
            self.federation.settle(MAX_ROUNDS)
        for which in range(len(self.tenants)):
            self.withdraw(which)
        self.federation.settle(MAX_ROUNDS)
        self.federation.clock.move(GRACE_SECONDS)
        self.federation.settle(MAX_ROUNDS)
        self.settle()
        self.destroy_machines(0)
        self.settle()
        for cloud, name, _, network, subnet in self.tenants:
            assert cloud.expansion(name) is None
            assert cloud.neutron.networks[network.id] == network
            assert cloud.neutron.subnets[subnet.id] == subnet
        for cloud in self.federation.clouds:
            assert (cloud.attachments(), cloud.links()) == ([], [])
            assert len(cloud.neutron.networks) == len(self.tenants) // 2
            assert [p for p in cloud.neutron.ports.values() if p.device_owner.startswith("isthmus")] == []


ACTIONS: tuple[Callable[[Simulation, int], None], ...] = (
    Simulation.expand,
    Simulation.expand_with_local_gateway,
    Simulation.expand_without_gateway,
    Simulation.route,
    Simulation.withdraw,
    Simulation.unbind,
    Simulation.bind,
    Simulation.boot,
    Simulation.destroy_machines,
    Simulation.edit_ports,
    Simulation.delete_peer,
    Simulation.agree,
    Simulation.cordon,
    Simulation.drain,
    Simulation.drain,
    Simulation.accept_manually,
    Simulation.limit,
    Simulation.refuse_project,
    Simulation.approve,
    Simulation.refuse,
    Simulation.refuse,
    Simulation.forget_decision,
    Simulation.forget_withdrawn,
    Simulation.toggle_api,
    Simulation.restart,
    Simulation.cycle,
    Simulation.cycle,
    Simulation.cycle,
    Simulation.pass_time,
)


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3)), max_size=25))
@settings(suppress_health_check=list(HealthCheck))
def test_converges_and_everything_can_be_removed(steps: list[tuple[Callable[[Simulation, int], None], int]]) -> None:
    kubectl = Simulation()
    kubectl.settle()
    for action, which in steps:
        action(kubectl, which)
    kubectl.settle()
    kubectl.remove_everything()
