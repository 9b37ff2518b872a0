"""The outside worlds as the shells see them. Adapters implement these; tests hold fakes to the same contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from .model.api.objects import CustomObject
from .model.facts.openstack import Domain, Network, NetworkQuota, Port, Project, Range, Subnet
from .model.facts.peer import PeerView
from .model.node.flows import FlowTable, FlowView
from .model.node.host import NodeView, ProbeResult
from .model.node.ipsec import BlockPolicy, IkeConnection, IkeView, SecurityAssociation, XfrmView
from .model.node.switch import BridgeView, Ports

T = TypeVar("T", bound=CustomObject)
Manifest = dict[str, Any]

# How the names of methods that change something outside begin; all others only look.
_EFFECTS = (
    "add_", "apply", "create_", "delete", "ensure_", "event", "initiate", "load", "remove_", "replace", "retire",
    "set_", "tag_", "unload", "update_",
)  # fmt: skip


def is_effect(method: str) -> bool:
    """Whether a port's method of that name changes something outside: a write, after which a process may have died."""
    return method.startswith(_EFFECTS)


class Cluster(Protocol):
    """A Kubernetes API. Every call raises `model.errors.ExternalError` subclasses only."""

    def list_objects(self, kind: type[T], namespace: str | None = None) -> list[T]:
        """All objects of the kind (complete, all pages), in one namespace or in all."""
        ...

    def get(self, kind: type[T], name: str, namespace: str | None = None) -> T | None:
        """One object, or None where it is not there."""
        ...

    def apply(self, obj: T) -> T:
        """Server-side apply of labels, annotations, finalizers and spec as our field manager, forced."""
        ...

    def apply_status(self, obj: T) -> T:
        """Server-side apply of the status subresource as our field manager; NotFound where the object is gone."""
        ...

    def set_finalizers(self, obj: CustomObject, finalizers: Sequence[str]) -> None:
        """Replace the finalizers if the object is still at its resource version; Conflict otherwise."""
        ...

    def delete(self, kind: type[CustomObject], name: str, namespace: str | None = None) -> None:
        """Delete; an object that is gone already is no error."""
        ...

    def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[Manifest]:
        """All objects of a kind that is not ours (Namespace, Node), as plain JSON."""
        ...

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """One object of a kind that is not ours, or None."""
        ...

    def apply_manifest(self, manifest: Manifest) -> Manifest:
        """Server-side apply of an object of a kind that is not ours."""
        ...

    def delete_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete; an object that is gone already is no error."""
        ...

    def event(self, obj: CustomObject, type_: str, reason: str, message: str) -> None:
        """Record an Event (`type_` Normal or Warning) about an object; failures are swallowed and logged."""
        ...


class PeerReader(Protocol):
    """The published halves of the peers, read with their read-only credentials; never waits for a peer."""

    def start(self, wake: Callable[[], None]) -> None:
        """Call `wake`, on any thread, whenever a half was published anew, or a peer came back or went away."""
        ...

    def stop(self) -> None: ...

    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None:
        """Read exactly these peers (cloud ID to kubeconfig), from now on and in the background."""
        ...

    def views(self) -> Mapping[str, PeerView]:
        """The last result for each peer that is followed."""
        ...


class Watch(Protocol):
    """Tells that objects of a cluster may have changed, and nothing else: who is woken looks at everything again."""

    def start(self, wake: Callable[[], None]) -> None:
        """Call `wake`, on any thread, whenever something may have changed; goes on when the API comes back."""
        ...

    def stop(self) -> None: ...


class NetworkCloud(Protocol):
    """Keystone and Neutron of our own cloud, with the operator's credential.

    Lists are complete. Every call raises `model.errors.ExternalError` subclasses only. Creating calls set
    `description` in the same request, so that what was made can be found again after a crash.
    """

    def own_project_id(self) -> str: ...

    def get_network(self, network_id: str) -> Network | None: ...
    def is_shared_by_policy(self, network_id: str) -> bool:
        """Whether other projects have the network by an RBAC policy; `Network.shared` tells of all projects only."""
        ...

    def networks_of(self, project_id: str) -> list[Network]: ...
    def subnets_of(self, network_id: str) -> list[Subnet]: ...
    def subnets_in_project(self, project_id: str) -> list[Subnet]: ...
    def ports_of(self, network_id: str) -> list[Port]: ...

    def create_network(self, project_id: str, name: str, mtu: int, description: str) -> Network: ...
    def set_network_mtu(self, network_id: str, mtu: int) -> None: ...
    def tag_network(self, network_id: str, tag: str) -> None: ...
    def delete_network(self, network_id: str) -> None: ...

    def create_subnet(
        self,
        network_id: str,
        project_id: str,
        name: str,
        cidr: str,
        gateway_ip: str | None,
        pools: Sequence[Range],
        enable_dhcp: bool,
        dns_nameservers: Sequence[str],
        host_routes: Sequence[tuple[str, str]],
        description: str,
    ) -> Subnet: ...

    def update_subnet(
        self,
        subnet_id: str,
        *,
        pools: Sequence[Range] | None = None,
        enable_dhcp: bool | None = None,
        dns_nameservers: Sequence[str] | None = None,
        host_routes: Sequence[tuple[str, str]] | None = None,
    ) -> None: ...

    def delete_subnet(self, subnet_id: str) -> None: ...

    def create_attachment_port(self, network_id: str, host: str, name: str, description: str) -> Port:
        """No addresses, port security off, bound to `host`, in the operator's project."""
        ...

    def create_gateway_port(self, network_id: str, subnet_id: str, address: str, name: str, description: str) -> Port:
        """Reserve an address: unbound, vnic_type baremetal, port security off, in the operator's project."""
        ...

    def delete_port(self, port_id: str) -> None: ...

    def find_domain(self, name: str) -> Domain | None: ...
    def create_domain(self, name: str, description: str) -> Domain: ...
    def delete_domain(self, domain_id: str) -> None:
        """Disable, then delete."""
        ...

    def get_project(self, project_id: str) -> Project | None: ...
    def projects_of(self, domain_id: str) -> list[Project]: ...
    def create_project(self, domain_id: str, name: str, description: str) -> Project: ...
    def delete_project(self, project_id: str) -> None:
        """Also its default security group, which Neutron made by itself, and its quotas."""
        ...

    def get_quota(self, project_id: str) -> NetworkQuota: ...
    def set_quota(self, project_id: str, quota: NetworkQuota) -> None: ...
    def project_is_empty(self, project_id: str) -> bool:
        """Nothing of Neutron's is in it but the default security group."""
        ...


