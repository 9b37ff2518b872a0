"""Whether a Neutron network is one layer-2 domain that a tunnel can extend: judged by what is known to be one."""

from __future__ import annotations

from typing import Final

from isthmus.model.facts.openstack import NetworkFacts

# `local` is missing: such a network ends at each host. Operators may not see the type, then Neutron does not return it.
_NETWORK_TYPES: Final = frozenset({None, "vxlan", "geneve", "gre", "vlan"})


def layer2_problem(facts: NetworkFacts) -> str | None:
    """Why the network cannot be stretched, in words that follow its name; None if it can."""
    network = facts.network
    if network is None:
        return None
    if network.external or network.shared:
        kind = "external" if network.external else "shared"
        return f"is {kind}; only a network of the project's own can be stretched"
    if network.network_type == "flat":
        return (
            "has provider:network_type flat: it is the physical network itself, which reaches beyond this cloud, and "
            "which hardware may connect to another cloud as well"
        )
    if network.network_type not in _NETWORK_TYPES:
        return f"has provider:network_type {network.network_type}, which is not known to be one layer-2 domain"
    if not network.l2_adjacency:
        return "is a routed provider network (l2_adjacency is false): its segments are separate layer-2 domains"
    if network.segments > 1:
        return f"has {network.segments} segments, only one of which would be stretched"
    if any(subnet.segment_id for subnet in facts.subnets):
        return "has a subnet that is bound to one segment: its segments are separate layer-2 domains"
    if network.vlan_transparent or network.qinq:
        option = "vlan_transparent" if network.vlan_transparent else "qinq"
        return f"is {option}: the VLAN tags of its machines would not cross the tunnel"
    if network.private_vlan:
        return "is a private VLAN (pvlan): what its ports may not reach in this cloud they would reach in another"
    return None
