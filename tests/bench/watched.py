"""The events by which a cloud's API server sends a peer what the cloud publishes to it."""

from __future__ import annotations

import json
from typing import Any, Final

from isthmus.model import names
from tests.fakes.federation import FakeCloud
from tests.fakes.store import Key, Manifest

_TIME: Final = "2026-01-01T00:00:00Z"


class Published:
    """The objects that one cloud publishes to another one, and which of them have changed."""

    def __init__(self, cloud: FakeCloud, peer: FakeCloud) -> None:
        self._store, self._namespace = cloud.store, names.peer_namespace(peer.cloud_id)
        self._versions = self._current()

    def all(self, kind: str) -> list[Manifest]:
        """All objects of a kind."""
        return self._store.read_all(names.API_VERSION, kind, self._namespace)

    def changed(self) -> list[Manifest]:
        """What has been written since the last call; raises RuntimeError if something was deleted."""
        before, self._versions = self._versions, self._current()
        if gone := before.keys() - self._versions.keys():
            raise RuntimeError(f"not published any more: {gone}")
        keys = [key for key, version in self._versions.items() if before.get(key) != version]
        return [manifest for key in keys if (manifest := self._store.read(key)) is not None]

    def _current(self) -> dict[Key, str]:
        return {
            key: entry.manifest["metadata"]["resourceVersion"]
            for key, entry in self._store.entries.items()
            if (key.api_version, key.namespace) == (names.API_VERSION, self._namespace)
        }


def event(manifest: Manifest) -> bytes:
    """The line of a watch that has a changed object, with what an API server adds to its metadata."""
    fields = {
        "f:metadata": {"f:labels": _fields(manifest["metadata"].get("labels", {}))},
        "f:spec": _fields(manifest["spec"]),
    }
    manager = {
        "manager": names.CONTROLLER,
        "operation": "Apply",
        "apiVersion": names.API_VERSION,
        "time": _TIME,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    metadata = manifest["metadata"] | {"creationTimestamp": _TIME, "managedFields": [manager]}
    return json.dumps({"type": "MODIFIED", "object": manifest | {"metadata": metadata}}, separators=(",", ":")).encode()


def _fields(value: dict[str, Any]) -> dict[str, Any]:
    """Names of fields, as the server notes who has set them; lists are one field each."""
    return {f"f:{name}": _fields(each) if isinstance(each, dict) else {} for name, each in value.items()}