class Ovsdb(Protocol):
    """This node's Open vSwitch database."""

    def view(self) -> BridgeView: ...

    def ensure_bridge(self) -> None:
        """br-cloud with fail_mode=secure and its probe port; Conflict where a bridge of that name is not ours."""
        ...

    def apply(self, add: Ports, remove_interfaces: Iterable[str]) -> None:
        """One transaction; both ends of a patch pair together. Waits until ovs-vswitchd has taken it.

        Removes only what carries our owner key; what is both removed and added is made anew.
        """
        ...

    def remove_bridge(self) -> None:
        """Remove br-cloud if it is ours."""
        ...


class OpenFlow(Protocol):
    """The flows of br-cloud."""

    def instance(self) -> str:
        """Which ovs-vswitchd serves br-cloud, cheaply told; a new one has no flows. Empty: none."""
        ...

    def view(self) -> FlowView: ...

    def replace(self, table: FlowTable) -> None:
        """Put in the meters, then in one atomic bundle delete every flow of ours and add these."""
        ...


class Xfrm(Protocol):
    """Static policies and stale states in this node's kernel."""

    def view(self, addresses: frozenset[str]) -> XfrmView:
        """Our blocks, and the states whose source or destination is one of these addresses of ours."""
        ...

    def add_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """Put in blocks that are not there; Conflict where somebody else has a policy for the same packets."""
        ...

    def remove_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """Take out blocks of ours."""
        ...

    def remove_associations(self, associations: Iterable[SecurityAssociation]) -> None:
        """Delete states; one that is gone already is no error."""
        ...


class Ike(Protocol):
    """This node's charon through vici. For one thread."""

    def view(self) -> IkeView:
        """What charon has now. Taken after `Xfrm.view`, it knows every SA of charon's that is in there."""
        ...

    def load(self, connection: IkeConnection, key: bytes) -> None:
        """Load the key and the connection, the initiator's traps with it; SAs that are there stay."""
        ...

    def unload(self, name: str) -> None:
        """Take out traps, connection and key, and end its SAs; what is not there is no error."""
        ...

    def initiate(self, name: str) -> None:
        """Ask for children that are not installed for what is loaded, without waiting for the peer.

        SAs that were negotiated for what was loaded before stay, and carry the traffic until `retire`.
        """
        ...

    def retire(self, name: str) -> None:
        """End superseded SAs if all children are installed for what is loaded."""
        ...


class Netlink(Protocol):
    """This node's own network stack."""

    def view(self) -> NodeView: ...


class DataplaneProbe(Protocol):
    """Numbered frames through br-cloud to the peer's br-cloud and back, one source MAC a link."""

    def exchange(self, macs: Mapping[str, str], timeout_seconds: float) -> Mapping[str, ProbeResult]:
        """Send one frame for each link (name to its MAC), collect what comes back until the timeout."""
        ...


class Clock(Protocol):
    """Time, so that tests can have their own."""

    def now(self) -> datetime:
        """Aware, in UTC."""
        ...

    def monotonic_seconds(self) -> float: ...
