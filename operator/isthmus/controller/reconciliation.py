"""One iteration of a key: plan and apply until no action is left, then write the statuses that changed.

A plan that leaves more ends the iteration, so that other keys have their turn before the next one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final

from isthmus.core.keys.content import written_status
from isthmus.core.keys.key import Key
from isthmus.core.keys.understanding import blocked_by
from isthmus.core.network.drift import is_dispensable
from isthmus.core.network.facts_after import facts_after
from isthmus.core.network.remote_link import absent_from
from isthmus.core.snapshot.events import events_for
from isthmus.core.snapshot.index import Snapshot, key_of
from isthmus.core.snapshot.transitions import object_transitions
from isthmus.model.actions import (
    Action,
    ApplyManifest,
    ApplyObject,
    CreateDomain,
    CreateProject,
    DeleteDomain,
    DeleteNamespace,
    DeleteObject,
    DeleteProject,
    KubernetesAction,
    OpenStackAction,
    Plan,
    Problem,
    RecordEvent,
    SetConditions,
    SetFinalizers,
    WriteStatus,
)
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.errors import ExternalError, Invalid, Unavailable
from isthmus.model.facts.openstack import Created
from isthmus.model.reasons import Reason

from .absence import Absences
from .apply import perform
from .backends import Backends
from .repairs import RepairLog
from .scopes import FactCaches, PeerScope, Scope, scope_of
from .state import State

_LOG = logging.getLogger(__name__)
_UNEXPECTED_VALUE_ERRORS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)  # raised by code that meets a value it does not expect
_MAX_ROUNDS: Final = 40  # a plan that never converges must not keep a worker
_MAX_TURNS: Final = 150  # of one key: 10,000 remote ports to put into groups, delete and create take 120


class Stopped(Exception):
    """This process must not change anything now: it is ending, or another replica is active."""


@dataclass(frozen=True)
class Tools:
    """What all iterations share."""

    backends: Backends
    state: State
    facts: FactCaches
    absences: Absences
    repairs: RepairLog
    check_may_act: Callable[[], None]
    """Called before each action; raises Stopped if this process may not act."""
    claims: AbstractContextManager[object] = field(default_factory=threading.RLock)
    """Held from the plan to the end of an action that takes what networks share: tunnel IDs, limits, projects."""


@dataclass
class Iteration:
    """One iteration of a key, and its result."""

    key: Key
    tools: Tools
    turns: int = 0
    """How many iterations in a row have left more to the next one."""
    left_more: bool = False
    """Whether this one has."""
    actions: int = 0
    """Number of actions performed, statuses included."""
    failure: Problem | None = None
    left_alone: Problem | None = None
    """Why the last plan leaves something as others made it."""
    is_failure_of_kubernetes: bool = False
    exists: bool = True
    """Whether there still is anything with this key."""
    _created: Created | None = None
    """In Neutron by the last action."""
    again_after_seconds: float | None = None
    """When time alone will change the plan."""

    def run(self) -> None:
        """Reconcile, then write statuses. A failure is recorded; raises Stopped only."""
        with self.tools.state.lock:
            snapshot = self._snapshot()
            waits_for = blocked_by(snapshot, self.key)
        if waits_for is not None:
            _LOG.debug("%s: nothing is planned: %s is not understood", self.key, waits_for)
            return
        scope = scope_of(self.key, snapshot, self.tools.facts, self.tools.repairs)
        if scope is None:
            self.exists = False
            return
        self._guarded(scope, self._reconcile)
        failure = self.failure
        self._guarded(scope, lambda scope: self._write_statuses(scope, failure))
        with self.tools.state.lock:
            self.again_after_seconds = scope.changes_in_seconds(self._snapshot())

    def _guarded(self, scope: Scope, step: Callable[[Scope], None]) -> None:
        try:
            step(scope)
        except ExternalError as error:
            scope.invalidate()
            self.failure = Problem(error.reason, str(error))
            self.is_failure_of_kubernetes |= isinstance(scope, PeerScope)
        except _UNEXPECTED_VALUE_ERRORS:
            _LOG.exception("%s: unexpected value, a defect of Isthmus", self.key)
            self.failure = Problem(Reason.INTERNAL_ERROR, "unexpected value: see the controller's log")

    def _reconcile(self, scope: Scope) -> None:
        for _ in range(_MAX_ROUNDS):
            if not self._round(scope):
                return
        self.failure = Problem(Reason.NOT_SETTLED, f"not settled after {_MAX_ROUNDS} rounds")

    def _round(self, scope: Scope) -> bool:
        """Plan once and apply, or only fetch facts that the plan needs fresh; False if nothing is to do."""
        scope.observe(self._snapshot())
        plan = self._plan(scope)
        if plan is None:
            return True
        if not plan.actions:
            return False
        if plan.needs_fresh_facts and not scope.is_fresh():
            scope.invalidate()
            return True
        if not any(map(self._is_claim, plan.actions)):
            return self._apply_all(scope, plan) and not self._leaves_more(plan)
        with self.tools.backends.health.holding(self.tools.claims):
            if any(isinstance(action, OpenStackAction) for action in plan.actions):
                scope.invalidate()  # another network may have created or deleted it meanwhile
                scope.observe(self._snapshot())
            plan = self._plan(scope)
            return plan is None or self._apply_all(scope, plan)

    def _leaves_more(self, plan: Plan) -> bool:
        """Whether this iteration is to end; its statuses say what was known before this round."""
        if plan.leaves_more:
            self.turns, self.left_more = self.turns + 1, True
            if self.turns >= _MAX_TURNS:
                self.failure = Problem(Reason.NOT_SETTLED, f"not settled after {_MAX_TURNS} turns")
        return plan.leaves_more

    def _apply_all(self, scope: Scope, plan: Plan) -> bool:
        """Whether anything may have changed; else the next plan would be the same again."""
        changed = self._apply(scope, plan)
        if plan.actions and not changed:
            stored = ", ".join(describe(action) for action in plan.actions)
            self.failure = Problem(Reason.NOT_SETTLED, f"the API server stores otherwise: {stored}")
        return changed

    def _plan(self, scope: Scope) -> Plan | None:
        """The plan of a consistent view; None if facts must be fetched before there can be one."""
        with self.tools.state.lock:
            snapshot = self._snapshot()
            plan = scope.plan(snapshot) if scope.is_observed(snapshot) else None
        self.left_alone = plan.left_alone if plan is not None else None
        return plan

    def _is_claim(self, action: Action) -> bool:
        match action:
            case ApplyObject(obj):
                stored = self._stored(obj)
                return stored is None or bool(_tunnel_ids(obj) - _tunnel_ids(stored))
            case _:
                return isinstance(action, CreateDomain | DeleteDomain | CreateProject | DeleteProject)

    def _begins_to_use_a_project(self, action: Action) -> bool:
        """Whether the project may be one that another network has just given up."""
        obj = action.obj if isinstance(action, ApplyObject) else None
        return isinstance(obj, Attachment) and obj.spec.role == "Receiver" and self._is_claim(action)

    def _apply(self, scope: Scope, plan: Plan) -> bool:
        changed = False
        for action in plan.actions:
            level = logging.INFO if isinstance(action, OpenStackAction) else logging.DEBUG
            _LOG.log(level, "%s: %s", self.key, describe(action))
            if isinstance(action, OpenStackAction):
                changed |= self._perform_in_openstack(scope, action)
                continue
            if isinstance(action, ApplyManifest) or self._begins_to_use_a_project(action):
                scope.invalidate()
            changed |= self._perform(action, by=self.key)
        return changed

    def _perform_in_openstack(self, scope: Scope, action: OpenStackAction) -> bool:
        """The facts are invalid unless it succeeds, and they are known afterwards."""
        was_fresh, facts = scope.is_fresh(), self.tools.facts.networks.cached(self.key.name)
        version = scope.invalidate()
        try:
            changed = self._perform(action, by=self.key)
        except ExternalError as error:
            if isinstance(error, Unavailable) or not is_dispensable(action):
                raise
            _LOG.warning("%s: refused, and tried again later: %s: %s", self.key, describe(action), error)
            self.tools.repairs.refused(self.key.name, action, facts)
            return True  # the next plan is another one
        self.tools.repairs.performed(self.key.name, action, facts)
        after = facts_after(facts, action, self._created) if facts is not None else None
        if was_fresh and after is not None:
            self.tools.facts.networks.amend(self.key.name, version, after)
        return changed

    def _perform(self, action: Action, *, by: Key | None) -> bool:
        """Whether that changed anything. The cache has the result before any event: so the next plan sees it."""
        self.tools.check_may_act()
        self.is_failure_of_kubernetes = isinstance(action, KubernetesAction)
        before = self._stored(action.obj) if isinstance(action, ApplyObject | WriteStatus) else None
        performed = perform(action, self.tools.backends)
        self._created = performed if isinstance(performed, Created) else None
        result = performed if isinstance(performed, CustomObject) else None
        if isinstance(action, DeleteObject) or (isinstance(action, SetFinalizers) and not action.finalizers):
            _log_transitions(action.obj, None)
        self._store(action, result, by)
        changed = before is None or result is None or _version(before) != _version(result)
        self.actions += changed
        self.is_failure_of_kubernetes = False
        return changed

    def _store(self, action: Action, result: CustomObject | None, by: Key | None) -> None:
        state, cluster = self.tools.state, self.tools.backends.cluster
        match action:
            case ApplyObject(obj) | WriteStatus(obj):
                state.store(obj, result, by=by)
            case DeleteObject(obj):
                state.store(obj, None, by=by)
            case SetConditions(kind, namespace, name, resource_version):
                state.note_report(kind, (namespace, name), resource_version)
            case SetFinalizers(obj):
                state.store(obj, cluster.get(type(obj), obj.metadata.name, obj.metadata.namespace), by=by)
            case ApplyManifest(manifest) if manifest["kind"] == "Namespace":
                name = manifest["metadata"]["name"]
                state.store_namespace(name, cluster.get_manifest("v1", "Namespace", name), by=by)
            case DeleteNamespace(name):
                state.store_namespace(name, cluster.get_manifest("v1", "Namespace", name), by=by)

    def _write_statuses(self, scope: Scope, failure: Problem | None) -> None:
        if failure is not None or self.left_alone is not None:
            with self.tools.state.lock:
                answer = scope.failure_answer(self._snapshot())
            self._apply(scope, answer)
        with self.tools.state.lock:
            wanted = scope.statuses(self._snapshot(), failure, self.left_alone)
        for obj in wanted:
            try:
                self._write_status(obj)
            except Invalid as error:  # of this object alone
                self.failure = Problem(error.reason, str(error))

    def _write_status(self, wanted: CustomObject) -> None:
        """Write the status if a field that is ours differs; conditions of others are not ours to remove."""
        current = self._stored(wanted)
        if current is None or written_status(current) == written_status(wanted):
            return
        if self._snapshot().cache.not_understood.get(type(wanted), key_of(wanted)) is not None:
            return  # its status says that
        if not self._perform(WriteStatus(_without_agent_fields(wanted)), by=None):
            return
        _log_transitions(current, wanted)
        for event in events_for(current, wanted):
            perform(event, self.tools.backends)

    def _stored(self, obj: CustomObject) -> CustomObject | None:
        return self._snapshot().cache.get(type(obj), key_of(obj))

    def _snapshot(self) -> Snapshot:
        """The cache with the absences of this network's links."""
        with self.tools.state.lock:
            snapshot = self.tools.state.snapshot()
            absent = self.tools.absences.observe(self.key.name, absent_from(snapshot, self.key.name))
            return replace(snapshot, absent_seconds=absent)


