"""A receiver's controller that dies after any effect of an approval or a revocation leaves nothing undone."""

from __future__ import annotations

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.fakes.federation import FakeFederation, reason
from tests.fakes.killing import Effects, Killed


class Decisions:
    """A network waits, is approved, revoked with a machine on it, accepted again, revoked, and withdrawn."""

    def __init__(self, fail_after: int | None) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.a.agree(self.b)
        self.b.agree(self.a, agreement={"acceptance": "Manual"})
        _, self.network, _ = self.a.tenant()
        self.federation.settle()
        self.before = self.b.neutron.contents()
        self.effects = Effects(fail_after, Killed)
        self.b.restart(self.effects.around(self.b.backends))

    def run(self) -> None:
        self.a.expand(self.network.id, "cloud-b")
        self.settle()
        assert reason(self.a.expansion()) == "AwaitingApproval"
        self.decide("Accept")
        assert reason(self.a.expansion()) == "Ready"
        (replica,) = self.b.neutron.networks.values()
        machine = self.b.neutron.boot(replica.id, replica.project_id)
        self.decide("Refuse")
        self._check_cut()
        assert self.b.neutron.ports[machine.id] == machine
        self.decide("Accept")
        assert reason(self.a.expansion()) == "Ready"
        assert list(self.b.neutron.networks) == [replica.id]
        self.decide("Refuse")
        self.b.neutron.delete_port(machine.id)
        self.settle()
        self._check_cut()
        assert self.b.neutron.contents() == self.before
        self.a.kubectl.delete(NetworkExpansion, "web", "shop")
        self.settle()
        assert (self.a.links(), self.b.links(), self.b.attachments()) == ([], [], [])

    def decide(self, decision: str) -> None:
        name, home = names.link_name("cloud-a", self.network.id), names.peer_namespace("cloud-a")
        metadata = ObjectMeta(name=name, namespace=home)
        self.b.kubectl.apply(ExpansionApproval.model_validate({"metadata": metadata, "spec": {"decision": decision}}))
        self.settle()

    def settle(self) -> None:
        while True:
            try:
                self.federation.settle()
                return
            except Killed:
                self.b.restart()

    def _check_cut(self) -> None:
        assert reason(self.a.expansion()) == "RefusedByAdministrator"
        owners = [p.device_owner for c in self.federation.clouds for p in c.neutron.ports.values()]
        assert names.ATTACHMENT_DEVICE_OWNER not in owners


def test_killed_after_every_effect() -> None:
    undisturbed = Decisions(None)
    undisturbed.run()
    assert undisturbed.effects.count > 30
    for fail_after in range(1, undisturbed.effects.count + 1):
        decisions = Decisions(fail_after)
        try:
            decisions.run()
        except AssertionError as failed:
            raise AssertionError(f"killed after effect {fail_after}") from failed
        assert decisions.effects.count >= fail_after, "nothing was killed"
