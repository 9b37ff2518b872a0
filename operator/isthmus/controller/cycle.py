"""One cycle: reconcile each peer and network until no action is left, then write the statuses that changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.core.snapshot.events import events_for
from isthmus.core.snapshot.index import Snapshot, key_of
from isthmus.core.snapshot.transitions import object_transitions
from isthmus.model.actions import (
    Action,
    ApplyManifest,
    ApplyObject,
    DeleteNamespace,
    DeleteObject,
    OpenStackAction,
    Plan,
    Problem,
    SetFinalizers,
    WriteStatus,
)
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.errors import ExternalError, Invalid
from isthmus.model.reasons import Reason

from .apply import perform
from .backends import Backends
from .scopes import Scope

_LOG = logging.getLogger(__name__)
_UNEXPECTED_VALUE_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)  # raised by code that meets a value it does not expect
_MAX_ROUNDS = 40  # a plan that never converges must not block the other scopes


@dataclass
class Cycle:
    """The snapshot, updated after every action; how many actions were performed; which scopes failed and why."""

    backends: Backends
    snapshot: Snapshot
    actions: int = 0
    failures: dict[str, Problem] = field(default_factory=dict)
    known_failures: Mapping[str, Problem] = field(default_factory=dict)
    """Those of the cycle before: logged then, and not again while they last."""

    def reconcile(self, scope: Scope) -> None:
        """Plan and apply until the plan is empty. A failure is recorded and ends this scope only; raises nothing."""
        try:
            for _ in range(_MAX_ROUNDS):
                if not self._round(scope):
                    return
            self._record_failure(scope, Problem(Reason.NOT_SETTLED, f"not settled after {_MAX_ROUNDS} rounds"))
        except ExternalError as error:
            scope.invalidate()
            self._record_failure(scope, Problem(error.reason, str(error)))
        except _UNEXPECTED_VALUE_ERRORS:
            self._record_internal_error(scope)

    def write_statuses(self, scope: Scope) -> None:
        """Write the scope's statuses that changed; if it failed, first publish its failure answer for peers."""
        try:
            if scope.name in self.failures:
                self._apply(scope, scope.failure_answer(self.snapshot))
            for wanted in scope.statuses(self.snapshot, self.failures.get(scope.name)):
                try:
                    self._write_status(wanted)
                except Invalid as error:  # of this object alone
                    self._record_failure(scope, Problem(error.reason, str(error)))
        except ExternalError as error:
            self._record_failure(scope, Problem(error.reason, str(error)))
        except _UNEXPECTED_VALUE_ERRORS:
            self._record_internal_error(scope)

    def end(self) -> Mapping[str, Problem]:
        """Log which failures have ended; returns those that last."""
        for name in sorted(self.known_failures.keys() - self.failures.keys()):
            _LOG.info("%s: no longer failing", name)
        return {name: problem for name, problem in self.failures.items() if not self._is_outage(problem)}

    def _round(self, scope: Scope) -> bool:
        """Plan once and apply, or only refresh cached facts that the plan was made from; False if nothing is to do."""
        plan = scope.plan(self.snapshot)
        if not plan.actions:
            return False
        if not scope.is_fresh():
            scope.invalidate()
            return True
        if not self._apply(scope, plan):
            stored = ", ".join(describe(action) for action in plan.actions)
            self._record_failure(scope, Problem(Reason.NOT_SETTLED, f"the API server stores otherwise: {stored}"))
            return False
        return True

    def _apply(self, scope: Scope, plan: Plan) -> bool:
        """Whether anything may have changed; else the next plan would be the same again."""
        changed = False
        for action in plan.actions:
            level = logging.INFO if isinstance(action, OpenStackAction) else logging.DEBUG
            _LOG.log(level, "%s: %s", scope.name, describe(action))
            if isinstance(action, OpenStackAction | ApplyManifest):
                scope.invalidate()
            changed |= self._perform(action)
        return changed

    def _perform(self, action: Action) -> bool:
        """Whether that may have changed anything; what changed nothing does not count."""
        result = perform(action, self.backends)
        changed = not self._is_stored(result)
        self.actions += changed
        if isinstance(action, DeleteObject) or (isinstance(action, SetFinalizers) and not action.finalizers):
            self._log_transitions(action.obj, None)
        self.snapshot = _snapshot_after(self.snapshot, action, result, self.backends)
        return changed

    def _is_stored(self, result: CustomObject | None) -> bool:
        """Whether an object, as it was returned, is in the snapshot in this very version."""
        if result is None:
            return False
        metadata = result.metadata
        known = self.snapshot.get(type(result), metadata.name, metadata.namespace or "")
        return known is not None and known.metadata.resource_version == metadata.resource_version

    def _write_status(self, wanted: CustomObject) -> None:
        current = self.snapshot.get(type(wanted), wanted.metadata.name, wanted.metadata.namespace or "")
        if current is None or current == wanted:
            return
        if not self._perform(WriteStatus(_without_agent_fields(wanted))):
            return
        self._log_transitions(current, wanted)
        for event in events_for(current, wanted):
            perform(event, self.backends)

    def _record_internal_error(self, scope: Scope) -> None:
        """An unexpected value: fail this peer or network only."""
        _LOG.exception("%s: unexpected value, a defect of Isthmus", scope.name)
        self._record_failure(scope, Problem(Reason.INTERNAL_ERROR, "unexpected value: see the controller's log"))

    def _record_failure(self, scope: Scope, problem: Problem) -> None:
        if self.known_failures.get(scope.name) != problem and not self._is_outage(problem):
            _LOG.warning("%s failed: %s: %s", scope.name, problem.reason, problem.message)
        self.failures[scope.name] = problem

    def _is_outage(self, problem: Problem) -> bool:
        """Whether the failure is OpenStack's as a whole, which is logged once and not for every network."""
        return problem == self.snapshot.openstack_problem

    def _log_transitions(self, before: CustomObject, after: CustomObject | None) -> None:
        for transition in object_transitions(before, after):
            _LOG.info("%s", transition)