def describe(action: Action) -> str:
    """The action as text for the log, without the object's content."""
    if isinstance(action, ApplyObject | WriteStatus | DeleteObject | SetFinalizers | RecordEvent):
        namespace, name = key_of(action.obj)
        return f"{type(action).__name__} {action.obj.registration.kind} {namespace}/{name}"
    if isinstance(action, ApplyManifest):
        return f"{type(action).__name__} {action.manifest['kind']} {action.manifest['metadata']['name']}"
    if isinstance(action, SetConditions):
        return f"{type(action).__name__} {action.kind.registration.kind} {action.namespace}/{action.name}"
    return str(action)


def _tunnel_ids(obj: CustomObject) -> set[int]:
    """What an offer or a MemberLink of ours reserves."""
    if isinstance(obj, MemberLink):
        return {obj.spec.tunnel_id}
    return {*obj.spec.offer.tunnel_ids} if isinstance(obj, ExpansionLink) and obj.spec.offer is not None else set()


def _version(obj: CustomObject) -> str | None:
    return obj.metadata.resource_version


def _log_transitions(before: CustomObject, after: CustomObject | None) -> None:
    for transition in object_transitions(before, after):
        _LOG.info("%s", transition)


def _without_agent_fields(obj: CustomObject) -> CustomObject:
    """The object without the status fields of other writers: an Attachment's `nodes` belong to the agents."""
    if isinstance(obj, Attachment):
        return obj.model_copy(update={"status": obj.status.model_copy(update={"nodes": ()})})
    return obj
