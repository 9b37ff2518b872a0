"""Feeds the cache with what the watch reports."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final

from pydantic import ValidationError

from isthmus.core.snapshot.manifests import MANIFEST_KINDS, SECRET
from isthmus.core.snapshot.not_understood import NotUnderstood
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject, first_problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.names import SYSTEM_NAMESPACE
from isthmus.ports import Manifest

from .state import State

_LOG = logging.getLogger(__name__)
_BY_NAME: Final = {kind.registration.kind: kind for kind in KINDS}
WATCHED: Final = (*_BY_NAME, *MANIFEST_KINDS)


class Feed:
    """`ports.Observer`."""

    def __init__(self, state: State, succeeded: Callable[[], None], failed: Callable[[ExternalError], None]) -> None:
        """`succeeded` is called for each list that was read, `failed` if a kind cannot be listed or watched."""
        self._state, self._succeeded, self._report_failure = state, succeeded, failed
        self._lock = threading.Lock()
        self._missing = set(WATCHED)
        self._refused: dict[str, str] = {}
        """Why kinds cannot be watched, such as a CRD that is not installed yet; logged once."""
        self._complete = threading.Event()

    @property
    def is_complete(self) -> bool:
        """Whether every kind has been listed once: before that, what is missing may exist."""
        return self._complete.is_set()

    def listed(self, kind: str, manifests: Iterable[Manifest], version: str | None = None) -> None:
        """Store each object as it comes, so that the list is never in memory as a whole, and remove what is gone."""
        listed: set[tuple[str, str]] = set()
        for manifest in manifests:
            if not _is_foreign(kind, manifest):
                listed.add(_key(manifest))
                self.changed(kind, manifest)
        if kind in MANIFEST_KINDS:
            self._state.retain_manifests(kind, {name for _, name in listed}, version)
        else:
            self._state.retain(_BY_NAME[kind], listed, version)
        self._succeeded()
        if self._refused.pop(kind, None):
            _LOG.info("watching %s again", kind)
        with self._lock:
            self._missing.discard(kind)
            if not self._missing:
                self._complete.set()

    def changed(self, kind: str, manifest: Manifest) -> None:
        """Store one object, if it is newer than what is known of it."""
        if _is_foreign(kind, manifest):
            return
        if kind in MANIFEST_KINDS:
            self._state.put_manifest(kind, manifest)
        elif not self._is_known(_BY_NAME[kind], manifest):
            self._parse(_BY_NAME[kind], manifest)

    def removed(self, kind: str, manifest: Manifest) -> None:
        """Remove one object."""
        if _is_foreign(kind, manifest):
            return
        key, uid = _key(manifest), manifest["metadata"].get("uid")
        if kind in MANIFEST_KINDS:
            self._state.remove_manifest(kind, key[1], uid)
        else:
            self._state.remove(_BY_NAME[kind], key, uid)

    def failed(self, kind: str, error: ExternalError) -> None:
        """The cache keeps what it has."""
        if isinstance(error, Unavailable):
            self._report_failure(error)
        elif self._refused.get(kind) != str(error):
            self._refused[kind] = str(error)
            _LOG.warning("cannot watch %s, trying again: %s", kind, error)

    def _is_known(self, kind: type[CustomObject], manifest: Manifest) -> bool:
        return self._state.is_known(kind, _key(manifest), manifest["metadata"].get("resourceVersion"))

    def _parse(self, kind: type[CustomObject], manifest: Manifest) -> None:
        """An object that does not parse must not look deleted: see `core.keys.understanding`."""
        try:
            obj = kind.from_wire(manifest)
        except ValidationError as error:
            found = NotUnderstood.of(kind, manifest, first_problem(error))
            _LOG.warning("%s is not understood: %s", found, found.problem)
            self._state.put_not_understood(found)
        else:
            self._state.put(obj)


def _is_foreign(kind: str, manifest: Manifest) -> bool:
    """Whether it is a Secret of another namespace than our own."""
    return kind == SECRET and manifest["metadata"].get("namespace") != SYSTEM_NAMESPACE


def _key(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
