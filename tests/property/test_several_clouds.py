"""Controllers of several clouds converge whatever the topologies and agreements, and no tunnel ID leads astray.

Agents and controllers may be late, and be killed, at any step. What an agent has installed is what its Attachments were
when it ran last: it counts as its data plane until it runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval, ExpansionApprovalSpec
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion, PeerReference
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, FakeFederation

MAX_ROUNDS = 24
TOPOLOGIES = ("Centralized", "Decentralized", "Hybrid")
AGREEMENTS: tuple[dict[str, object], ...] = (
    {},
    {"members": "ThroughOrigin"},
    {"disclose": False},
    {"state": "Cordoned"},
    {"state": "Drained", "drain": {"graceSeconds": int(GRACE_SECONDS)}},
    {"acceptance": "Manual"},
    {"limits": {"networks": 0}},
)
DECISIONS: tuple[Literal["Accept", "Refuse"] | None, ...] = ("Accept", "Refuse", None)
Use = tuple[str, int, str]
"""Cloud ID of the peer, tunnel ID, and the network whose frames that means."""


class Simulation:
    """Clouds with a tenant each, and what users may do in any order."""

    def __init__(self, clouds: int) -> None:
        self.federation = FakeFederation(*"abcde"[:clouds])
        self.federation.agree()
        self.tenants = [
            (cloud, *cloud.tenant("shop", f"10.{20 + index}.0.0/24")[1:])
            for index, cloud in enumerate(self.federation.clouds)
        ]
        self.installed: dict[str, list[Attachment]] = {cloud.cloud_id: [] for cloud in self.federation.clouds}
        self._settle()

    def _others(self, cloud: FakeCloud) -> list[FakeCloud]:
        return [other for other in self.federation.clouds if other is not cloud]

    def expand(self, where: int, choice: int) -> None:
        """Stretch the tenant's network to one peer or all, or change that, and the topology."""
        cloud, network, _ = self.tenants[where]
        others = self._others(cloud)
        peers = [others[choice % len(others)]] if choice % 4 < 2 else others
        found = cloud.expansion()
        if found is None:
            cloud.expand(network.id, *(peer.cloud_id for peer in peers))
            found = cloud.expansion()
        assert found is not None
        if not found.metadata.deletion_timestamp:
            references = tuple(PeerReference(name=peer.cloud_id) for peer in peers)
            wanted = {"peers": references, "topology": TOPOLOGIES[choice % 3]}
            spec = found.spec.model_copy(update=wanted)
            cloud.kubectl.apply(NetworkExpansion(metadata=found.metadata, spec=spec))

    def withdraw(self, where: int, _: int) -> None:
        self.tenants[where][0].kubectl.delete(NetworkExpansion, "web", "shop")

    def amend(self, where: int, choice: int) -> None:
        """Change the agreement with a peer, or agree again."""
        cloud = self.tenants[where][0]
        others = self._others(cloud)
        peer = others[choice % len(others)]
        found = cloud.kubectl.get(CloudPeer, peer.cloud_id)
        if found is None:
            cloud.agree(peer)
        elif not found.metadata.deletion_timestamp:
            cloud.kubectl.apply(cloud.cloud_peer(peer, agreement=AGREEMENTS[choice % len(AGREEMENTS)]))

    def decide(self, where: int, choice: int) -> None:
        """Decide about the network of a peer's tenant, or take that back."""
        cloud = self.tenants[where][0]
        others = [tenant for tenant in self.tenants if tenant[0] is not cloud]
        origin, network, _ = others[choice % len(others)]
        namespace, name = names.peer_namespace(origin.cloud_id), names.link_name(origin.cloud_id, network.id)
        decision = DECISIONS[choice % len(DECISIONS)]
        if decision is None:
            cloud.kubectl.delete(ExpansionApproval, name, namespace)
        elif cloud.kubectl.get(CloudPeer, origin.cloud_id) is not None:
            metadata = ObjectMeta(name=name, namespace=namespace)
            cloud.kubectl.apply(ExpansionApproval(metadata=metadata, spec=ExpansionApprovalSpec(decision=decision)))

    def part(self, where: int, choice: int) -> None:
        cloud = self.tenants[where][0]
        others = self._others(cloud)
        cloud.kubectl.delete(CloudPeer, others[choice % len(others)].cloud_id)

    def toggle_reading(self, where: int, _: int) -> None:
        """This cloud can read no peer, or all of them again."""
        reader = self.tenants[where][0].peers
        reader.unreachable = not reader.unreachable

    def restart(self, where: int, _: int) -> None:
        self.tenants[where][0].restart()

    def control(self, where: int, _: int) -> None:
        """One cycle of the controller, whose agent may be late."""
        self.tenants[where][0].cycle()

    def run_agent(self, where: int, _: int) -> None:
        cloud = self.tenants[where][0]
        cloud.play_agent()
        self.installed[cloud.cloud_id] = cloud.attachments()

    def pass_time(self, _: int, __: int) -> None:
        self.federation.clock.move(GRACE_SECONDS)

    def settle(self, _: int = 0, __: int = 0) -> None:
        for cloud in self.federation.clouds:
            cloud.peers.unreachable = False
        self._settle()

    def settle_with_a_late_agent(self, late: int, _: int) -> None:
        self._settle(late)

    def _settle(self, late: int | None = None) -> None:
        for _ in range(MAX_ROUNDS):
            before = self.federation.writes()
            for where in range(len(self.tenants)):
                if where != late:
                    self.run_agent(where, 0)
                self.check()
                self.control(where, 0)
                self.check()
            if self.federation.writes() == before:
                return
        raise AssertionError(f"not settled after {MAX_ROUNDS} rounds")

    def check(self) -> None:
        """No two networks share a tunnel ID between two clouds, as far as any agent may have it."""
        uses = {cloud.cloud_id: {*self._uses(cloud)} for cloud in self.federation.clouds}
        for here, found in uses.items():
            for peer, tunnel_id, network in found:
                others = {(p, t, n) for p, t, n in found if (p, t) == (peer, tunnel_id)}
                others |= {(here, t, n) for p, t, n in uses[peer] if (p, t) == (here, tunnel_id)}
                assert {n for _, _, n in others} == {network}, f"tunnel ID {tunnel_id} of {here} and {peer}: {others}"

    def _uses(self, cloud: FakeCloud) -> Iterator[Use]:
        """What the cloud's agent has installed. Without its Neutron port nothing is delivered to a network."""
        for attachment in self.installed[cloud.cloud_id]:
            name, spec = attachment.metadata.name, attachment.spec
            has_port = any(port.port_id in cloud.neutron.ports for port in spec.ports)
            for link in spec.links:
                if has_port:
                    yield link.cloud_id, link.tunnel_id, name
                yield from ((link.cloud_id, path.tunnel_id, name) for path in link.members)
            yield from ((path.cloud_id, path.tunnel_id, name) for path in spec.direct_paths)

    def check_paths(self) -> None:
        """At rest a direct path is there at both ends, by the same tunnel ID, or at none, if they are peers.

        Of a cloud that has ended the agreement nothing is read any more: the other one keeps its end until it does so.
        """
        peers = {
            (cloud.cloud_id, peer.metadata.name)
            for cloud in self.federation.clouds
            for peer in cloud.kubectl.list_objects(CloudPeer)
        }
        ends = {
            (cloud.cloud_id, path.cloud_id, attachment.metadata.name, path.tunnel_id)
            for cloud in self.federation.clouds
            for attachment in cloud.attachments()
            for path in attachment.spec.direct_paths
            if (path.cloud_id, cloud.cloud_id) in peers
        }
        assert ends == {(there, here, name, tunnel_id) for here, there, name, tunnel_id in ends}

    def remove_everything(self) -> None:
        """Peer again, withdraw everything, and see that nothing is left."""
        self.settle()
        for _ in ("finish deleting peers", "peer again"):
            for cloud in self.federation.clouds:
                for peer in self._others(cloud):
                    found = cloud.kubectl.get(CloudPeer, peer.cloud_id)
                    if found is None or not found.metadata.deletion_timestamp:
                        cloud.agree(peer)
            self.settle()
        for where in range(len(self.tenants)):
            self.withdraw(where, 0)
        self.settle()
        self.federation.clock.move(GRACE_SECONDS)
        self.settle()
        for cloud in self.federation.clouds:
            assert (cloud.attachments(), cloud.links(), cloud.member_links()) == ([], [], [])
            assert len(cloud.neutron.networks) == 1


