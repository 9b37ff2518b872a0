"""Manifests of Events."""

from __future__ import annotations

from datetime import UTC, datetime

from isthmus.model.api.objects import API_VERSION, CustomObject
from isthmus.model.names import digest
from isthmus.ports import Manifest


def event_manifest(obj: CustomObject, type_: str, reason: str, message: str, reporter: str) -> Manifest:
    """An Event whose name is a digest of its content: a repetition updates it instead of adding another one."""
    about = obj.metadata
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about.name[:200]}.{digest(about.uid or '', type_, reason, message, digits=16)}",
            "namespace": about.namespace or "default",
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": obj.registration.kind,
            "name": about.name,
            "namespace": about.namespace or "",
            "uid": about.uid or "",
        },
        "type": type_,
        "reason": reason,
        "message": message[:1024],
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": reporter},
        "reportingComponent": reporter,
    }
