"""Everything that the controller may ever do to the outside world: the closed list of its effects.

Each is idempotent: performing it twice, or again after a crash, leaves what performing it once leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .api.objects import CustomObject
from .facts.openstack import NetworkQuota, Range
from .reasons import Reason


@dataclass(frozen=True)
class Problem:
    """Why something is not as wished: a condition's reason and message."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class ApplyObject:
    """Make an object of ours, or bring its spec to what is wanted."""

    obj: CustomObject


@dataclass(frozen=True)
class WriteStatus:
    """Write an object's status."""

    obj: CustomObject


@dataclass(frozen=True)
class SetFinalizers:
    """Replace an object's finalizers, if it is still at the version that was read."""

    obj: CustomObject
    finalizers: tuple[str, ...]


@dataclass(frozen=True)
class DeleteObject:
    """Delete an object of ours."""

    obj: CustomObject


@dataclass(frozen=True)
class ApplyManifest:
    """Make an object of a kind that is not ours, or bring it to what is wanted."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class DeleteNamespace:
    """Delete a namespace that carries our label."""

    name: str


@dataclass(frozen=True)
class RecordEvent:
    """Tell people about a change."""

    obj: CustomObject
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class CreateDomain:
    """Make the Keystone domain of a peer."""

    name: str
    description: str


@dataclass(frozen=True)
class DeleteDomain:
    """Delete a domain that we made and that has no project left."""

    id: str


@dataclass(frozen=True)
class CreateProject:
    """Make the copy of a peer's project."""

    domain_id: str
    name: str
    description: str


@dataclass(frozen=True)
class DeleteProject:
    """Delete a project that we made and that is empty."""

    id: str


@dataclass(frozen=True)
class SetQuota:
    """Set the network quotas of a project that we made."""

    project_id: str
    quota: NetworkQuota


@dataclass(frozen=True)
class CreateNetwork:
    """Make the copy of a peer's network."""

    project_id: str
    name: str
    mtu: int
    description: str


@dataclass(frozen=True)
class SetNetworkMTU:
    """Set a network's MTU; what it was before is on record if the network is not ours."""

    network_id: str
    mtu: int


@dataclass(frozen=True)
class TagNetwork:
    """Put a tag on a network that we made."""

    network_id: str
    tag: str


@dataclass(frozen=True)
class DeleteNetwork:
    """Delete a network that we made; its subnets and Neutron's own ports go with it."""

    id: str


@dataclass(frozen=True)
class CreateSubnet:
    """Make the copy of a peer's subnet: its pools are exactly our slice."""

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


@dataclass(frozen=True)
class UpdateSubnet:
    """Bring a subnet that we made to what its origin says."""

    id: str
    pools: tuple[Range, ...]
    enable_dhcp: bool
    dns_nameservers: tuple[str, ...]
    host_routes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class UpdatePools:
    """Set the allocation pools of a tenant's subnet; what they were before is on record."""

    subnet_id: str
    pools: tuple[Range, ...]


@dataclass(frozen=True)
class DeleteSubnet:
    """Delete a subnet that we made."""

    id: str


@dataclass(frozen=True)
class CreateAttachmentPort:
    """Make the port that joins a network to br-cloud, bound to a host."""

    network_id: str
    host: str
    name: str
    description: str


@dataclass(frozen=True)
class CreateGatewayPort:
    """Make the port that reserves the origin's gateway address on the copy."""

    network_id: str
    subnet_id: str
    address: str
    name: str
    description: str


@dataclass(frozen=True)
class DeletePort:
    """Delete a port that we made."""

    id: str


KubernetesAction = (
    ApplyObject | WriteStatus | SetFinalizers | DeleteObject | ApplyManifest | DeleteNamespace | RecordEvent
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
    | CreateGatewayPort
    | DeletePort
)
Action = KubernetesAction | OpenStackAction


@dataclass(frozen=True)
class Plan:
    """What can be done now, in this order."""

    actions: tuple[Action, ...] = ()