ACTIONS: tuple[Callable[[Simulation, int, int], None], ...] = (
    Simulation.expand,
    Simulation.expand,
    Simulation.expand,
    Simulation.withdraw,
    Simulation.amend,
    Simulation.amend,
    Simulation.decide,
    Simulation.part,
    Simulation.toggle_reading,
    Simulation.restart,
    Simulation.control,
    Simulation.control,
    Simulation.control,
    Simulation.run_agent,
    Simulation.run_agent,
    Simulation.pass_time,
    Simulation.settle,
    Simulation.settle,
    Simulation.settle_with_a_late_agent,
    Simulation.settle_with_a_late_agent,
    Simulation.settle_with_a_late_agent,
)
Steps = list[tuple[Callable[[Simulation, int, int], None], int, int]]


def steps(clouds: int) -> st.SearchStrategy[Steps]:
    """Other agreements first: those that are changed later seldom come before a network is stretched."""
    where_and_choice = st.integers(0, clouds - 1), st.integers(0, 11)
    amendments = st.lists(st.tuples(st.just(Simulation.amend), *where_and_choice), max_size=4)
    actions = st.lists(st.tuples(st.sampled_from(ACTIONS), *where_and_choice), max_size=16)
    return st.builds(lambda first, then: first + then, amendments, actions)


@pytest.mark.parametrize("clouds", [3, *(pytest.param(number, marks=pytest.mark.long) for number in (2, 4, 5))])
@given(st.data())
@settings(suppress_health_check=list(HealthCheck))
def test_converges_and_no_tunnel_id_means_two_networks(clouds: int, data: st.DataObject) -> None:
    users = Simulation(clouds)
    for action, where, choice in data.draw(steps(clouds)):
        action(users, where, choice)
        users.check()
    users.settle()
    users.check_paths()
    users.remove_everything()
