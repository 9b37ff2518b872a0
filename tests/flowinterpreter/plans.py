"""Plans of gateways, made by the real planner from Attachments, and the Attachments of networks that are stretched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from isthmus.core.node.networks import NetworkPlanner
from isthmus.core.node.plan import NodePlan
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.switch import EchoPort, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from isthmus.model.tracked import Tracked

ENCAPSULATION = Vxlan(14789)


class Place(NamedTuple):
    """A gateway node: its cloud, its name, and its address."""

    cloud: str
    name: str
    address: str


def node_plan(here: Place, remote: Iterable[Place], attachments: Iterable[Attachment]) -> NodePlan:
    """The plan of a node with a tunnel to each of the others: as `plan_node` makes it, without what IPsec needs."""
    others = [place for place in remote if place.cloud != here.cloud]
    gateways: dict[str, tuple[PeerGateway, ...]] = {}
    for place in others:
        found = PeerGateway(name=place.name, address=place.address)
        gateways[place.cloud] = (*gateways.get(place.cloud, ()), found)
    tunnels = frozenset(
        TunnelPort(names.tunnel_port(place.cloud, place.name), ENCAPSULATION, TunnelEnds(here.address, place.address))
        for place in others
    )
    by_name = Tracked({attachment.metadata.name: attachment for attachment in attachments})
    planner = NetworkPlanner(here.name, {tunnel.name: tunnel for tunnel in tunnels})
    planned = planner.plan(NodeInputs(here.name, here.cloud, (), by_name), frozenset())
    ports = Ports(tunnels, planned.patches, frozenset({EchoPort(ENCAPSULATION)}))
    return NodePlan(ports=ports, networks=planned.networks, gateways=gateways, link_problems=planned.problems)


class Link(NamedTuple):
    """One cloud's path to another one of a network: the other one's active gateway, and the tunnel ID."""

    to: Place
    tunnel_id: int
    known: Mapping[str, str] = {}
    """MAC addresses of the machines there, by their addresses."""
    number: int | None = None
    """Of the other one in the network, at the origin."""
    members: Mapping[int, int] = {}
    """Tunnel IDs of the members that are reached through it, or that its frames are handed on to, by their numbers."""
    ipv6: bool = False
    """Whether IPv6 subnets are stretched over it."""


class Direct(NamedTuple):
    """A receiver's direct path to another one: that one's active gateway, its number, and the tunnel ID."""

    to: Place
    number: int
    tunnel_id: int


class Owned(NamedTuple):
    """The addresses of a member: this cloud itself without a cloud ID, with a number one behind the peer."""

    cloud_id: str | None
    number: int | None
    macs: tuple[str, ...]
    addresses: tuple[str, ...] = ()


def attachment(
    here: Place,
    origin: str,
    network_id: str,
    links: Iterable[Link],
    gateway_addresses: Iterable[str] = ("10.20.0.1",),
    direct: Iterable[Direct] = (),
    owners: Iterable[Owned] = (),
) -> Attachment:
    """The Attachment of a network for which that node is the active one of its cloud."""
    spec: dict[str, Any] = {
        "origin": {"cloudID": origin, "networkID": network_id},
        "role": "Origin" if here.cloud == origin else "Receiver",
        "activeNode": here.name,
        "ports": [{"node": here.name, "portID": f"1{network_id[1:]}", "mac": "fa:16:3e:00:00:01"}],
        "links": [
            {
                "cloudID": link.to.cloud,
                "tunnelID": link.tunnel_id,
                "gateway": {"name": link.to.name, "address": link.to.address},
                "knownAddresses": [{"address": address, "mac": mac} for address, mac in link.known.items()],
                "number": link.number,
                "ipv6": link.ipv6,
                "members": [{"number": number, "tunnelID": id_} for number, id_ in link.members.items()],
            }
            for link in links
        ],
        "directPaths": [
            {
                "number": path.number,
                "cloudID": path.to.cloud,
                "tunnelID": path.tunnel_id,
                "gateway": {"name": path.to.name, "address": path.to.address},
            }
            for path in direct
        ],
        "gatewayAddresses": list(gateway_addresses),
        "owners": [
            {"cloudID": of.cloud_id, "number": of.number, "macs": list(of.macs), "addresses": list(of.addresses)}
            for of in owners
        ],
    }
    name = names.link_name(origin, network_id)
    metadata = {"name": name, "namespace": names.SYSTEM_NAMESPACE, "generation": 1}
    return Attachment.from_wire({"metadata": metadata, "spec": spec})