def describe(action: Action) -> str:
    """The action as text for the log, without the object's content."""
    if isinstance(action, ApplyObject | WriteStatus | DeleteObject | SetFinalizers):
        namespace, name = key_of(action.obj)
        return f"{type(action).__name__} {action.obj.registration.kind} {namespace}/{name}"
    if isinstance(action, ApplyManifest):
        return f"{type(action).__name__} {action.manifest['kind']} {action.manifest['metadata']['name']}"
    return str(action)


def _without_agent_fields(obj: CustomObject) -> CustomObject:
    """The object without the status fields of other writers: an Attachment's `nodes` belong to the agents."""
    if isinstance(obj, Attachment):
        return obj.model_copy(update={"status": obj.status.model_copy(update={"nodes": ()})})
    return obj


def _snapshot_after(snapshot: Snapshot, action: Action, result: CustomObject | None, backends: Backends) -> Snapshot:
    """The snapshot after the action, so that not everything has to be listed again."""
    cluster = backends.cluster
    match action:
        case ApplyObject() | WriteStatus():
            return snapshot.with_object(result) if result is not None else snapshot.without_object(action.obj)
        case DeleteObject(obj):
            return snapshot.without_object(obj)
        case SetFinalizers(obj):
            now = cluster.get(type(obj), obj.metadata.name, obj.metadata.namespace)
            return snapshot.with_object(now) if now is not None else snapshot.without_object(obj)
        case ApplyManifest(manifest) if manifest["kind"] == "Namespace":
            name = manifest["metadata"]["name"]
            return snapshot.with_namespace(name, cluster.get_manifest("v1", "Namespace", name))
        case DeleteNamespace(name):
            return snapshot.with_namespace(name, cluster.get_manifest("v1", "Namespace", name))
        case _:
            return snapshot
