"""Objects in a cluster for one gateway node: one peer, and networks stretched to it."""

from __future__ import annotations

from typing import Any

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.inputs import Key, NodeInputs
from isthmus.model.tracked import Tracked

NODE = "gw-a1"
OWN = "cloud-a"
PEER = "cloud-b"
ADDRESS = "192.0.2.11"
PEER_GATEWAY = {"name": "gw-b1", "address": "198.51.100.11"}
PSK = b"0123456789abcdef0123456789abcdef"
RED = "0a9af7a5-9cbb-4d3c-8d4e-000000000001"
BLUE = "0a9af7a5-9cbb-4d3c-8d4e-000000000002"


def published_spec(
    cloud_id: str,
    peer_cloud_id: str,
    gateway: dict[str, Any],
    port: int | None = 14789,
    encapsulation: str = "VXLAN",
    mode: str = "Transport",
) -> dict[str, Any]:
    """Published spec of a PeerLink."""
    tunnel = {"encapsulation": encapsulation, "mode": mode, "idRange": {"first": 0x100000, "last": 0x10FFFF}}
    return {
        "cloudID": cloud_id,
        "peerCloudID": peer_cloud_id,
        "gateways": [gateway],
        "tunnel": tunnel | ({"port": port} if encapsulation != "GRE" else {}),
        "ipsec": {"ikeProposals": ["aes256gcm16-prfsha384-ecp384"], "espProposals": ["aes256gcm16-ecp384"]},
    }


def peer(cloud_id: str = PEER, cidr: str = "198.51.100.0/24", secret: str = "psk-b") -> CloudPeer:
    """A CloudPeer."""
    return CloudPeer.from_wire(
        {
            "metadata": {"name": cloud_id},
            "spec": {
                "cloudID": cloud_id,
                "api": {"kubeconfigSecretRef": {"name": "peer"}},
                "gatewayCIDRs": [cidr],
                "ipsec": {"policyRef": {"name": "strong"}, "authSecretRef": {"name": secret}},
            },
        }
    )


def peerlink(
    cloud_id: str = PEER,
    gateway: dict[str, Any] | None = None,
    remote_port: int = 14789,
    local_port: int = 14789,
    encapsulation: str = "VXLAN",
    remote_encapsulation: str | None = None,
    mode: str = "Transport",
    own_gateway: dict[str, Any] | None = None,
    further_gateways: tuple[dict[str, Any], ...] = (),
) -> PeerLink:
    """A PeerLink with local and remote spec, both of the same encapsulation unless another remote one is given."""
    own = own_gateway or {"name": NODE, "address": ADDRESS}
    local = published_spec(OWN, cloud_id, own, local_port, encapsulation, mode)
    theirs = remote_encapsulation or encapsulation
    remote = published_spec(cloud_id, OWN, gateway or PEER_GATEWAY, remote_port, theirs, mode)
    remote["gateways"] += further_gateways
    seen = {"uid": "u", "generation": 1, "firstSeen": "2026-01-01T00:00:00Z", "spec": remote}
    metadata = {"name": OWN, "namespace": names.peer_namespace(cloud_id)}
    return PeerLink.from_wire({"metadata": metadata, "spec": local, "status": {"peer": seen}})


def link(tunnel_id: int, cloud_id: str = PEER, gateway: dict[str, str] | None = None) -> dict[str, Any]:
    """An Attachment's path to one peer."""
    return {"cloudID": cloud_id, "tunnelID": tunnel_id, "gateway": gateway or PEER_GATEWAY}


def attachment(
    network: str = RED, links: tuple[dict[str, Any], ...] = (), role: str = "Origin", active: str = NODE
) -> Attachment:
    """An Attachment."""
    return Attachment.from_wire(
        {
            "metadata": {"name": f"{OWN}.{network}", "namespace": names.SYSTEM_NAMESPACE, "generation": 3},
            "spec": {
                "origin": {"cloudID": OWN, "networkID": network},
                "role": role,
                "activeNode": active,
                "ports": [{"node": NODE, "portID": f"1{network[1:]}", "mac": "fa:16:3e:00:00:01"}],
                "links": list(links or (link(0x100000),)),
                "gatewayAddresses": ["10.20.0.1"],
            },
        }
    )


OTHER_GATEWAY = {"name": "gw-c1", "address": "203.0.113.11"}


def replica(
    network: str = RED, tunnel_id: int = 0x180001, gateway: dict[str, str] = OTHER_GATEWAY, through_origin: bool = True
) -> Attachment:
    """The Attachment of a replica of a network of the peer; cloud-c is its member 3, by two paths or directly alone."""
    found, number = attachment(network, role="Receiver").to_wire(), int(network[-1])
    found["spec"]["origin"]["cloudID"] = PEER
    members = [{"number": 3, "tunnelID": 0x100010 + number}] if through_origin else []
    found["spec"]["links"] = [link(0x100000 + number) | {"members": members}]
    direct = {"number": 3, "cloudID": "cloud-c", "tunnelID": tunnel_id, "gateway": gateway}
    return Attachment.from_wire(found | {"spec": found["spec"] | {"directPaths": [direct]}})


def inputs(
    *attachments: Attachment,
    peers: tuple[CloudPeer, ...] | None = None,
    peerlinks: tuple[PeerLink, ...] | None = None,
    keys: dict[str, Key] | None = None,
) -> NodeInputs:
    """All inputs of the node's plan."""
    return NodeInputs(
        node=NODE,
        cloud_id=OWN,
        gateway_cidrs=("192.0.2.0/24",),
        attachments=Tracked({attachment.metadata.name: attachment for attachment in attachments}),
        peers=(peer(),) if peers is None else peers,
        policies=(IPsecPolicy.from_wire({"metadata": {"name": "strong"}, "spec": {}}),),
        peerlinks=(peerlink(),) if peerlinks is None else peerlinks,
        keys={"psk-b": Key(PSK, "1")} if keys is None else keys,
    )
