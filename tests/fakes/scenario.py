"""Initial states of most tests: peers and a tenant with a network, and a stretched network."""

from __future__ import annotations

from isthmus.model import names
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion

from .federation import FakeCloud, FakeFederation, reason


class Scenario:
    """Three clouds that are peers, and a tenant of A with a network."""

    def __init__(self) -> None:
        self.federation = FakeFederation("a", "b", "c")
        self.a, self.b, self.c = self.federation.clouds
        self.federation.agree()
        self.project, self.network, self.subnet = self.a.tenant()
        self.federation.settle()
        self.untouched = self.openstack()

    def openstack(self) -> tuple[object, ...]:
        """All OpenStack resources of all three."""
        return tuple(cloud.neutron.contents() for cloud in self.federation.clouds)

    def kept(self) -> list[CustomObject]:
        """Attachments and links, and the NetworkExpansions with a finalizer."""
        clouds = self.federation.clouds
        held = (e for cloud in clouds for e in cloud.kubectl.list_objects(NetworkExpansion) if e.metadata.finalizers)
        links = (obj for cloud in clouds for obj in (*cloud.attachments(), *cloud.links(), *cloud.member_links()))
        return [*held, *links]

    def settle(self) -> None:
        self.federation.settle()

    def outcome(self, name: str = "web") -> str | None:
        """Reason of condition Ready, as the tenant sees it."""
        self.settle()
        return reason(self.a.expansion(name=name))

    def nothing_made(self) -> bool:
        """No OpenStack was changed, nothing is offered, no node has work, no NetworkExpansion has a finalizer."""
        return self.openstack() == self.untouched and self.kept() == []

    def second_network(self, cidr: str) -> str:
        """Create another network in the same project."""
        network = self.a.neutron.create_network(self.project, "db", 1450, "")
        self.a.neutron.create_subnet(network.id, self.project, "db", cidr, None, [], True, [], [], "")
        return network.id


class Stretched:
    """Two clouds with one network stretched from A to B."""

    def __init__(self) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.federation.agree()
        self.project, self.network, self.subnet = self.a.tenant()
        self.a.expand(self.network.id, "cloud-b")
        self.federation.settle()
        assert reason(self.a.expansion()) == "Ready"

    @property
    def replica_id(self) -> str:
        (replica,) = self.b.neutron.networks.values()
        return replica.id

    def withdraw(self) -> None:
        self.a.kubectl.delete(NetworkExpansion, "web", "shop")

    def attachment_ports(self, cloud: FakeCloud) -> list[str]:
        """IDs of our attachment ports."""
        return [p.id for p in cloud.neutron.ports.values() if p.device_owner == names.ATTACHMENT_DEVICE_OWNER]
