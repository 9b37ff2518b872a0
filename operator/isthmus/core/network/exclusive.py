"""Which addresses of a cloud's ports nobody takes over, as far as Neutron says."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.facts.openstack import NetworkFacts, Port

from .router_addresses import is_router

_MACHINES = ("compute:", "baremetal:", "trunk:subport")


def exclusive_ports(facts: NetworkFacts) -> Iterator[Port]:
    """Ports of machines and routers of which no allowed address pair in this cloud has an address.

    A port that no machine has often reserves a virtual address, and so does one that a load balancer is named by.
    Pairs that are larger than an address do not name any: by these machines forward what is for others.
    """
    of_pairs = {address for port in facts.ports for address in port.allowed_addresses}
    for port in facts.ports:
        if (port.device_owner.startswith(_MACHINES) or is_router(port)) and of_pairs.isdisjoint(port.addresses):
            yield port
