"""The Kubernetes API of this cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from isthmus.model.api.objects import CustomObject
from isthmus.model.errors import ExternalError

T = TypeVar("T", bound=CustomObject)
Manifest = dict[str, Any]
"""An object of a kind that Isthmus does not define, as plain JSON."""


class Cluster(Protocol):
    """Objects in this cloud's Kubernetes API.

    All writes are server-side apply under one field manager per process and force conflicts, except `set_finalizers`.
    `Forbidden` means that RBAC or admission denies a call, `Invalid` that a schema or CEL rule rejects the object.
    """

    def list_objects(self, kind: type[T], namespace: str | None = None) -> list[T]:
        """All objects of a kind of ours, in one namespace or (None) in all. `Invalid` if one does not parse."""
        ...

    def get(self, kind: type[T], name: str, namespace: str | None = None) -> T | None:
        """One object of a kind of ours; None if it does not exist. `Invalid` if it does not parse."""
        ...

    def apply(self, obj: T) -> T:
        """Create the object, or apply its labels, annotations, finalizers and spec; returns it as stored.

        MUST NOT change the status, nor entries of metadata that only other managers own. Applying the same again MUST
        NOT create a new resource version: it would wake every watcher. `NotFound` if the namespace does not exist.
        """
        ...

    def apply_status(self, obj: T) -> T:
        """Apply the status subresource; returns the object as stored.

        MUST leave list entries of other field managers alone: each agent owns one entry of an Attachment's `nodes`.
        `NotFound` if the object does not exist; MUST NOT create it. If the server rejects single fields, the rest MUST
        be written all the same; raises `Invalid` then.
        """
        ...

    def set_conditions(
        self,
        kind: type[CustomObject],
        name: str,
        namespace: str | None,
        conditions: Sequence[Mapping[str, Any]],
        resource_version: str | None,
    ) -> None:
        """Replace `status.conditions` of an object that need not parse, and keep the rest of its status.

        `Conflict` unless the object still has the resource version.
        """
        ...

    def set_finalizers(self, obj: CustomObject, finalizers: Sequence[str]) -> None:
        """Replace the finalizers. `Conflict` unless the object still has the resource version of `obj`.

        A merge patch, since the finalizers of other managers must be kept as they were read.
        """
        ...

    def delete(self, kind: type[CustomObject], name: str, namespace: str | None = None, uid: str | None = None) -> None:
        """Delete an object of a kind of ours. MUST NOT fail if it does not exist.

        With a UID, `Conflict` if the object that has the name now is another one; it MUST stay.
        """
        ...

    def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[Manifest]:
        """All objects of a kind as they are stored, also those of a kind of ours that do not parse."""
        ...

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """One object of another kind; None if it does not exist."""
        ...

    def apply_manifest(self, manifest: Manifest) -> Manifest:
        """Create or apply an object of another kind; returns it as stored.

        Labels that were applied before and are missing now MUST be removed, those of other managers kept.
        `Conflict` if its namespace is terminating, `NotFound` if that does not exist.
        """
        ...

    def delete_manifest(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, uid: str | None = None
    ) -> None:
        """As `delete`, for an object of another kind."""
        ...

    def event(self, obj: CustomObject, type_: str, reason: str, message: str) -> None:
        """Record an Event about an object; `type_` is `Normal` or `Warning`.

        MUST NOT raise: a failure is logged. An Event is a convenience, the status is what counts.
        """
        ...


class Observer(Protocol):
    """Receives what an `ObjectWatch` sees. Methods are called on any thread, and several at once.

    What is reported may be old: of an object the greatest resource version counts, and a deleted one, by its UID, does
    not come back. Methods MUST be quick, and raise nothing of their own.
    """

    def listed(self, kind: str, manifests: Iterable[Manifest], version: str | None = None) -> None:
        """All objects of a kind: what was reported before and is missing here has been deleted.

        Unless it is newer than the list, whose resource version is `version`; None if nothing can be. Reading
        `manifests` may raise `ExternalError`, which MUST be passed on: the list is not complete then.
        """
        ...

    def changed(self, kind: str, manifest: Manifest) -> None:
        """An object was created or changed. MAY be an older version than was reported before."""
        ...

    def removed(self, kind: str, manifest: Manifest) -> None:
        """An object was deleted."""
        ...

    def failed(self, kind: str, error: ExternalError) -> None:
        """Objects of a kind cannot be listed or watched now. It is tried again."""
        ...


class ObjectWatch(Protocol):
    """Reports the objects of the kinds that a process needs, first all of them, then each change."""

    def start(self, observer: Observer, /) -> None:
        """Report to the observer from now on; called once.

        MUST return without waiting for the API. After an outage, an expired version or a rejected credential, and also
        if a kind does not exist yet, it MUST try again by itself, and report a complete list if it may have missed
        anything. A connection that has gone silent MUST be noticed. Does not raise.
        """
        ...

    def stop(self) -> None:
        """End the watch soon; MUST NOT wait for a request in flight."""
        ...


class Watch(Protocol):
    """Wakes a loop when objects may have changed. Level-triggered: the callback re-reads all state."""

    def start(self, wake: Callable[[], None], /) -> None:
        """Call `wake`, on any thread, whenever an object of a watched kind may have changed; called once.

        MUST return without waiting for the API. MUST survive outages of the API and MUST call `wake` after one, since
        changes may have been missed. MAY call it too often. Does not raise.
        """
        ...

    def stop(self) -> None:
        """End the watch soon; MUST NOT wait for a request in flight."""
        ...
