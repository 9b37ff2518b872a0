"""Feeds the cache with what the watch reports."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pydantic import ValidationError

from isthmus.model import names
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.ports import Manifest

from .state import State

_LOG = logging.getLogger(__name__)
NAMESPACE: Final = "Namespace"
NODE: Final = "Node"
_BY_NAME: Final = {kind.registration.kind: kind for kind in KINDS}
WATCHED: Final = (*_BY_NAME, NAMESPACE, NODE)


class Feed:
    """`ports.Observer`. An object that does not parse keeps its last version that did: it must not look deleted."""

    def __init__(self, state: State, succeeded: Callable[[], None], failed: Callable[[ExternalError], None]) -> None:
        """`succeeded` is called for each list that was read, `failed` if a kind cannot be listed or watched."""
        self._state, self._succeeded, self._report_failure = state, succeeded, failed
        self._lock = threading.Lock()
        self._missing = set(WATCHED)
        self._gateway_nodes: set[str] = set()
        self._refused: dict[str, str] = {}
        """Why kinds cannot be watched, such as a CRD that is not installed yet; logged once."""
        self._complete = threading.Event()

    @property
    def is_complete(self) -> bool:
        """Whether every kind has been listed once: before that, what is missing may exist."""
        return self._complete.is_set()

    def listed(self, kind: str, manifests: Iterable[Manifest]) -> None:
        """Replace everything of a kind."""
        if kind == NAMESPACE:
            self._state.replace_namespaces(manifests)
        elif kind == NODE:
            self._gateway_nodes = set(filter(None, map(_gateway_name, manifests)))
            self._state.set_gateway_nodes(frozenset(self._gateway_nodes))
        else:
            self._replace(_BY_NAME[kind], manifests)
        self._succeeded()
        if self._refused.pop(kind, None):
            _LOG.info("watching %s again", kind)
        with self._lock:
            self._missing.discard(kind)
            if not self._missing:
                self._complete.set()

    def changed(self, kind: str, manifest: Manifest) -> None:
        """Store one object."""
        name = manifest["metadata"]["name"]
        if kind == NAMESPACE:
            self._state.put_namespace(name, manifest)
        elif kind == NODE:
            self._set_gateway_node(name, is_gateway=_gateway_name(manifest) is not None)
        elif (obj := _parsed(_BY_NAME[kind], manifest)) is not None:
            self._state.put(obj)

    def removed(self, kind: str, manifest: Manifest) -> None:
        """Remove one object."""
        metadata = manifest["metadata"]
        if kind == NAMESPACE:
            self._state.put_namespace(metadata["name"], None)
        elif kind == NODE:
            self._set_gateway_node(metadata["name"], is_gateway=False)
        else:
            key = metadata.get("namespace", ""), metadata["name"]
            self._state.remove_key(_BY_NAME[kind], key, metadata.get("uid"))

    def failed(self, kind: str, error: ExternalError) -> None:
        """The cache keeps what it has."""
        if isinstance(error, Unavailable):
            self._report_failure(error)
        elif self._refused.get(kind) != str(error):
            self._refused[kind] = str(error)
            _LOG.warning("cannot watch %s, trying again: %s", kind, error)

    def _replace(self, kind: type[CustomObject], manifests: Iterable[Manifest]) -> None:
        """Store each object as it comes, so that the list is never in memory as a whole."""
        listed: set[tuple[str, str]] = set()

        def objects() -> Iterator[CustomObject]:
            for manifest in manifests:
                metadata = manifest["metadata"]
                listed.add((metadata.get("namespace", ""), metadata["name"]))
                if (obj := _parsed(kind, manifest)) is not None:
                    yield obj

        for obj in objects():
            self._state.put(obj)
        self._state.retain(kind, listed)

    def _set_gateway_node(self, name: str, *, is_gateway: bool) -> None:
        if is_gateway:
            self._gateway_nodes.add(name)
        else:
            self._gateway_nodes.discard(name)
        self._state.set_gateway_nodes(frozenset(self._gateway_nodes))


def _parsed(kind: type[CustomObject], manifest: Manifest) -> CustomObject | None:
    try:
        return kind.from_wire(manifest)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        name = manifest["metadata"].get("name")
        _LOG.warning("%s %s is not understood: %s: %s", kind.registration.kind, name, where, first["msg"])
        return None


def _gateway_name(node: Manifest) -> str | None:
    labels = node["metadata"].get("labels") or {}
    return str(node["metadata"]["name"]) if labels.get(names.GATEWAY_LABEL) == "true" else None
