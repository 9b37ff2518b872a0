"""The resources of this cloud as far as the plugin shows them, read from what kubectl printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from .documents import Document, entries, is_true, number, numbers, text, truth
from .gatewaypath import Path, path
from .inforce import InForce, in_force


@dataclass(frozen=True)
class StatusCondition:
    """One condition of a resource."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class Resource:
    """What all of our kinds have in common."""

    kind: str
    namespace: str
    name: str
    is_terminating: bool
    conditions: tuple[StatusCondition, ...]

    @property
    def label(self) -> str:
        """Name as kubectl writes it: with the namespace if there is one."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def ready(self) -> StatusCondition:
        """Condition Ready; with status Unknown and without a reason if nobody has reported it."""
        return self.condition("Ready") or StatusCondition("Ready", "Unknown", "", "")

    @property
    def is_ready(self) -> bool:
        """Whether condition Ready is True."""
        return self.ready.status == "True"

    def condition(self, type_: str) -> StatusCondition | None:
        """The condition of that type."""
        return next((found for found in self.conditions if found.type == type_), None)


@dataclass(frozen=True)
class Connection:
    """Connection from a gateway node to one gateway of a peer."""

    cloud_id: str
    gateway: str
    address: str
    is_up: bool
    ike: str
    esp: str
    bfd: str
    reason: str
    message: str
    path: Path
    in_force: InForce


@dataclass(frozen=True)
class Node(Resource):
    """GatewayNode."""

    address: str
    neutron_host: str
    openvswitch: str
    strongswan: str
    isthmus: str
    connections: tuple[Connection, ...]


@dataclass(frozen=True)
class Peer(Resource):
    """CloudPeer."""

    cloud_id: str
    state: str
    tunnels_up: str
    networks_out: int | None
    networks_in: int | None
    gateways: int
    """Number of the peer's gateways."""
    networks_awaiting: int | None = None
    """Number of the peer's networks that await a decision; None by a controller of an earlier release."""
    orphans: tuple[str, ...] = ()
    """Link names of the networks that may be left at the peer."""


@dataclass(frozen=True)
class ExpansionPeer:
    """State of a NetworkExpansion towards one peer."""

    name: str
    is_ready: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Expansion(Resource):
    """NetworkExpansion."""

    network_id: str
    network_name: str
    peers_ready: str
    mtu: int | None
    peers: tuple[ExpansionPeer, ...]
    requested: tuple[str, ...]
    """Names of the peers that the tenant asks for."""

    @property
    def peer_names(self) -> tuple[str, ...]:
        """Peers that are asked for or reported, each once."""
        return tuple(dict.fromkeys((*self.requested, *(peer.name for peer in self.peers))))


@dataclass(frozen=True)
class Link:
    """A link of an Attachment to one peer, as the active node reports it."""

    cloud_id: str
    gateway: str
    is_up: bool | None
    """None if the node has not reported it."""
    reason: str
    message: str


@dataclass(frozen=True)
class Member:
    """Another receiver of a peer's network, as the active node reports it."""

    number: int
    """In the network."""
    cloud_id: str
    """Empty if there is no direct path to it: the origin does not say then which cloud it is."""
    is_up: bool | None
    """None if the node has not reported it."""
    path: str
    """By which frames are sent to it, Direct or ThroughOrigin; empty while none is up."""
    reason: str
    message: str


@dataclass(frozen=True)
class Dropped:
    """Frames of a network that br-cloud on the active node drops at present."""

    cloud_id: str
    """Of the peer that they come from; empty if they are of this cloud."""
    reason: str
    """A word of another release may be among them."""


@dataclass(frozen=True)
class Attachment(Resource):
    """Attachment: of a network of this cloud, or of the replica of a peer's network."""

    is_replica: bool
    origin_cloud: str
    network_id: str
    active_node: str
    links_up: str
    mtu: int | None
    is_plugged: bool | None = None
    """By the active node; None if it has not reported the network."""
    links: tuple[Link, ...] = ()
    dropping: tuple[Dropped, ...] = ()
    members: tuple[Member, ...] = ()
    """The other receivers, of a replica alone."""


@dataclass(frozen=True)
class Agreement(Resource):
    """PeerLink: what both clouds publish about their agreement."""

    cloud_id: str
    peer_cloud_id: str
    local_versions: tuple[int, ...]
    remote_versions: tuple[int, ...]


