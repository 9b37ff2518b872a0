"""What a change of ours makes of the facts about a network, so that OpenStack need not be asked after each."""

from __future__ import annotations

from dataclasses import replace

from isthmus.model.actions import (
    CreateAttachmentPort,
    CreateGatewayPort,
    CreateNetwork,
    CreateSubnet,
    OpenStackAction,
    SetNetworkMTU,
    SetQuota,
    TagNetwork,
)
from isthmus.model.facts.openstack import Created, Network, NetworkFacts, Port, Subnet


def facts_after(facts: NetworkFacts, action: OpenStackAction, created: Created | None) -> NetworkFacts | None:
    """The facts after an action that succeeded and `created` this; None if they have to be fetched to know.

    A new network is empty, but a domain or a project may be one that existed. Neutron increments a network's revision
    with its subnets and tags, so it is not known any more. Ports that Neutron itself creates for a subnet are found
    later, like those of tenants.
    """
    network = facts.network
    match action, created:
        case SetQuota(project_id, quota), None if facts.project is not None and facts.project.id == project_id:
            return replace(facts, quota=quota)
        case CreateNetwork(), Network():
            return replace(facts, network=created, subnets=(), ports=())
        case CreateSubnet(network_id), Subnet() if network is not None and network.id == network_id:
            return replace(facts, network=replace(network, revision=None), subnets=(*facts.subnets, created))
        case CreateAttachmentPort() | CreateGatewayPort(), Port():
            return replace(facts, ports=(*facts.ports, created))
        case TagNetwork(network_id, tag), None if network is not None and network.id == network_id:
            return replace(facts, network=replace(network, tags=network.tags | {tag}, revision=None))
        case SetNetworkMTU(network_id, mtu), None if network is not None and network.id == network_id:
            return replace(facts, network=replace(network, mtu=mtu, revision=None))
        case _:
            return None
