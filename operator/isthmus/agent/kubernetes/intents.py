"""The agent's inputs from the Kubernetes API: read completely or not at all, never planned from a part of them.

An object that does not parse is part of them: what the node has for it is kept.

Attachments, of which there may be thousands, come from a streamed watch. The other kinds are few, and are listed after
an event, which only wakes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from isthmus.core.node.kept import Unclear, kept_peers
from isthmus.model import names
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.errors import ExternalError
from isthmus.model.names import API_VERSION
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.settings import AgentSettings
from isthmus.ports import Clock, Cluster, ObjectWatch, T, Watch
from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import NOT_UNDERSTOOD, Metrics
from isthmus.telemetry.outages import Outage

from ..attempts import Barrier
from . import secretentries
from .attachments import Attachments
from .parsing import Parser
from .reports import KubernetesReports

WATCHED = (CloudPeer, IPsecPolicy, PeerLink)
"""Kinds of ours whose events have the inputs read again; so have those of Secrets with keys."""
STREAMED = (Attachment,)
"""Kinds of ours whose events carry what is to be known."""
_DEBOUNCE_SECONDS = 0.05  # changes that arrive together are read together
_RETRY_SECONDS = 5.0
_IDLE_FACTOR = 4.0  # at most a fifth of the time is spent on reading, however often something changes
_POLL_SECONDS = 1.0


class KubernetesIntents:
    """`ports.IntentSource`."""

    def __init__(
        self,
        cluster: Cluster,
        watch: Watch,
        stream: ObjectWatch,
        settings: AgentSettings,
        clock: Clock,
        outage: Outage,
        reports: KubernetesReports,
        metrics: Metrics,
        health: Health | None = None,
    ) -> None:
        """`watch` wakes for the kinds that are listed, `stream` reports those of `STREAMED`.

        `health` records that they are read.
        """
        self._cluster, self._watch, self._stream = cluster, watch, stream
        self._settings, self._clock, self._outage, self._metrics = settings, clock, outage, metrics
        self.attachments = Attachments(reports, outage, self._compose)
        self._lock = threading.Lock()
        self._listed: NodeInputs | None = None
        """The kinds that are listed, without Attachments."""
        self._listed_unclear = Unclear()
        self._fingerprint: object = None
        self._peers, self._policies, self._peerlinks = Parser(CloudPeer), Parser(IPsecPolicy), Parser(PeerLink)
        self._latest: NodeInputs | None = None
        self._is_composed = True
        self._changed: Callable[[], None] = lambda: None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._resync_at = self._not_before = float("-inf")
        self._is_outdated = True
        self._barrier = Barrier()
        self._loop = (health or Health()).loop("intents", must_complete=True)

    def start(self, changed: Callable[[], None]) -> None:
        """Read on a thread of its own."""
        self._changed = changed
        self._stream.start(self.attachments)
        self._watch.start(self.refresh)
        threading.Thread(target=self._run, name="intents", daemon=True).start()

    def stop(self) -> None:
        """Stop after the current request."""
        self._stop.set()
        self._wake.set()
        self._watch.stop()
        self._stream.stop()

    def latest(self) -> NodeInputs | None:
        """See `ports.IntentSource`."""
        with self._lock:
            if not self._is_composed:
                self._is_composed = True  # before anything is read: what changes meanwhile is composed the next time
                found = self.attachments.latest()
                if self._listed is not None and found is not None:
                    inputs = replace(self._listed, attachments=found[0], kept_networks=found[1])
                    self._latest = replace(inputs, kept_peers=kept_peers(inputs, self._listed_unclear))
            return self._latest

    def refresh(self) -> None:
        """Read again soon: something may have changed."""
        self._is_outdated = True
        self._wake.set()

    def read_if_due(self) -> None:
        """Read after an event, after a failure, and once per resync."""
        began = self._clock.monotonic_seconds()
        if began < self._due():
            return
        self._is_outdated = False
        try:
            inputs = self._read()
        except ExternalError as error:
            self._outage.failed(str(error))
            self._is_outdated, self._not_before = True, self._clock.monotonic_seconds() + _RETRY_SECONDS
            return
        self._outage.succeeded()
        self._loop.completed()
        self._publish()
        ended = self._clock.monotonic_seconds()
        self._not_before = ended + _IDLE_FACTOR * (ended - began)
        self._resync_at = began + self._settings.resync_seconds
        unclear = self._unclear()
        fingerprint = _fingerprint(inputs), unclear
        if fingerprint != self._fingerprint:
            with self._lock:
                self._fingerprint, self._listed, self._listed_unclear = fingerprint, inputs, unclear
            self._compose()

    def _compose(self) -> None:
        self._is_composed = False
        self._publish()
        self._changed()

    def _publish(self) -> None:
        parsers = (self._peers, self._policies, self._peerlinks, self.attachments.parser)
        self._metrics.set(NOT_UNDERSTOOD, {(parser.kind,): float(parser.refused) for parser in parsers})

    def _due(self) -> float:
        return self._not_before if self._is_outdated else max(self._not_before, self._resync_at)

    def _run(self) -> None:
        self._loop.begin()
        while not self._stop.is_set():
            try:
                self.read_if_due()
            except Exception as error:
                self._barrier.problem(error)
                self._not_before = self._clock.monotonic_seconds() + _RETRY_SECONDS
            self._loop.ended()
            pause = self._due() - self._clock.monotonic_seconds()
            if self._wake.wait(min(max(pause, 0.0), _POLL_SECONDS)):
                self._stop.wait(_DEBOUNCE_SECONDS)
                self._wake.clear()

    def _read(self) -> NodeInputs:
        peers = self._list(self._peers)
        wanted = {peer.spec.ipsec.auth_secret_ref.name for peer in peers}
        secrets = self._cluster.list_manifests("v1", "Secret", names.IPSEC_NAMESPACE) if wanted else []
        by_name = {secret["metadata"]["name"]: secret for secret in secrets}
        node = self._settings.node_name
        found = {name: secretentries.pre_shared_key(by_name, name, node, wanted) for name in wanted}
        certificates = {name: secretentries.certificates(by_name, name, node, wanted) for name in wanted}
        return NodeInputs(
            node=self._settings.node_name,
            cloud_id=self._settings.cloud_id,
            gateway_cidrs=tuple(self._settings.gateway_cidrs),
            peers=peers,
            policies=self._list(self._policies),
            peerlinks=self._list(self._peerlinks),
            keys={name: key for name, key in found.items() if key is not None},
            certificates={name: entries for name, entries in certificates.items() if entries is not None},
        )

    def _list(self, parser: Parser[T]) -> tuple[T, ...]:
        return parser.parse_all(self._cluster.list_manifests(API_VERSION, parser.kind))

    def _unclear(self) -> Unclear:
        return Unclear(self._peers.unclear(), self._policies.unclear(), self._peerlinks.unclear())


def _fingerprint(inputs: NodeInputs) -> object:
    """Differs whenever the inputs plan to something else. Statuses are no part of it, but for what peers publish."""
    versions = {_version(obj) for objects in (inputs.peers, inputs.policies) for obj in objects}
    links = {(_version(link), link.status.peer) for link in inputs.peerlinks}
    keys = {name: key.version for name, key in inputs.keys.items()}
    return versions, links, keys, {name: entries.version for name, entries in inputs.certificates.items()}


def _version(obj: CustomObject) -> tuple[object, ...]:
    metadata = obj.metadata
    where = obj.registration.kind, metadata.namespace, metadata.name
    return *where, metadata.uid, metadata.generation, metadata.deletion_timestamp