@dataclass(frozen=True)
class Cloud:
    """All resources of one cloud that could be read."""

    nodes: tuple[Node, ...] = ()
    peers: tuple[Peer, ...] = ()
    expansions: tuple[Expansion, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    agreements: tuple[Agreement, ...] = ()

    @property
    def cloud_id(self) -> str:
        """Cloud ID of this cloud as it publishes it; empty if it publishes nothing yet."""
        published = [agreement.cloud_id for agreement in self.agreements]
        own = [attachment.origin_cloud for attachment in self.attachments if not attachment.is_replica]
        return [*published, *own, ""][0]

    @property
    def replicas(self) -> tuple[Attachment, ...]:
        """Attachments of networks that were received from peers."""
        return tuple(attachment for attachment in self.attachments if attachment.is_replica)


def cloud(items: Iterable[Document], now: datetime | None = None) -> Cloud:
    """The resources of a `List` of kubectl; those of other kinds are left out, and ages if no time is given."""
    by_kind: dict[str, list[Document]] = {}
    for item in items:
        by_kind.setdefault(text(item, "kind"), []).append(item)
    return Cloud(
        nodes=tuple(_node(item, now) for item in by_kind.get("GatewayNode", [])),
        peers=tuple(map(_peer, by_kind.get("CloudPeer", []))),
        expansions=tuple(map(_expansion, by_kind.get("NetworkExpansion", []))),
        attachments=tuple(map(_attachment, by_kind.get("Attachment", []))),
        agreements=tuple(map(_agreement, by_kind.get("PeerLink", []))),
    )


def _common(item: Document) -> tuple[str, str, str, bool, tuple[StatusCondition, ...]]:
    conditions = tuple(
        StatusCondition(text(c, "type"), text(c, "status"), text(c, "reason"), text(c, "message"))
        for c in entries(item, "status", "conditions")
    )
    name = text(item, "metadata", "name")
    is_terminating = text(item, "metadata", "deletionTimestamp") != ""
    return text(item, "kind"), text(item, "metadata", "namespace"), name, is_terminating, conditions


def _node(item: Document, now: datetime | None) -> Node:
    addresses = entries(item, "status", "addresses")
    return Node(
        *_common(item),
        address=text(addresses[0], "address") if addresses else "",
        neutron_host=text(item, "status", "neutronHost"),
        openvswitch=text(item, "status", "software", "openvswitch"),
        strongswan=text(item, "status", "software", "strongswan"),
        isthmus=text(item, "status", "software", "isthmus"),
        connections=tuple(_connection(each, now) for each in entries(item, "status", "connections")),
    )


def _connection(item: Document, now: datetime | None) -> Connection:
    return Connection(
        cloud_id=text(item, "cloudID"),
        gateway=text(item, "gateway"),
        address=text(item, "address"),
        is_up=is_true(item, "up"),
        ike=text(item, "ike"),
        esp=text(item, "esp"),
        bfd=text(item, "bfd"),
        reason=text(item, "reason"),
        message=text(item, "message"),
        path=path(item),
        in_force=in_force(item, now),
    )


def _peer(item: Document) -> Peer:
    return Peer(
        *_common(item),
        cloud_id=text(item, "spec", "cloudID"),
        state=text(item, "spec", "agreement", "state"),
        tunnels_up=text(item, "status", "tunnelsUp"),
        networks_out=number(item, "status", "networksOut"),
        networks_in=number(item, "status", "networksIn"),
        gateways=len(entries(item, "status", "gateways")),
        networks_awaiting=number(item, "status", "networksAwaiting"),
        orphans=tuple(text(orphan, "name") for orphan in entries(item, "status", "orphans")),
    )


def _expansion(item: Document) -> Expansion:
    peers = entries(item, "status", "peers")
    return Expansion(
        *_common(item),
        network_id=text(item, "spec", "networkID"),
        network_name=text(item, "status", "networkName"),
        peers_ready=text(item, "status", "peersReady"),
        mtu=number(item, "status", "mtu"),
        peers=tuple(
            ExpansionPeer(text(p, "name"), is_true(p, "ready"), text(p, "reason"), text(p, "message")) for p in peers
        ),
        requested=tuple(text(peer, "name") for peer in entries(item, "spec", "peers")),
    )


def _attachment(item: Document) -> Attachment:
    node = text(item, "spec", "activeNode")
    observed = next((entry for entry in entries(item, "status", "nodes") if text(entry, "node") == node), {})
    reported = {text(link, "cloudID"): link for link in entries(observed, "links")}
    return Attachment(
        *_common(item),
        is_replica=text(item, "spec", "role") == "Receiver",
        origin_cloud=text(item, "spec", "origin", "cloudID"),
        network_id=text(item, "spec", "origin", "networkID"),
        active_node=node,
        links_up=text(item, "status", "linksUp"),
        mtu=number(item, "spec", "mtu"),
        is_plugged=truth(observed, "plugged"),
        dropping=tuple(Dropped(text(d, "cloudID"), text(d, "reason")) for d in entries(observed, "dropping")),
        links=tuple(_link(link, reported.get(text(link, "cloudID"), {})) for link in entries(item, "spec", "links")),
        members=tuple(_members(item, observed)),
    )


def _link(wanted: Document, observed: Document) -> Link:
    return Link(
        cloud_id=text(wanted, "cloudID"),
        gateway=text(wanted, "gateway", "name"),
        is_up=truth(observed, "up"),
        reason=text(observed, "reason"),
        message=text(observed, "message"),
    )


def _members(item: Document, observed: Document) -> Iterator[Member]:
    if text(item, "spec", "role") != "Receiver":
        return
    direct = entries(item, "spec", "directPaths")
    through_origin = [path for link in entries(item, "spec", "links") for path in entries(link, "members")]
    clouds = {number(path, "number"): text(path, "cloudID") for path in (*through_origin, *direct)}
    reported = {number(member, "number"): member for member in entries(observed, "members")}
    for found in sorted(key for key in clouds if key is not None):
        member = reported.get(found, {})
        yield Member(
            number=found,
            cloud_id=clouds[found],
            is_up=truth(member, "up"),
            path=text(member, "path"),
            reason=text(member, "reason"),
            message=text(member, "message"),
        )


def _agreement(item: Document) -> Agreement:
    return Agreement(
        *_common(item),
        cloud_id=text(item, "spec", "cloudID"),
        peer_cloud_id=text(item, "spec", "peerCloudID"),
        local_versions=numbers(item, "spec", "protocolVersions"),
        remote_versions=numbers(item, "status", "peer", "spec", "protocolVersions"),
    )
