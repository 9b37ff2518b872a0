"""The plain peer's control plane, by docs/protocol.md: objects as JSON, applied and read with `kubectl`."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Link = dict[str, Any]
Kubectl = Callable[..., str]

OWN, PEER = "cloud-c", "cloud-a"
GATEWAY = {"name": "gw-c1", "address": "203.0.113.11"}
NAMESPACE = f"isthmus-peer-{PEER}"
_API_VERSION = "isthmus.cloud/v1alpha1"
_MTU = 1416  # section 9, for a path of 1500


class Control:
    """Publishes in our own API, reads in the peer's."""

    def __init__(self, kubectl: Kubectl, peer_kubeconfig: Path) -> None:
        """`kubectl` takes its arguments, and the keywords `input` and `kubeconfig`; ours is the default."""
        self._kubectl = kubectl
        self._peer_kubeconfig = peer_kubeconfig

    def publish_agreement(self) -> None:
        """Our PeerLink (section 3)."""
        self._publish(
            "PeerLink",
            OWN,
            {
                "cloudID": OWN,
                "peerCloudID": PEER,
                "protocolVersion": 1,
                "gateways": [GATEWAY],
                "tunnel": {"port": 14789, "idRange": {"first": 0x100000, "last": 0x10FFFF}},
                "ipsec": {
                    "ikeProposals": ["aes256gcm16-prfsha384-ecp384"],
                    "espProposals": ["aes256gcm16-ecp384"],
                },
            },
        )

    def credential(self, server: str) -> str:
        """The kubeconfig that the peer reads with (section 2.4); empty as long as there is no token."""
        found = self._kubectl("get", "secret", "-n", NAMESPACE, "reader", "-o", "json")
        data = json.loads(found).get("data", {})
        if "token" not in data:
            return ""
        cluster = {"server": server, "certificate-authority-data": data["ca.crt"]}
        token = base64.b64decode(data["token"]).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": OWN, "cluster": cluster}],
            "users": [{"name": PEER, "user": {"token": token}}],
            "contexts": [{"name": OWN, "context": {"cluster": OWN, "user": PEER}}],
            "current-context": OWN,
        }
        return json.dumps(document)

    def peer_links(self) -> dict[str, Link]:
        """The peer's ExpansionLinks by name (section 2.3)."""
        where = ("-n", f"isthmus-peer-{OWN}", "-o", "json")
        found = self._kubectl("get", "expansionlinks.isthmus.cloud", *where, kubeconfig=self._peer_kubeconfig)
        return {link["metadata"]["name"]: link for link in json.loads(found)["items"]}

    def answer(self, link: Link, verdict: str) -> None:
        """Our answer to an offer (sections 4, 5)."""
        accepted = verdict == "Accepted"
        answer = {
            "uid": link["metadata"]["uid"],
            "generation": link["metadata"]["generation"],
            "verdict": verdict,
            "reason": verdict,
        }
        spec = {"answer": answer, "origin": link["spec"]["origin"]}
        self._publish_link(link["metadata"]["name"], spec, connected=accepted)

    def offer(self, network_id: str, offer: dict[str, Any]) -> str:
        """Our offer of a network (sections 4, 7, 8); its link name."""
        name = f"{OWN}.{network_id}"
        self._publish_link(name, {"offer": offer, "origin": {"cloudID": OWN, "networkID": network_id}}, connected=True)
        return name

    def withdraw(self, name: str) -> None:
        """Our offer is no more (section 5)."""
        spec = json.dumps({"spec": {"state": "Withdrawn", "gateway": None}})
        self._kubectl("patch", "expansionlink", "-n", NAMESPACE, name, "--type=merge", "-p", spec)

    def delete(self, name: str) -> None:
        """Our link goes (section 5)."""
        self._kubectl("delete", "expansionlink", "-n", NAMESPACE, name)

    def _publish_link(self, name: str, spec: dict[str, Any], *, connected: bool) -> None:
        clouds = {"cloudID": OWN, "peerCloudID": PEER}
        gateway = {"gateway": GATEWAY["name"]} if connected else {}
        self._publish("ExpansionLink", name, {**clouds, "state": "Active", "mtu": _MTU, **gateway, **spec})

    def _publish(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": NAMESPACE}
        document = {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
        self._kubectl("apply", "-f", "-", input=json.dumps(document))
