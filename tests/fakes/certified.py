"""An agent whose peers are authenticated by certificates."""

from __future__ import annotations

from isthmus.model import names
from isthmus.model.api.v1alpha1.peerlink import PeerLink

from .agent_harness import AgentHarness
from .cluster import FakeCluster
from .nodeobjects import NODE, OWN, peer, peerlink

IDENTITY = f"{NODE}.{OWN}"
THIRD = "cloud-c"
_THIRD_GATEWAY = {"name": "gw-c1", "address": "203.0.113.1"}


def store(harness: AgentHarness, data: dict[str, str], name: str = "psk-b") -> None:
    """A Secret with this content."""
    metadata = {"name": name, "namespace": names.IPSEC_NAMESPACE}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    harness.kubectl.apply_manifest(manifest)
    harness.intents.refresh()


def agree(harness: AgentHarness, own: str, peers: str, link: PeerLink | None = None) -> None:
    """What the controller writes when both clouds have published this."""
    link = link or peerlink()
    document = link.to_wire()
    document["spec"]["ipsec"]["authentication"] = own
    document["status"]["peer"]["spec"]["ipsec"]["authentication"] = peers
    changed = type(link).from_wire(document)
    controller = FakeCluster(harness.store)
    controller.apply(changed)
    controller.apply_status(changed)
    harness.intents.refresh()


def add_third(harness: AgentHarness, data: dict[str, str], authentication: str = "Certificate") -> None:
    """Another peer, whose Secret psk-c has this content."""
    namespace = {"name": names.peer_namespace(THIRD)}
    harness.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    harness.kubectl.apply(peer(THIRD, "203.0.113.0/24", secret="psk-c"))
    store(harness, data, "psk-c")
    agree(harness, authentication, authentication, peerlink(THIRD, _THIRD_GATEWAY))
