"""Every name that Isthmus gives to a resource in an external system.

Needs the standard library alone, because `kubectl isthmus` contains it.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache

GROUP = "isthmus.cloud"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

SYSTEM_NAMESPACE = "isthmus-system"
GATEWAY_NAMESPACE = "isthmus-gateway"  # account of the agents; their pods and those of charon
IPSEC_NAMESPACE = "isthmus-ipsec"
CONTROLLER = "isthmus-controller"
AGENT = "isthmus-agent"
# Admission policies that restrict the accounts of controller and agents, and whoever edits namespaces.
ADMISSION_POLICIES = (CONTROLLER, f"{CONTROLLER}-finalizers", AGENT, "isthmus-project-binding")

FINALIZER = f"{GROUP}/withdraw"
PROJECT_ANNOTATION = f"{GROUP}/project-id"  # on a tenant's namespace; admission allows it to administrators only
INVITATION_ANNOTATION = f"{GROUP}/invitation"  # on a CloudPeer: ID of the invitation by which the clouds agree
FORGET_ANNOTATION = f"{GROUP}/forget"  # on a CloudPeer that is being deleted: do not wait for the peer
ORIGINAL_MTU_ANNOTATION = f"{GROUP}/original-mtu"  # on our ExpansionLink of a network of ours
OUTSIDE_POOLS_ANNOTATION = f"{GROUP}/outside-pools"  # likewise: what we withhold that was in no allocation pool
HANDED_OVER_ANNOTATION = f"{GROUP}/handed-over-until"  # on a peer's ServiceAccount: when its newest token ends
SERVER_ANNOTATION = f"{GROUP}/handed-over-server"  # on a peer's ServiceAccount: the server in its newest kubeconfig
AUTHORITY_ANNOTATION = f"{GROUP}/handed-over-authority"  # likewise: that server's authority, if not the cluster's own
CLOUD_ID_ANNOTATION = f"{GROUP}/cloud-id"  # on the controller's Lease: this cloud's ID, for `kubectl isthmus`
GATEWAY_CIDRS_ANNOTATION = f"{GROUP}/gateway-cidrs"  # on the controller's Lease: those of the settings, with commas
DELETE_PROJECTS_ANNOTATION = f"{GROUP}/delete-projects"  # on a CloudPeer: whatever services besides Neutron hold
PEER_LABEL = f"{GROUP}/peer"  # on objects that we create for one peer: its cloud ID
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "isthmus"
GATEWAY_LABEL = f"{GROUP}/gateway"  # on a Kubernetes node: "true"

PEER_ACCOUNT = "peer"  # ServiceAccount, Role and RoleBinding in the peer's namespace
PEER_TOKEN = "peer-token"  # noqa: S105  the name of a Secret that earlier releases created, not its content
KUBECONFIG_KEY = "kubeconfig"
PSK_KEY = "psk"
CERTIFICATE_KEY = "tls.crt"  # with tls.key and ca.crt as in a Secret of type kubernetes.io/tls
PRIVATE_KEY_KEY = "tls.key"
AUTHORITIES_KEY = "ca.crt"
REVOCATION_KEY = "ca.crl"

NEUTRON_TAG = "isthmus"
ATTACHMENT_DEVICE_OWNER = "isthmus:attachment"
GATEWAY_DEVICE_OWNER = "isthmus:gateway"
REMOTE_DEVICE_OWNER = "isthmus:remote"  # of ports that stand for machines of other members
QOS_POLICY = "isthmus"  # in the operator's project, without rules

BRIDGE = "br-cloud"
INTEGRATION_BRIDGE = "br-int"
NFTABLES_TABLE = "isthmus"
OWNER_KEY = "isthmus"  # external_ids key on every OVSDB row of ours

_PEER_NAMESPACE = "isthmus-peer-"
_CARRIED_GROUP = "isthmus security group of "
_PROJECT_NAME_CHARACTERS = 64  # Keystone's limit
_INTERFACE_NAME_BYTES = 15  # IFNAMSIZ without its terminating zero
_REMEMBERED = 65_536  # digests; an agent needs those of all its networks and links in each iteration


def agent_lease(node: str) -> str:
    """Lease by which the agent of that node shows that it runs."""
    return f"{AGENT}-{node}"


def peer_namespace(cloud_id: str) -> str:
    """Namespace in which we publish our links for that peer."""
    return f"{_PEER_NAMESPACE}{cloud_id}"


def peer_of_namespace(namespace: str) -> str:
    """The cloud ID of the peer that such a namespace is for."""
    return namespace.removeprefix(_PEER_NAMESPACE)


def peer_domain(cloud_id: str) -> str:
    """Keystone domain of a peer's replica projects, unless its CloudPeer names another."""
    return f"isthmus-{cloud_id}"


def link_name(cloud_id: str, network_id: str) -> str:
    """Name of all objects about one network of that cloud."""
    return f"{cloud_id}.{network_id}"


