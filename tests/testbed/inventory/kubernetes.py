"""Inventory of a cloud's Kubernetes API: every kind that can be listed."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

# Heartbeats and logs: they appear and disappear by themselves.
_PASSING: Final = ("events", "events.events.k8s.io", "leases.coordination.k8s.io", "componentstatuses")
# Counters and authors of writes: a status written twice is the same status.
_COUNTS_OF_WRITES: Final = ("resourceVersion", "generation", "observedGeneration", "managedFields")
_TIMES_OF_CONDITIONS: Final = ("lastTransitionTime", "lastHeartbeatTime")
# A node that was drained for a while has another GatewayNode afterwards, which says the same.
_OF_ONE_GATEWAY_NODE: Final = ("uid", "creationTimestamp")


def everything(kubectl: Callable[..., str]) -> list[dict[str, Any]]:
    """All objects of all kinds that can be listed, except volatile ones."""
    listable = kubectl("api-resources", "--verbs=list", "--cached=false", "-o", "name").split()
    kinds = ",".join(kind for kind in listable if kind not in _PASSING)
    found: list[dict[str, Any]] = json.loads(kubectl("get", kinds, "-A", "-o", "json"))["items"]
    return found


def sections(kubectl: Callable[..., str]) -> dict[str, dict[str, Any]]:
    """One section for each kind, named by namespace and name."""
    found: dict[str, dict[str, Any]] = {}
    for item in everything(kubectl):
        metadata = item["metadata"]
        name = f"{metadata.get('namespace', '')}/{metadata['name']}".lstrip("/")
        found.setdefault(f"kubernetes {item['kind']}", {})[name] = _plain(item)
    return found


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    ignored = _COUNTS_OF_WRITES + (_OF_ONE_GATEWAY_NODE if item["kind"] == "GatewayNode" else ())
    metadata = {key: value for key, value in item["metadata"].items() if key not in ignored}
    plain = {**item, "metadata": metadata}
    if item["kind"] == "Secret":
        plain["data"] = {key: _fingerprint(value) for key, value in item.get("data", {}).items()}
    if "status" in item:
        plain["status"] = _status(item["status"])
    if item["kind"] == "GatewayNode" and "connections" in plain.get("status", {}):
        plain["status"]["connections"] = [_without_what_is_learned(each) for each in plain["status"]["connections"]]
    return plain


def _status(status: dict[str, Any]) -> dict[str, Any]:
    # The images of a node are those that its kubelet has found most recently, with all their names.
    plain = {key: value for key, value in status.items() if key not in (*_COUNTS_OF_WRITES, "images")}
    if "conditions" in status:
        # A condition that changed and changed back differs only in the time, and in the generation it is of.
        plain["conditions"] = [
            {key: value for key, value in condition.items() if key not in (*_TIMES_OF_CONDITIONS, *_COUNTS_OF_WRITES)}
            for condition in status["conditions"]
        ]
    return plain


def _without_what_is_learned(connection: dict[str, Any]) -> dict[str, Any]:
    """What a path carries is known from the first network on, and as long as the peer is there."""
    return {key: value for key, value in connection.items() if key != "carriedMTU"}


def _fingerprint(value: str) -> str:
    """A digest that reveals changes but no secret."""
    return hashlib.sha256(value.encode()).hexdigest()[:12]
