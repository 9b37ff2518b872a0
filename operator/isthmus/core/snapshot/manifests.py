"""Objects of kinds that Kubernetes defines, reduced to what planning needs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from isthmus.model import names

from .deleted import DeletedObjects, version_number

NAMESPACE: Final = "Namespace"
NODE: Final = "Node"
SECRET: Final = "Secret"  # noqa: S105  the name of a kind
MANIFEST_KINDS: Final = (NAMESPACE, NODE, SECRET)

Reduced = Mapping[str, Any]
_NAMESPACE_LABELS: Final = (names.PEER_LABEL, names.MANAGED_BY_LABEL)


class _Held(NamedTuple):
    uid: str | None
    version: int


@dataclass
class ManifestCache:
    """The objects of one kind by name: of each the newest version that was reported."""

    reduce: Callable[[Mapping[str, Any]], Reduced | None]
    """None if planning does not need the object."""
    reduced: dict[str, Reduced] = field(default_factory=dict)
    """What planning needs."""
    _held: dict[str, _Held] = field(default_factory=dict)
    _deleted: DeletedObjects = field(default_factory=DeletedObjects)

    def put(self, manifest: Mapping[str, Any]) -> None:
        """Add or replace an object, unless a newer version is known or it was deleted meanwhile."""
        metadata = manifest["metadata"]
        name, uid, version = metadata["name"], metadata.get("uid"), version_number(metadata.get("resourceVersion"))
        known = self._held.get(name)
        is_old = known is not None and known.version >= version > 0
        if is_old or self._deleted.has(uid, is_terminating="deletionTimestamp" in metadata):
            return
        self._held[name] = _Held(uid, version)
        reduced = self.reduce(manifest)
        if reduced is None:
            self.reduced.pop(name, None)
        else:
            self.reduced[name] = reduced

    def remove(self, name: str, uid: str | None = None) -> None:
        """The object does not exist any more; with `uid` only that one."""
        known = self._held.get(name)
        self._deleted.add(uid or (known.uid if known else None), is_gone=True)
        if known is not None and (uid is None or known.uid == uid):
            del self._held[name]
            self.reduced.pop(name, None)

    def missing_in(self, listed: AbstractSet[str], version: str | None) -> tuple[str, ...]:
        """Names of the objects that a list of that resource version shows to be gone."""
        newest = version_number(version)
        return tuple(
            name for name, held in self._held.items() if name not in listed and not (0 < newest < held.version)
        )


@dataclass(frozen=True)
class Hidden:
    """Content that must not appear in any text."""

    content: bytes = field(repr=False)


def reduced_secret(manifest: Mapping[str, Any]) -> Reduced | None:
    """Nothing but the kubeconfig; None for a Secret without one."""
    text = (manifest.get("data") or {}).get(names.KUBECONFIG_KEY, "")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return {names.KUBECONFIG_KEY: Hidden(content)} if content else None


def reduced_namespace(manifest: Mapping[str, Any]) -> Reduced:
    """The namespace without all that planning does not need, so that it costs little and its changes make no work."""
    metadata = manifest["metadata"]
    annotation = (metadata.get("annotations") or {}).get(names.PROJECT_ANNOTATION)
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name in _NAMESPACE_LABELS}
    kept: dict[str, Any] = {name: metadata[name] for name in ("name", "uid") if name in metadata}
    if annotation is not None:
        kept["annotations"] = {names.PROJECT_ANNOTATION: annotation}
    if labels:
        kept["labels"] = labels
    if "deletionTimestamp" in metadata:
        kept["deletionTimestamp"] = metadata["deletionTimestamp"]
    return {"metadata": kept}


def reduced_node(manifest: Mapping[str, Any]) -> Reduced | None:
    """Nothing but the name of a node that carries the gateway label."""
    metadata = manifest["metadata"]
    is_gateway = (metadata.get("labels") or {}).get(names.GATEWAY_LABEL) == "true"
    return {"metadata": {"name": metadata["name"]}} if is_gateway else None
