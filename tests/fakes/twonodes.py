"""A stretched network in a cloud with two gateway nodes."""

from __future__ import annotations

from isthmus.model import names
from isthmus.model.facts.openstack import Port
from tests.fakes.federation import FakeFederation, reason
from tests.fakes.gateways import FakeGateway

STEP_SECONDS = 2.0


class TwoNodes:
    """Two clouds with a network stretched from A to B; the one with that role (origin, receiver) has two nodes."""

    def __init__(self, role: str) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.cloud = self.a if role == "origin" else self.b
        self.peer = self.b if role == "origin" else self.a
        network = self.cloud.gateway_cidr.rpartition(".")[0]
        self.gateways = {f"gw-{n}": self.cloud.add_gateway(f"gw-{n}", f"{network}.{20 + n}") for n in (1, 2)}
        self.cloud.kubectl.apply_manifest(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"gw-{self.cloud.cloud_id}"}}
        )  # no gateway any more
        for gateway in self.gateways.values():
            gateway.machine("True")
        self.federation.agree()
        self.federation.settle()
        _, network_, _ = self.a.tenant()
        self.a.expand(network_.id, "cloud-b")
        self.federation.settle()
        assert reason(self.a.expansion()) == "Ready"
        self.first = self.active
        (self.second,) = (g for g in self.gateways.values() if g is not self.first)

    @property
    def active(self) -> FakeGateway:
        (attachment,) = self.cloud.attachments()
        return self.gateways[attachment.spec.active_node or ""]

    def ports(self) -> list[Port]:
        return [p for p in self.cloud.neutron.ports.values() if p.device_owner == names.ATTACHMENT_DEVICE_OWNER]

    def settle(self) -> None:
        """Run both clouds until nothing changes; no time passes."""
        self.federation.settle()

    def run_cloud(self) -> None:
        """One iteration of the agents and of the controller."""
        self.cloud.play_agent()
        self.cloud.cycle()

    def pass_time(self, seconds: float, step: float = STEP_SECONDS) -> None:
        """The cloud runs all the time, the other one at the end."""
        for _ in range(round(seconds / step)):
            self.federation.clock.move(step)
            self.run_cloud()
        self.settle()

    def check_moved(self) -> None:
        """Everything is on the second node, and the other cloud knows."""
        assert self.active is self.second
        assert [port.host for port in self.ports()] == [self.second.host]
        (theirs,) = self.peer.attachments()
        assert [link.gateway.name for link in theirs.spec.links] == [self.second.name]
        assert reason(self.a.expansion()) == "Ready"

    def check_stayed(self) -> None:
        assert self.active is self.first
        assert [port.host for port in self.ports()] == [self.first.host]
