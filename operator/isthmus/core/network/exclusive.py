"""Which addresses of a cloud's ports nobody takes over, as far as Neutron says."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from isthmus.model.facts.openstack import Port

from .router_addresses import is_router

_MACHINES = ("compute:", "baremetal:", "trunk:subport")


def exclusive_ports(ports: Collection[Port]) -> Iterator[Port]:
    """Those of machines and routers of which no allowed address pair has an address; `ports` are all of this cloud.

    A port that no machine has often reserves a virtual address, and so does one that a load balancer is named by.
    Pairs that are larger than an address do not name any: by these machines forward what is for others.
    """
    of_pairs = {address for port in ports for address in port.allowed_addresses}
    for port in ports:
        if (port.device_owner.startswith(_MACHINES) or is_router(port)) and of_pairs.isdisjoint(port.addresses):
            yield port
