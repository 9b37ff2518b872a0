"""The Attachments of this cloud, as a streamed watch reports them: there may be thousands of them.

Of the other kinds there are few, and administrators write them: those are listed after each change (`intents`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from pydantic import ValidationError

from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.errors import ExternalError, Invalid
from isthmus.model.names import SYSTEM_NAMESPACE
from isthmus.ports import Manifest
from isthmus.telemetry.outages import Outage

from .reports import KubernetesReports

_LOG = logging.getLogger(__name__)


class Attachments:
    """`ports.Observer` of Attachments. One that does not parse keeps its last version that did.

    If there is none, nothing is known: left out, it would look deleted, and its ports would be removed.
    """

    def __init__(self, reports: KubernetesReports, outage: Outage, changed: Callable[[], None]) -> None:
        """`changed` is called after changes that the node's plan may depend on: those of a status are none."""
        self._reports, self._outage, self._changed = reports, outage, changed
        self._lock = threading.Lock()
        self._objects: dict[str, Attachment] | None = None
        self._refused: set[str] = set()

    def all(self) -> tuple[Attachment, ...] | None:
        """All Attachments, ordered by name; None before they were listed for the first time."""
        with self._lock:
            return None if self._objects is None else tuple(a for _, a in sorted(self._objects.items()))

    def listed(self, kind: str, manifests: Iterable[Manifest], version: str | None = None) -> None:
        """Replace all of them. Raises Invalid if one does not parse and was not known before."""
        known = self._objects or {}
        found = {_name(m): self._parsed(m) or known.get(_name(m)) for m in manifests if _is_ours(m)}
        if unknown := sorted(name for name, attachment in found.items() if attachment is None):
            raise Invalid(f"Attachment {unknown[0]} is not understood: see the log")
        objects = {name: attachment for name, attachment in found.items() if attachment is not None}
        with self._lock:
            is_planned = self._objects is None or _versions(objects) != _versions(known)
            self._objects = objects
        self._outage.succeeded()
        self._reports.listed(objects.values())
        if is_planned:
            self._changed()

    def changed(self, kind: str, manifest: Manifest) -> None:
        """Store one."""
        attachment = self._parsed(manifest) if _is_ours(manifest) else None
        if attachment is None or self._objects is None:
            return
        with self._lock:
            before = self._objects.get(attachment.metadata.name)
            self._objects[attachment.metadata.name] = attachment
        self._outage.succeeded()
        self._reports.changed(attachment)
        if before is None or _version(before) != _version(attachment):
            self._changed()

    def removed(self, kind: str, manifest: Manifest) -> None:
        """Forget one."""
        if not _is_ours(manifest) or self._objects is None:
            return
        with self._lock:
            self._objects.pop(_name(manifest), None)
        self._reports.removed(_name(manifest))
        self._changed()

    def failed(self, kind: str, error: ExternalError) -> None:
        """What is known stays."""
        self._outage.failed(str(error))

    def _parsed(self, manifest: Manifest) -> Attachment | None:
        try:
            return Attachment.from_wire(manifest)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where, name = ".".join(str(part) for part in first["loc"]), _name(manifest)
            if name not in self._refused:
                self._refused.add(name)
                _LOG.warning("%s %s is not understood: %s: %s", "Attachment", name, where, first["msg"])
            return None


def _is_ours(manifest: Manifest) -> bool:
    return bool(manifest["metadata"].get("namespace") == SYSTEM_NAMESPACE)


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _versions(objects: dict[str, Attachment]) -> dict[str, object]:
    return {name: _version(attachment) for name, attachment in objects.items()}


def _version(attachment: Attachment) -> object:
    """Changes with the spec alone."""
    metadata = attachment.metadata
    return metadata.uid, metadata.generation, metadata.deletion_timestamp
