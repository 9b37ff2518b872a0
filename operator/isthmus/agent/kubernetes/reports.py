"""Writes the agent's reports to the Kubernetes API, only what changes, and at a bounded rate.

The status of the GatewayNode is written at once: it names the tunnels that are down. Of an
Attachment's status an agent owns one entry of `nodes`, its own. These are written one by one, the longest pending
first, so that a thousand links that flap are a few writes a second, each with the latest state.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import datetime

from isthmus.core.node.status import failed_observation_status, gateway_node_status
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentStatus, NodeObservation
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayNodeStatus
from isthmus.model.errors import ExternalError, Invalid, NotFound, Unavailable
from isthmus.model.node.report import NodeReport
from isthmus.model.tracked import differing
from isthmus.ports import Clock, Cluster
from isthmus.telemetry.health import Health
from isthmus.telemetry.outages import Outage

from ..attempts import Barrier
from .pace import Pace

_LOG = logging.getLogger(__name__)
WRITES_PER_SECOND = 20.0
BURST = 8
NODE_WRITES_PER_SECOND, NODE_BURST = 2.0, 4
_RETRY_SECONDS = 5.0
_UNKNOWN_SECONDS = 2.0  # until the controller has created the GatewayNode
_POLL_SECONDS = 1.0


class KubernetesReports:
    """`ports.ReportSink`."""

    def __init__(
        self,
        cluster: Cluster,
        node: str,
        clock: Clock,
        outage: Outage,
        resync_seconds: float,
        health: Health | None = None,
    ) -> None:
        """`health` records that the thread makes progress."""
        self._cluster, self._node, self._clock, self._outage = cluster, node, clock, outage
        self._resync_seconds = resync_seconds
        self._barrier = Barrier()
        self._loop = (health or Health()).loop("reports")
        self._node_pace = Pace(clock, NODE_WRITES_PER_SECOND, NODE_BURST)
        self._pace = Pace(clock, WRITES_PER_SECOND, BURST)
        self._wake, self._stop, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._report: NodeReport | None = None
        self._attachments: dict[str, Attachment] = {}
        """As last read or written, by name."""
        self._pending: dict[str, None] = {}
        """Names of the Attachments whose entry differs from the report, the longest pending first."""
        self._outdated: set[str] = set()
        """Names of the Attachments to be compared with the report."""
        self._refused: dict[str, object] = {}
        """Statuses that the API server has refused, by the object's name."""
        self._gateway_node: GatewayNode | None = None
        self._read_at = self._not_before = float("-inf")

    def start(self) -> None:
        """Write on a thread of its own."""
        threading.Thread(target=self._run, name="reports", daemon=True).start()

    def stop(self) -> None:
        """Stop after the current request."""
        self._stop.set()
        self._wake.set()

    def publish(self, report: NodeReport) -> None:
        """See `ports.ReportSink`."""
        with self._lock:
            before = self._report.observations if self._report else None
            if before is None or report.observations is None:
                self._compare_everything()
            else:
                self._outdated |= {*differing(before, report.observations)}
            self._report = report
        self._wake.set()

    def listed(self, attachments: Iterable[Attachment]) -> None:
        """Take these Attachments as all that the cluster has."""
        with self._lock:
            self._attachments = {attachment.metadata.name: attachment for attachment in attachments}
            self._compare_everything()
        self._wake.set()

    def changed(self, attachment: Attachment) -> None:
        """Take an Attachment as the cluster has it, unless a later version of it is known."""
        name = attachment.metadata.name
        with self._lock:
            known = self._attachments.get(name)
            if known is not None and _is_older(attachment, known):
                return
            self._attachments[name] = attachment
            self._outdated.add(name)
        self._wake.set()

    def removed(self, name: str) -> None:
        """Forget an Attachment."""
        with self._lock:
            self._attachments.pop(name, None)
            self._outdated.add(name)

    def write(self) -> float:
        """Write what is due; returns the seconds until there is more to do, of which there may be nothing then."""
        now = self._clock.monotonic_seconds()
        if now < self._not_before or self._report is None:
            return max(self._not_before - now, 0.0) if self._report else _POLL_SECONDS
        try:
            self._write_node(self._report)
            return self._write_attachments()
        except Unavailable as error:
            self._outage.failed(str(error))
            self._not_before = self._clock.monotonic_seconds() + _RETRY_SECONDS
            return _RETRY_SECONDS

    def _run(self) -> None:
        self._loop.begin()
        while not self._stop.is_set():
            try:
                pause = self.write()
            except Exception as error:
                self._barrier.problem(error)
                pause = _RETRY_SECONDS
            self._loop.ended()
            if pause > 0 and self._wake.wait(min(pause, _POLL_SECONDS)):
                self._wake.clear()

    def _write_node(self, report: NodeReport) -> None:
        current = self._current_node()
        if current is None:
            return
        status = _status(current, report, self._clock.now())
        if status in (current.status, self._refused.get(self._node)) or self._node_pace.next() > 0:
            return
        try:
            self._gateway_node = self._cluster.apply_status(current.model_copy(update={"status": status}))
        except NotFound:
            self._gateway_node = None
        except Unavailable:
            raise
        except ExternalError as error:
            self._refuse(self._node, status, error)

    def _refuse(self, name: str, status: object, error: ExternalError) -> None:
        """Others are written all the same; this one again once per resync, or when it changes."""
        _LOG.warning("the status of %s is not written: %s", name, error)
        self._refused[name] = status

    def _current_node(self) -> GatewayNode | None:
        """As last read or written; read again from time to time, and until it exists."""
        now = self._clock.monotonic_seconds()
        if now >= self._read_at + (self._resync_seconds if self._gateway_node else _UNKNOWN_SECONDS):
            self._read_at = now
            self._gateway_node = self._read_node()
            self._outage.succeeded()
            self._refused = {}
            with self._lock:
                self._compare_everything()  # from time to time, whatever has changed
        return self._gateway_node

    def _read_node(self) -> GatewayNode | None:
        try:
            return self._cluster.get(GatewayNode, self._node)
        except Invalid as error:  # the Attachments are written all the same
            _LOG.warning("%s", error)
            return None

    def _write_attachments(self) -> float:
        self._update_pending()
        while self._pending and (pause := self._pace.next()) == 0:
            name = next(iter(self._pending))
            self._write_attachment(name)
            del self._pending[name]
        return pause if self._pending else _POLL_SECONDS

    def _compare_everything(self) -> None:
        self._outdated |= self._attachments.keys()

    def _update_pending(self) -> None:
        with self._lock:
            outdated, self._outdated = sorted(self._outdated), set()
            found = {name: self._attachments.get(name) for name in outdated}
            to_write = {name for name, attachment in found.items() if attachment and self._differs(attachment)}
        for name in outdated:
            if name in to_write:
                self._pending.setdefault(name)
            else:
                self._pending.pop(name, None)

    def _differs(self, attachment: Attachment) -> bool:
        if self._report is None or self._report.observations is None:
            return False
        wanted, current = self._wanted(attachment.metadata.name), self._current(attachment)
        return wanted is not current and wanted not in (current, self._refused.get(attachment.metadata.name, current))

    def _wanted(self, name: str) -> NodeObservation | None:
        observations = self._report.observations if self._report else None
        return observations.get(name) if observations else None

    def _current(self, attachment: Attachment) -> NodeObservation | None:
        return next((entry for entry in attachment.status.nodes if entry.node == self._node), None)

    def _write_attachment(self, name: str) -> None:
        with self._lock:
            attachment, wanted = self._attachments.get(name), self._wanted(name)
            if attachment is None or not self._differs(attachment):
                return
        status = AttachmentStatus(nodes=() if wanted is None else (wanted,))
        try:
            written = self._cluster.apply_status(attachment.model_copy(update={"status": status}))
        except NotFound:
            self.removed(name)
        except Unavailable:
            raise
        except ExternalError as error:
            self._refuse(name, wanted, error)
        else:
            with self._lock:
                if name in self._attachments:
                    self._attachments[name] = written


def _status(current: GatewayNode, report: NodeReport, now: datetime) -> GatewayNodeStatus:
    if report.status is not None:
        return gateway_node_status(current, report.status, now)
    return failed_observation_status(current, report.problem, now) if report.problem else current.status


def _is_older(attachment: Attachment, known: Attachment) -> bool:
    """Whether an event arrived after the answer to a later write. Versions that are no numbers cannot be compared."""
    one, other = attachment.metadata, known.metadata
    versions = (one.resource_version or "", other.resource_version or "")
    return one.uid == other.uid and all(v.isdecimal() for v in versions) and int(versions[0]) < int(versions[1])
