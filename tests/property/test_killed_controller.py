"""A controller that dies, or loses a reply, after any effect of a lifecycle converges without orphans or duplicates."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.errors import Unavailable
from isthmus.model.facts.openstack import Network, Port
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.killing import Effects, Killed

Error = Callable[[], BaseException]
ERRORS: dict[str, Error] = {"killed": Killed, "reply-lost": lambda: Unavailable("no answer")}


class Lifecycle:
    """Peer, stretch, boot a machine, withdraw, delete the machine, delete the peers; one controller fails once."""

    def __init__(
        self, victim: int, fail_after: int | None, error: Error, *, again: int | None = None, remote_ports: int = 0
    ) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.remote_owners = ["isthmus:remote"] if remote_ports else []  # of the DHCP port of the other cloud
        for cloud in self.federation.clouds:
            cloud.settings = cloud.settings.model_copy(update={"remote_ports_per_network": remote_ports})
            cloud.restart()
        self.effects = Effects(fail_after, error)
        self.recovery = Effects(again, error)
        self.victim = self.federation.clouds[victim]
        self.victim.restart(self.effects.around(self.victim.backends))

    def settle(self) -> None:
        """Run until nothing changes; a controller that dies is restarted."""
        while True:
            try:
                self.federation.settle()
                return
            except Killed:
                self.victim.restart(self.recovery.around(self.victim.backends))

    def run(self) -> None:
        """The whole lifecycle, with the expected state after each step."""
        _, network, _ = self.a.tenant()
        self.settle()
        before = self.contents()
        self.federation.agree()
        self.settle()
        between = self.contents()
        self.a.expand(network.id, "cloud-b")
        self.settle()
        assert reason(self.a.expansion()) == "Ready"
        machine = self._boot_on_the_replica(network)
        self.a.kubectl.delete(NetworkExpansion, "web", "shop")
        self.settle()
        assert self.a.expansion() is None
        self._check_replica_in_use(machine)
        self.b.neutron.delete_port(machine.id)
        self.settle()
        assert self.contents() == between, "after the withdrawal"
        self._delete_peers()
        assert self.contents() == before, "after the deletion of the peers"

    def contents(self) -> list[object]:
        """All objects of both OpenStack and both Kubernetes clouds."""
        return [(cloud.neutron.contents(), cloud.store.contents()) for cloud in self.federation.clouds]

    def _delete_peers(self) -> None:
        """Each side deletes its CloudPeer, then policy and credential."""
        for cloud, peer in ((self.a, self.b), (self.b, self.a)):
            cloud.kubectl.delete(CloudPeer, peer.cloud_id)
        self.settle()
        for cloud, peer in ((self.a, self.b), (self.b, self.a)):
            cloud.forget(peer)
        self.settle()

    def _boot_on_the_replica(self, network: Network) -> Port:
        replica = self._check_stretched(network)
        machine = self.b.neutron.boot(replica.id, replica.project_id)
        self.settle()
        return machine

    def _check_stretched(self, network: Network) -> Network:
        (replica,) = self.b.neutron.networks.values()
        assert len(self.b.neutron.subnets) == 1
        assert self.a.neutron.networks[network.id].mtu == replica.mtu == 1416
        assert _owners(self.a) == ["isthmus:attachment", *self.remote_owners, "network:dhcp"]
        assert _owners(self.b) == ["isthmus:attachment", "isthmus:gateway", *self.remote_owners, "network:dhcp"]
        return replica

    def _check_replica_in_use(self, machine: Port) -> None:
        """Only the replica is left, because of its machine."""
        (left,) = self.b.attachments()
        assert (reason(left), reason(left, "ReplicaInUse")) == ("ReplicaInUse", "PortsLeft")
        assert self.b.neutron.ports[machine.id] == machine
        assert not {"isthmus:attachment", "isthmus:remote"} & {*_owners(self.b)}
        assert (self.a.attachments(), self.a.links(), self.b.links()) == ([], [], [])


def _owners(cloud: FakeCloud) -> list[str]:
    return sorted(port.device_owner for port in cloud.neutron.ports.values())


@pytest.mark.parametrize("victim", [0, 1], ids=["origin", "receiver"])
@pytest.mark.parametrize(("error", "remote_ports"), [("killed", 10), ("reply-lost", 0)])
def test_failure_after_every_effect(victim: int, error: str, remote_ports: int) -> None:
    undisturbed = Lifecycle(victim, None, ERRORS[error], remote_ports=remote_ports)
    undisturbed.run()
    assert undisturbed.effects.count > 30
    for fail_after in range(1, undisturbed.effects.count + 1):
        lifecycle = Lifecycle(victim, fail_after, ERRORS[error], remote_ports=remote_ports)
        try:
            lifecycle.run()
        except AssertionError as failed:
            raise AssertionError(f"failure after effect {fail_after}") from failed
        assert lifecycle.effects.count >= fail_after, "there was no failure"


def test_remote_ports_have_effects_of_their_own() -> None:
    without, with_ports = (Lifecycle(0, None, Killed, remote_ports=limit) for limit in (0, 10))
    without.run()
    with_ports.run()
    assert with_ports.effects.count > without.effects.count


@pytest.mark.long
@pytest.mark.parametrize("again", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("victim", [0, 1], ids=["origin", "receiver"])
def test_killed_again_during_recovery(victim: int, again: int) -> None:
    undisturbed = Lifecycle(victim, None, Killed)
    undisturbed.run()
    for fail_after in range(1, undisturbed.effects.count + 1):
        try:
            Lifecycle(victim, fail_after, Killed, again=again).run()
        except AssertionError as failed:
            raise AssertionError(
                f"killed after effect {fail_after} and after effect {again} of the recovery"
            ) from failed
