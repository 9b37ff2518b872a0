"""Feeds the cache with what the watch reports."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from pydantic import ValidationError

from isthmus.core.snapshot.not_understood import NotUnderstood
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject, first_problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.names import SYSTEM_NAMESPACE
from isthmus.ports import Manifest

from .state import State

_LOG = logging.getLogger(__name__)
NAMESPACE: Final = "Namespace"
NODE: Final = "Node"
SECRET: Final = "Secret"  # noqa: S105  the name of a kind
_BY_NAME: Final = {kind.registration.kind: kind for kind in KINDS}
WATCHED: Final = (*_BY_NAME, NAMESPACE, NODE, SECRET)


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
            listed.add(_key(manifest))
            self.changed(kind, manifest)
        self._retain(kind, listed, version)
        self._succeeded()
        if self._refused.pop(kind, None):
            _LOG.info("watching %s again", kind)
        with self._lock:
            self._missing.discard(kind)
            if not self._missing:
                self._complete.set()

    def changed(self, kind: str, manifest: Manifest) -> None:
        """Store one object, if it is newer than what is known of it."""
        if kind == NAMESPACE:
            self._state.put_namespace(manifest)
        elif kind == NODE:
            self._state.put_node(manifest)
        elif kind == SECRET:
            if _is_ours(manifest):
                self._state.put_secret(manifest)
        elif not self._is_known(_BY_NAME[kind], manifest):
            self._parse(_BY_NAME[kind], manifest)

    def removed(self, kind: str, manifest: Manifest) -> None:
        """Remove one object."""
        key, uid = _key(manifest), manifest["metadata"].get("uid")
        if kind == NAMESPACE:
            self._state.remove_namespace(key[1], uid)
        elif kind == NODE:
            self._state.remove_node(key[1], uid)
        elif kind == SECRET:
            if _is_ours(manifest):
                self._state.remove_secret(key[1], uid)
        else:
            self._state.remove(_BY_NAME[kind], key, uid)

    def failed(self, kind: str, error: ExternalError) -> None:
        """The cache keeps what it has."""
        if isinstance(error, Unavailable):
            self._report_failure(error)
        elif self._refused.get(kind) != str(error):
            self._refused[kind] = str(error)
            _LOG.warning("cannot watch %s, trying again: %s", kind, error)

    def _retain(self, kind: str, listed: AbstractSet[tuple[str, str]], version: str | None) -> None:
        if kind == NAMESPACE:
            self._state.retain_namespaces({name for _, name in listed}, version)
        elif kind == NODE:
            self._state.retain_nodes({name for _, name in listed}, version)
        elif kind == SECRET:
            self._state.retain_secrets({name for place, name in listed if place == SYSTEM_NAMESPACE}, version)
        else:
            self._state.retain(_BY_NAME[kind], listed, version)

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


def _is_ours(secret: Manifest) -> bool:
    return bool(secret["metadata"].get("namespace") == SYSTEM_NAMESPACE)


def _key(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