def port_slice(link_name: str, bucket: int) -> str:
    """Name of the PortSlice of one bucket of a network's ports."""
    return f"{link_name}.{bucket}"


def marker(link_name: str) -> str:
    """Ownership marker: description of what we create in OpenStack for one network, set in the creating call."""
    return f"isthmus {link_name}"


def replica_marker(link_name: str, attachment_uid: str) -> str:
    """Ownership marker of the replica of a peer's network.

    Members of its project can write any description, but do not know the UID of the Attachment.
    """
    return f"{marker(link_name)} {attachment_uid}"


def domain_marker(cloud_id: str) -> str:
    """Ownership marker of the domain that we create for a peer."""
    return f"isthmus peer {cloud_id}"


def project_marker(cloud_id: str, project_id: str) -> str:
    """Ownership marker of the replica of a peer's project."""
    return f"isthmus project {project_id} of {cloud_id}"


def carried_group(cloud_id: str, revision: int) -> str:
    """Ownership marker of a security group that is carried from a peer, with the revision that its rules are of."""
    return f"{_CARRIED_GROUP}{cloud_id}, revision {revision}"


def carried_revision(description: str, cloud_id: str) -> int | None:
    """The revision in the description of a security group that is carried from that peer; None of any other."""
    number = description.removeprefix(f"{_CARRIED_GROUP}{cloud_id}, revision ")
    return int(number) if number != description and number.isdecimal() else None


def is_carried_group(description: str) -> bool:
    """Whether it is the description of a security group that is carried from any peer."""
    return description.startswith(_CARRIED_GROUP)


def project_name(name: str, project_id: str) -> str:
    """Name of the replica of a peer's project; unique in its domain whatever name the peer chose."""
    return f"{name[: _PROJECT_NAME_CHARACTERS - 9]}-{project_id[:8]}"


def ike_identity(gateway: str, cloud_id: str) -> str:
    """IKE identity of a gateway (an FQDN in the sense of RFC 7296, section 3.5)."""
    return f"{gateway}.{cloud_id}"


def digest(*parts: str, digits: int = 10) -> str:
    """A hexadecimal digest of the parts with that many digits, for names of limited length."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]


def patch_in_cloud_bridge(link_name: str) -> str:
    """Patch port on br-cloud of one network."""
    return _interface("isc", link_name)


def patch_in_integration_bridge(link_name: str) -> str:
    """Patch port on br-int of one network; carries the attachment port's iface-id."""
    return _interface("isi", link_name)


TUNNEL_PREFIX = "ist"


def tunnel_port(cloud_id: str, gateway: str) -> str:
    """Tunnel port on br-cloud towards one remote gateway."""
    return _interface(TUNNEL_PREFIX, cloud_id, gateway)


def echo_port(encapsulation: str) -> str:
    """Port on br-cloud for echoes in tunnels of one kind that may not be fragmented."""
    return _interface("ise", encapsulation)


@lru_cache(maxsize=_REMEMBERED)
def _interface(prefix: str, *parts: str) -> str:
    """As much of a digest as an interface name holds. Peers choose some parts: callers must reject collisions."""
    text = base64.b32encode(hashlib.sha256("\0".join(parts).encode()).digest()).decode().lower()
    return (prefix + text)[:_INTERFACE_NAME_BYTES]


PROBE_REPORT_SCHEMA = f"{GROUP}/probe/v1"  # what `isthmus probe` prints, for `kubectl isthmus verify` and `bench`
PROBE_PORT_MTU = 65_500  # bytes, once there are echo ports: less than the longest packet of IPv4
PROBE_PORT = "isprobe"  # internal port of br-cloud through which probe frames enter and leave; has no address
INNER_DEVICE = "isinner"  # dummy device with the node's ends of tunnels inside ESP tunnel mode


@lru_cache(maxsize=_REMEMBERED)
def member(cloud_id: str, number: int | None = None) -> str:
    """Name of a member of a network on a node: a peer, or the member with that number in the network behind a peer."""
    return cloud_id if number is None else f"{cloud_id}/{number}"


def cloud_and_number(member_name: str) -> tuple[str, int | None]:
    """The arguments of `member` that give this name."""
    cloud_id, _, number = member_name.partition("/")
    return cloud_id, int(number) if number else None


def direct_path(member_name: str, cloud_id: str) -> str:
    """Name on a node of the direct path to a member that is in that cloud. Any other path is named after its member."""
    return f"{member_name}@{cloud_id}"


def peer_of_path(path_name: str) -> str | None:
    """The cloud ID of the peer that a path ends at; None if the peer hands on what it carries."""
    member_name, _, cloud_id = path_name.partition("@")
    return cloud_id or (member_name if "/" not in member_name else None)


def probe_mac(link_name: str, path_name: str) -> str:
    """Source MAC address of one path's probes: locally administered, not seen outside br-cloud and the tunnel."""
    octets = digest("echo", link_name, path_name)
    return ":".join(["02", *(octets[i : i + 2] for i in range(0, 10, 2))])
