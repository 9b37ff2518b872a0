"""The Attachments of this cloud, as a streamed watch reports them: there may be thousands of them.

Of the other kinds there are few, and administrators write them: those are listed after each change (`intents`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.errors import ExternalError
from isthmus.model.names import SYSTEM_NAMESPACE
from isthmus.model.tracked import Tracked
from isthmus.ports import Manifest
from isthmus.telemetry.outages import Outage

from .parsing import Parser
from .reports import KubernetesReports


class Attachments:
    """`ports.Observer` of Attachments."""

    def __init__(self, reports: KubernetesReports, outage: Outage, changed: Callable[[], None]) -> None:
        """`changed` is called after changes that the node's plan may depend on: those of a status are none."""
        self._reports, self._outage, self._changed = reports, outage, changed
        self._lock = threading.Lock()
        self._objects: dict[str, Attachment] | None = None
        self._latest: Tracked[str, Attachment] = Tracked()
        self._outdated: set[str] = set()
        """Names of those that differ in `_latest`."""
        self.parser = Parser(Attachment)

    def latest(self) -> tuple[Tracked[str, Attachment], frozenset[str]] | None:
        """All Attachments that are understood, by name, and the names of those of which nothing is.

        The latter must not look deleted. None before they were listed for the first time.
        """
        with self._lock:
            if self._objects is None:
                return None
            self._latest = self._latest.updated({name: self._objects.get(name) for name in self._outdated})
            self._outdated.clear()
            return self._latest, frozenset(map(_name, self.parser.unclear()))

    def listed(self, kind: str, manifests: Iterable[Manifest], version: str | None = None) -> None:
        """Replace all of them."""
        listed = [manifest for manifest in manifests if _is_ours(manifest)]
        with self._lock:
            before, known = self._planned(), self._objects
            self._objects = {found.metadata.name: found for found in self.parser.parse_all(listed)}
            self._outdated = {*self._objects, *self._latest}
            is_planned = known is None or self._planned() != before
        self._outage.succeeded()
        self._reports.listed(self._objects.values())
        if is_planned:
            self._changed()

    def changed(self, kind: str, manifest: Manifest) -> None:
        """Store one."""
        if self._objects is None or not _is_ours(manifest):
            return
        name = _name(manifest)
        with self._lock:
            before, was_unclear = self._objects.pop(name, None), name in map(_name, self.parser.unclear())
            attachment = self.parser.parse(manifest)
            if attachment is not None:
                self._objects[name] = attachment
            self._outdated.add(name)
        self._outage.succeeded()
        if attachment is not None:
            self._reports.changed(attachment)
        is_known = attachment is not None and before is not None and _version(before) == _version(attachment)
        if not is_known and not (attachment is None and was_unclear):
            self._changed()

    def removed(self, kind: str, manifest: Manifest) -> None:
        """Forget one."""
        if not _is_ours(manifest) or self._objects is None:
            return
        with self._lock:
            self._objects.pop(_name(manifest), None)
            self._outdated.add(_name(manifest))
            self.parser.remove(manifest)
        self._reports.removed(_name(manifest))
        self._changed()

    def failed(self, kind: str, error: ExternalError) -> None:
        """What is known stays."""
        self._outage.failed(str(error))

    def _planned(self) -> object:
        """Differs whenever something else is to be planned."""
        return _versions(self._objects or {}), {_name(manifest) for manifest in self.parser.unclear()}


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
