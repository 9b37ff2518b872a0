"""Actions: the closed list of what the controller can do to external systems.

Each is idempotent: performing it twice, or again after a crash, leaves what performing it once leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .api.objects import CustomObject
from .facts.openstack import AllowedTraffic, NetworkQuota, Range, RequestedPort
from .reasons import Reason


@dataclass(frozen=True)
class Problem:
    """Why something is not as requested: a condition's reason and message."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class ApplyObject:
    """Create an object of a kind of ours, or apply its spec."""

    obj: CustomObject


@dataclass(frozen=True)
class WriteStatus:
    """Write an object's status."""

    obj: CustomObject


@dataclass(frozen=True)
class SetConditions:
    """Replace the conditions of an object that does not parse, if it still has the resource version."""

    kind: type[CustomObject]
    namespace: str
    """Empty for cluster-scoped kinds."""
    name: str
    resource_version: str | None
    conditions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class SetFinalizers:
    """Replace an object's finalizers, if it still has the resource version that was read."""

    obj: CustomObject
    finalizers: tuple[str, ...]


@dataclass(frozen=True)
class DeleteObject:
    """Delete an object of a kind of ours."""

    obj: CustomObject


@dataclass(frozen=True)
class ApplyManifest:
    """Create or apply an object of another kind."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class DeleteNamespace:
    """Delete a namespace that carries our label."""

    name: str
    uid: str | None = None


@dataclass(frozen=True)
class RecordEvent:
    """Record an Event about an object."""

    obj: CustomObject
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class CreateDomain:
    """Create the Keystone domain of a peer."""

    name: str
    description: str


@dataclass(frozen=True)
class DeleteDomain:
    """Delete a domain that Isthmus created, once it has no project."""

    id: str


@dataclass(frozen=True)
class CreateProject:
    """Create the replica of a peer's project."""

    domain_id: str
    name: str
    description: str


@dataclass(frozen=True)
class DeleteProject:
    """Delete a replica project that is empty."""

    id: str


@dataclass(frozen=True)
class SetQuota:
    """Set Neutron's quotas of a replica project."""

    project_id: str
    quota: NetworkQuota


@dataclass(frozen=True)
class CreateNetwork:
    """Create the replica of a peer's network; `mtu` in bytes."""

    project_id: str
    name: str
    mtu: int
    description: str


@dataclass(frozen=True)
class SetNetworkMTU:
    """Set a network's MTU in bytes, if it has this revision; a tenant's original MTU has been recorded before."""

    network_id: str
    mtu: int
    revision: int | None = None


@dataclass(frozen=True)
class TagNetwork:
    """Add a tag to a replica network."""

    network_id: str
    tag: str


@dataclass(frozen=True)
class DeleteNetwork:
    """Delete a replica network; Neutron deletes its subnets and its own ports with it."""

    id: str


@dataclass(frozen=True)
class CreateSubnet:
    """Create the replica of a peer's subnet; its pools are exactly our slice, if there are slices."""

    network_id: str
    project_id: str
    name: str
    cidr: str
    gateway_ip: str | None
    pools: tuple[Range, ...]
    enable_dhcp: bool
    dns_nameservers: tuple[str, ...]
    host_routes: tuple[tuple[str, str], ...]
    description: str
    address_mode: str | None = None


@dataclass(frozen=True)
class UpdateSubnet:
    """Update a replica subnet to what its origin offers, if it has this revision."""

    id: str
    gateway_ip: str | None
    """None: without one."""
    pools: tuple[Range, ...] | None
    """None, here and below: as it is."""
    enable_dhcp: bool | None
    dns_nameservers: tuple[str, ...] | None
    host_routes: tuple[tuple[str, str], ...] | None
    revision: int | None = None


@dataclass(frozen=True)
class UpdatePools:
    """Set the allocation pools of a tenant's subnet, if it still has the others and the revision; they are recorded."""

    subnet_id: str
    pools: tuple[Range, ...]
    replaced_pools: tuple[Range, ...]
    revision: int | None = None
    withheld: tuple[Range, ...] = ()
    """The addresses that belong to peers or to nobody, which are in no pool."""


@dataclass(frozen=True)
class DeleteSubnet:
    """Delete a replica subnet."""

    id: str


@dataclass(frozen=True)
class CreateAttachmentPort:
    """Create the port that connects a network to br-cloud, bound to a host."""

    network_id: str
    host: str
    name: str
    description: str


@dataclass(frozen=True)
class RestoreAttachmentPort:
    """Undo what somebody changed of an attachment port: enable it, without port security, with its description."""

    id: str
    description: str


@dataclass(frozen=True)
class ExemptAttachmentPort:
    """Give an attachment port our QoS policy without rules, so that the network's policy does not apply to it."""

    id: str


@dataclass(frozen=True)
class CreateGatewayPort:
    """Create the port that reserves the origin's gateway address on the replica."""

    network_id: str
    subnet_id: str
    address: str
    name: str
    description: str


@dataclass(frozen=True)
class CreateRemotePorts:
    """Create ports that stand for machines of other members, by one request."""

    network_id: str
    ports: tuple[RequestedPort, ...]
    description: str


@dataclass(frozen=True)
class SetRemotePortGroups:
    """Put a remote port into these security groups, and into no others."""

    id: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class CreateSecurityGroup:
    """Create a security group in the project of a replica; Neutron adds rules of its own."""

    project_id: str
    name: str
    description: str
    stateful: bool


@dataclass(frozen=True)
class UpdateSecurityGroup:
    """Replace rules of a security group of ours, the superfluous ones first, and then its description."""

    id: str
    description: str
    removed_rules: tuple[str, ...]
    """IDs."""
    added_rules: tuple[AllowedTraffic, ...]
    """With the IDs of remote groups."""


@dataclass(frozen=True)
class DeletePort:
    """Delete a port of ours."""

    id: str


KubernetesAction = (
    ApplyObject
    | WriteStatus
    | SetConditions
    | SetFinalizers
    | DeleteObject
    | ApplyManifest
    | DeleteNamespace
    | RecordEvent
)
OpenStackAction = (
    CreateDomain
    | DeleteDomain
    | CreateProject
    | DeleteProject
    | SetQuota
    | CreateNetwork
    | SetNetworkMTU
    | TagNetwork
    | DeleteNetwork
    | CreateSubnet
    | UpdateSubnet
    | UpdatePools
    | DeleteSubnet
    | CreateAttachmentPort
    | RestoreAttachmentPort
    | ExemptAttachmentPort
    | CreateGatewayPort
    | CreateRemotePorts
    | SetRemotePortGroups
    | CreateSecurityGroup
    | UpdateSecurityGroup
    | DeletePort
)
Action = KubernetesAction | OpenStackAction


@dataclass(frozen=True)
class Plan:
    """Actions to perform now, in this order."""

    actions: tuple[Action, ...] = ()
    needs_fresh_facts: bool = True
    """Whether what is known of OpenStack must have been fetched since the key was marked, before anything is done."""
    leaves_more: bool = False
    """Whether this is one of many rounds, between which other networks and peers have their turn."""
    left_alone: Problem | None = None
    """Why something is not as it should be and nothing is done about it now: others have decided otherwise."""
