"""Three clouds that agree, and a tenant of the first with a network: where most tests begin."""

from __future__ import annotations

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
        """Everything in both OpenStacks."""
        return tuple(
            (
                dict(c.neutron.networks),
                dict(c.neutron.subnets),
                sorted(c.neutron.ports),
                c.neutron.find_domain("isthmus-cloud-a"),
            )
            for c in (self.a, self.b)
        )

    def settle(self) -> None:
        self.federation.settle()

    def outcome(self, name: str = "web") -> str | None:
        """What the tenant is told."""
        self.settle()
        return reason(self.a.expansion(name=name))

    def nothing_made(self) -> bool:
        """Neither OpenStack changed, no node has work, and nothing holds the wish back."""
        return self.openstack() == self.untouched and not self.b.attachments()

    def second_network(self, cidr: str) -> str:
        """Another network of the same project."""
        network = self.a.neutron.create_network(self.project, "db", 1450, "")
        self.a.neutron.create_subnet(network.id, self.project, "db", cidr, None, [], True, [], [], "")
        return network.id
