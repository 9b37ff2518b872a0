"""Three clouds that agree, and a tenant of the first with a network: where most tests begin."""

from __future__ import annotations

from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion

from .federation import FakeFederation, reason


class Scene:
    """Three clouds that agree, and a tenant of A with a network."""

    def __init__(self) -> None:
        self.federation = FakeFederation("a", "b", "c")
        self.a, self.b, self.c = self.federation.clouds
        self.federation.agree()
        self.project, self.network, self.subnet = self.a.tenant()
        self.federation.settle()
        self.untouched = self.openstack()

    def openstack(self) -> tuple[object, ...]:
        """Everything in the OpenStacks of all three."""
        return tuple(cloud.neutron.contents() for cloud in self.federation.clouds)

    def kept(self) -> list[CustomObject]:
        """What the controllers keep for networks, and the wishes that they hold."""
        clouds = self.federation.clouds
        held = (e for cloud in clouds for e in cloud.people.list_objects(NetworkExpansion) if e.metadata.finalizers)
        return [*held, *(obj for cloud in clouds for obj in (*cloud.attachments(), *cloud.links()))]

    def settle(self) -> None:
        self.federation.settle()

    def outcome(self, name: str = "web") -> str | None:
        """What the tenant is told."""
        self.settle()
        return reason(self.a.expansion(name=name))

    def nothing_made(self) -> bool:
        """No OpenStack changed, no peer is asked, no node has work, and nothing holds the wish back."""
        return self.openstack() == self.untouched and self.kept() == []

    def second_network(self, cidr: str) -> str:
        """Another network of the same project."""
        network = self.a.neutron.create_network(self.project, "db", 1450, "")
        self.a.neutron.create_subnet(network.id, self.project, "db", cidr, None, [], True, [], [], "")
        return network.id
