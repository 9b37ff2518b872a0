"""Reads one peer: its PeerLink, its ExpansionLinks, and further kinds if it speaks a version that has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, ExpansionLinkSpec
from isthmus.model.api.v1alpha1.memberlink import MemberLink, MemberLinkSpec
from isthmus.model.api.v1alpha1.peerlink import PeerLink, PeerLinkSpec
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.errors import ExternalError, Forbidden, Invalid, NotFound
from isthmus.model.facts.peer import PeerView
from isthmus.model.peerkubeconfig import InvalidKubeconfig, PeerCredential
from isthmus.model.protocol import PROTOCOL_VERSIONS, Feature, agreed_version, features_of
from isthmus.model.reasons import Reason

from .api import PeerApi
from .budget import Budget
from .collection import Collection, PortSlices
from .stream import Pace, Stream

_NEVER: Final = float("-inf")
_STALE_SECONDS: Final = 90.0  # longer than the slowest answer that is still allowed
_LATER_RETRY_SECONDS: Final = 30.0  # a peer that was just upgraded grants the right to read them a moment later


class Held:
    """The objects of one peer; they outlive a change of the credential."""

    def __init__(self) -> None:
        budget = Budget()
        self.lock = threading.Lock()
        self.peer_links = Collection(PeerLinkSpec, budget)
        self.links = Collection(ExpansionLinkSpec, budget)
        self.port_slices = PortSlices(budget)
        self.member_links = Collection(MemberLinkSpec, budget)
        self.view: PeerView | None = None
        """The last view that was taken; its objects are replaced when they changed."""


class Health:
    """Whether one kind can be read: the listener of its stream."""

    def __init__(self, changed: Callable[[frozenset[str]], None], state_changed: Callable[[], None]) -> None:
        self._changed, self._state_changed = changed, state_changed
        self.confirmed_at: float | None = None
        self.listed_since = _NEVER
        """When it could be read for the first time since its last failure, or since the start."""
        self.failure: tuple[Reason, str] | None = None
        self.failed_at = _NEVER

    @property
    def is_known(self) -> bool:
        """Whether there is a result yet."""
        return self.confirmed_at is not None or self.failure is not None

    @property
    def is_listed(self) -> bool:
        """Whether all objects were read, and the last attempt did not fail."""
        return self.confirmed_at is not None and self.failure is None

    def changed(self, names: frozenset[str]) -> None:
        self._changed(names)

    def listed(self) -> None:
        was_listed = self.is_listed
        self.confirmed_at, self.failure = time.monotonic(), None
        if not was_listed:
            self.listed_since = self.confirmed_at
            self._state_changed()

    def failed(self, error: ExternalError) -> None:
        before, self.failure = self.failure, (_reason(error), str(error))
        self.failed_at = time.monotonic()
        if before is None or before[0] != self.failure[0]:
            self._state_changed()


class Reader:
    """Keeps the view of one peer, and calls `changed` with every difference."""

    def __init__(
        self,
        cloud_id: str,
        kubeconfig: bytes,
        namespace: str,
        poll_seconds: float,
        changed: Callable[[], None],
    ) -> None:
        self.kubeconfig = kubeconfig
        self._cloud_id = cloud_id
        self._namespace = namespace
        self._poll_seconds = poll_seconds
        self._changed = changed
        self._held = Held()
        self._peer = Health(self._peer_link_changed, self._peer_state_changed)
        self._links = Health(lambda _: changed(), changed)
        self._slices = Health(lambda _: changed(), lambda: None)
        self._member_links = Health(lambda _: changed(), changed)
        self._streams: list[Stream] = []
        self._later_streams: dict[type[CustomObject], Stream] = {}
        """Of the kinds that not every version of the protocol has."""
        self._credential: PeerCredential | None = None
        self._invalid: tuple[Reason, str] | None = None
        self._is_stopped = False

    def start(self, last: Reader | None) -> None:
        """Start to read; `last` is the reader with the previous credential of that peer, which has been stopped."""
        if last is not None:
            self._held = last._held
        try:
            self._credential = PeerCredential.parse(self.kubeconfig)
            apis = [PeerApi(self._credential, self._namespace, kind) for kind in (PeerLink, ExpansionLink)]
        except (InvalidKubeconfig, Invalid) as error:
            self._invalid = Reason.INVALID_KUBECONFIG, str(error)
            self._changed()
            return
        # PeerLinks first: the absence of a link means something only beside the PeerLink that was seen with it.
        self._streams = [
            self._stream(apis[0], self._held.peer_links, self._peer),
            self._stream(apis[1], self._held.links, self._links, lambda: self._peer.is_listed),
        ]
        for stream in self._streams:
            stream.start()

    def stop(self) -> None:
        """End after the current requests."""
        self._is_stopped = True
        for stream in (*self._streams, *self._later_streams.values()):
            stream.stop()

    def view(self) -> PeerView | None:
        """The last view, as unreachable if it is so old that the peer must be hanging; None if there is none yet."""
        with self._held.lock:
            failure = self._failure()
            is_listed = self._peer.is_listed and self._links.is_listed
            if failure is None and not is_listed:
                return self._held.view
            reason, message = failure or (Reason.REACHABLE, "")
            is_reachable = reason is Reason.REACHABLE
            self._held.view = _with(
                self._objects(),
                reachable=is_reachable,
                complete=is_reachable,
                reason=reason,
                message=message,
                port_slices_problem=self._later_problem(self._slices, reason),
                member_links_complete=self._member_links.is_listed,
                member_links_problem=self._later_problem(self._member_links, reason),
            )
            return self._held.view

    def _objects(self) -> PeerView:
        """A view with the objects as they are; the last one if none of them changed."""
        held, view = self._held, self._held.view
        peer_link, links = held.peer_links.objects.get(self._cloud_id), held.links.objects
        slices, member_links = held.port_slices.by_link, held.member_links.objects
        found = PeerView(
            reachable=False, peer_link=peer_link, links=links, port_slices=slices, member_links=member_links
        )
        names = ("peer_link", "links", "port_slices", "member_links")
        same = view is not None and all(getattr(view, name) is getattr(found, name) for name in names)
        return view if view is not None and same else found

    def _failure(self) -> tuple[Reason, str] | None:
        """Why the peer cannot be read; None if it can, or there is no result yet."""
        for health in (self._peer, self._links):
            if health.failure is not None:
                return health.failure
        stale_after_seconds = _STALE_SECONDS + self._poll_seconds
        confirmed = [health.confirmed_at for health in (self._peer, self._links) if health.confirmed_at is not None]
        if confirmed and time.monotonic() - min(confirmed) > stale_after_seconds:
            return Reason.PEER_UNREACHABLE, f"no answer for more than {stale_after_seconds:.0f} s"
        return self._invalid

    def _later_problem(self, health: Health, of_peer: Reason) -> str:
        """Serving none is no failure, and the failure of a peer that is, or was, away is not one of such a kind."""
        reason, message = health.failure or (Reason.REACHABLE, "")
        was_away = health.failed_at < max(self._peer.listed_since, self._links.listed_since)
        is_of_peer = reason is Reason.PEER_UNREACHABLE and (reason is of_peer or was_away)
        return "" if is_of_peer or reason in {Reason.PEER_FORBIDDEN, Reason.PEER_NOT_PUBLISHING} else message

    def _stream(
        self, api: PeerApi, collection: Collection[Any], health: Health, may_begin: Callable[[], bool] = lambda: True
    ) -> Stream:
        retry_seconds = _LATER_RETRY_SECONDS if health in (self._slices, self._member_links) else 0.0
        pace = Pace(self._poll_seconds, max(retry_seconds, self._poll_seconds))
        return Stream(f"peer-{self._cloud_id}", api, collection, self._held.lock, health, pace, may_begin)

    def _peer_link_changed(self, names: frozenset[str]) -> None:
        if self._cloud_id in names:
            self._read_later_kinds()
            self._changed()

    def _peer_state_changed(self) -> None:
        self._read_later_kinds()
        self._changed()

    def _read_later_kinds(self) -> None:
        """Start to read kinds once the peer speaks a version that has them; on the thread of its PeerLink."""
        published = self._held.peer_links.objects.get(self._cloud_id)
        spec = published.spec if published is not None else None
        version = agreed_version(PROTOCOL_VERSIONS, spec.protocol_versions) if spec is not None else None
        features = features_of(version)
        if Feature.PORT_SLICES in features:
            self._read(PortSlice, self._held.port_slices, self._slices)
        if Feature.DIRECT_PATHS in features:
            self._read(MemberLink, self._held.member_links, self._member_links)

    def _read(self, kind: type[CustomObject], collection: Collection[Any], health: Health) -> None:
        if kind in self._later_streams or self._credential is None:
            return
        stream = self._stream(PeerApi(self._credential, self._namespace, kind), collection, health)
        self._later_streams[kind] = stream
        stream.start()
        if self._is_stopped:
            stream.stop()


def _with(view: PeerView, **result: Any) -> PeerView:
    """The same view if it has this result already: what was computed from it is kept."""
    if all(getattr(view, name) == value for name, value in result.items()):
        return view
    return replace(view, **result)


def _reason(error: ExternalError) -> Reason:
    if isinstance(error, Forbidden):
        return Reason.PEER_FORBIDDEN
    if isinstance(error, NotFound):
        return Reason.PEER_NOT_PUBLISHING
    return Reason.INVALID_ANSWER if isinstance(error, Invalid) else Reason.PEER_UNREACHABLE
