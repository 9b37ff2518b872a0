"""The controller dies, or loses a reply, after every single effect of a stretch's life: it converges, no orphan, no
duplicate. The effects are enumerated through the one seam that performs them."""

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


class Story:
    """Agree, stretch, boot a machine, take back, let the machine go, part: with one controller in trouble once."""

    def __init__(self, victim: int, fatal: int | None, error: Error, *, again: int | None = None) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.effects = Effects(fatal, error)
        self.recovery = Effects(again, error)
        self.victim = self.federation.clouds[victim]
        self.victim.restart(self.effects.around(self.victim.backends))

    def settle(self) -> None:
        """Until nobody has anything to do; a controller that dies is started again."""
        while True:
            try:
                self.federation.settle()
                return
            except Killed:
                self.victim.restart(self.recovery.around(self.victim.backends))

    def run(self) -> None:
        """The whole life, with what must hold at each station."""
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
        self.a.people.delete(NetworkExpansion, "web", "shop")
        self.settle()
        assert self.a.expansion() is None
        self._check_replica_in_use(machine)
        self.b.neutron.delete_port(machine.id)
        self.settle()
        assert self.contents() == between, "after the stretch"
        self._part()
        assert self.contents() == before, "after the agreement"

    def contents(self) -> list[object]:
        """Everything in both OpenStacks and in both Kubernetes."""
        return [(cloud.neutron.contents(), cloud.store.contents()) for cloud in self.federation.clouds]

    def _part(self) -> None:
        """Each side deletes its peer, then what else people have applied for it."""
        for cloud, peer in ((self.a, self.b), (self.b, self.a)):
            cloud.people.delete(CloudPeer, peer.cloud_id)
        self.settle()
        for cloud, peer in ((self.a, self.b), (self.b, self.a)):
            cloud.forget(peer)
        self.settle()

    def _boot_on_the_replica(self, network: Network) -> Port:
        copy = self._check_stretched(network)
        machine = self.b.neutron.boot(copy.id, copy.project_id)
        self.settle()
        return machine

    def _check_stretched(self, network: Network) -> Network:
        (copy,) = self.b.neutron.networks.values()
        assert len(self.b.neutron.subnets) == 1
        assert self.a.neutron.networks[network.id].mtu == copy.mtu == 1416
        assert _owners(self.a) == ["isthmus:attachment", "network:dhcp"]
        assert _owners(self.b) == ["isthmus:attachment", "isthmus:gateway", "network:dhcp"]
        return copy

    def _check_replica_in_use(self, machine: Port) -> None:
        """Only the copy is left, for its machine."""
        (left,) = self.b.attachments()
        assert (reason(left), reason(left, "ReplicaInUse")) == ("ReplicaInUse", "PortsLeft")
        assert self.b.neutron.ports[machine.id] == machine
        assert "isthmus:attachment" not in _owners(self.b)
        assert (self.a.attachments(), self.a.links(), self.b.links()) == ([], [], [])


def _owners(cloud: FakeCloud) -> list[str]:
    return sorted(port.device_owner for port in cloud.neutron.ports.values())


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("victim", [0, 1], ids=["origin", "receiver"])
def test_failure_after_every_effect(victim: int, error: str) -> None:
    undisturbed = Story(victim, None, ERRORS[error])
    undisturbed.run()
    assert undisturbed.effects.count > 30
    for fatal in range(1, undisturbed.effects.count + 1):
        story = Story(victim, fatal, ERRORS[error])
        try:
            story.run()
        except AssertionError as failed:
            raise AssertionError(f"trouble after effect {fatal}") from failed
        assert story.effects.count >= fatal, "there was no trouble"


@pytest.mark.long
@pytest.mark.parametrize("again", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("victim", [0, 1], ids=["origin", "receiver"])
def test_killed_again_during_recovery(victim: int, again: int) -> None:
    undisturbed = Story(victim, None, Killed)
    undisturbed.run()
    for fatal in range(1, undisturbed.effects.count + 1):
        try:
            Story(victim, fatal, Killed, again=again).run()
        except AssertionError as failed:
            raise AssertionError(f"killed after effect {fatal} and after effect {again} of the recovery") from failed
