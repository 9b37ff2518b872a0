"""When to have charon initiate SAs, when to end superseded ones, and when to negotiate lost ones again.

Only the initiator's side initiates, so that SAs are not duplicated; the responder does only if they stay down for long.
What the kernel has lost, or a killed charon has left there, only that node knows of: it negotiates it on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from isthmus.core.node import hybrid, ipsec, takeover
from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.plan import NodePlan
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.node.ipsec import CertificateRef, IkeConnection, IkeState, IkeView, SecurityAssociation
from isthmus.ports import Clock, Ike, Xfrm

_INITIATOR_SECONDS = 5.0
_RESPONDER_SECONDS = 30.0
_CHANGED_SECONDS = 5.0  # how long a responder waits for the initiator to negotiate what has changed
_TAKEOVER_SECONDS = 5.0  # how long the peer has to initiate what it sends
_COUNTERPART_SECONDS = 1.0  # an ordinary negotiation has brought the other child by then, on a long path, too
_SURPLUS_SECONDS = 3.0  # how long the initiator has to end what is superseded or redundant
_STALE_SECONDS = 2.0  # by then the peer has ceased to send by the SAs of before
_REKEY_SECONDS = 10.0  # charon gives up on a peer that does not answer after a little more than 8
_MAX_DOUBLINGS = 10
_MAX_BACKOFF_SECONDS = 300.0
_REVOKED_SECONDS = 30.0  # a peer that is revoked may not answer at all
_CLASSICAL_SECONDS = 60.0  # both sides have attempted to replace them, the responder after 5 s and after 35 s
_ATTEMPTS_OF_NARROWED = 6  # from which the backoff continues: 32 s


@dataclass(frozen=True)
class _Recovery:
    """The last attempt to recover what the kernel has lost, of so many since the connection was last complete."""

    spis: frozenset[int]
    attempts: int
    at: float

    @property
    def pause_seconds(self) -> float:
        return _backoff_seconds(1.0, self.attempts - 1)


@dataclass(frozen=True)
class _Surplus:
    """IKE SAs of a responder, some superseded or redundant: since when, and after how many attempts to end any."""

    numbers: frozenset[int]
    since: float
    attempts: int = 0

    @property
    def pause_seconds(self) -> float:
        return _backoff_seconds(_SURPLUS_SECONDS, self.attempts)


class Associations:
    """Initiates connections that are down, and recovers lost ones; keeps the time at which each is due next."""

    def __init__(self, ike: Ike, xfrm: Xfrm, clock: Clock) -> None:
        self._ike = ike
        self._xfrm = xfrm
        self._clock = clock
        self._due: dict[str, float] = {}
        self._passive_due: dict[str, float] = {}
        """By connection that only the peer can open, when to end what was negotiated for its former settings."""
        self._takeovers: dict[str, list[frozenset[str]]] = {}
        """By connection that has not come up since its charon was killed, the children still to ask for, in steps."""
        self._awaited: dict[str, float] = {}
        """By connection whose peer has taken over, when to initiate what this node sends."""
        self._stale: dict[SecurityAssociation, float] = {}
        """States that an earlier charon has left, and when to remove them."""
        self._surplus: dict[str, _Surplus] = {}
        self._recoveries: dict[str, _Recovery] = {}
        self._refused: dict[str, Problem] = {}
        self._revocations: dict[str, str] = {}
        """What was revoked for the peer of each connection when it was last seen here."""
        self._classical: dict[str, float] = {}
        """By connection whose key exchange must be hybrid, since when it has had an IKE SA that is not."""
        self._cut_at: dict[str, float] = {}
        """By connection, when SAs end that were authenticated before more was revoked."""

    def advance(self, facts: NodeFacts, view: IkeView) -> Mapping[str, Problem]:
        """Initiate connections that are due: an initiator's at once, then every 5 s; a responder's every 30 s, but
        not those that only the peer can open.

        A responder's that were changed are due after 5 s, if the initiator has not negotiated them by then.

        Takes over connections of a killed charon at once, and initiates the counterpart if the peer does so. Recovers
        connections with lost SAs, and an initiator's with narrowed ones: the peer may have been corrected. Retires
        superseded SAs of connections whose new SAs are up, an initiator's at once and a responder's after 3 s, then
        ever less often. Ends those of peers whose certificates are revoked: after more was revoked, either side
        authenticates the other again at once. So it does with those of another key exchange than the one that is
        required. Returns what charon refuses, by connection: until it is tried again with success, or the connection is
        up. Raises Unavailable if charon does not answer, and ExternalError if the kernel does not remove a state.
        """
        now, plan, lost = self._clock.monotonic_seconds(), facts.plan, facts.lost
        up = {c.name for c in plan.connections if ipsec.up(c, view)}
        states = {c.name: view.states[c.name] for c in plan.connections if c.name in up}
        redundant = {c.name: takeover.redundant(c, states[c.name]) for c in plan.connections if c.name in up}
        duplicates = {c.name: takeover.duplicates(c, states[c.name]) for c in plan.connections if c.name in up}
        superseded = {name for name in up if states[name].superseded or redundant[name] or duplicates[name]}
        failing = {c.name for c in plan.connections} - (up - superseded - lost.keys())
        self._refused = {name: problem for name, problem in self._refused.items() if name in failing}
        self._follow_revocations(plan.connections, up, view, now)
        # What ends by its name ends with every attempt to replace it: one that is due begins after that.
        self._end_revoked(view, now)
        self._end_classical(plan, view, now)
        down = [c for c in plan.connections if c.name in view.loaded and c.name not in up]
        self._have_passive_renegotiated([c for c in down if c.passive], view, now)
        changed = {name for name, state in view.states.items() if state.superseded}
        self._initiate([c for c in down if not c.passive], changed, facts.orphaned, now)
        for connection in plan.connections:
            name = connection.name
            if name in lost:
                self._recover(name, lost[name], now)
            elif connection.initiator and (narrowed := ipsec.narrowed_spis(connection, view)):
                self._renegotiate(name, narrowed, now)
            elif name in up:
                self._recoveries.pop(name, None)
        for name in sorted(plan.kept_connections - {c.name for c in plan.connections}):
            if name in lost:
                self._recover(name, lost[name], now, may_end=False)  # for nothing would initiate it again
            else:
                self._recoveries.pop(name, None)
        awaited = [c for c in plan.connections if c.name in up and takeover.awaits_counterpart(c, states[c.name])]
        self._answer(awaited, now)
        for connection in plan.connections:
            if connection.name in up - superseded - self._awaited.keys():
                self._set_apart(connection, view)
        self._surplus = {
            name: surplus
            for name, surplus in self._surplus.items()
            if name in superseded or now - surplus.since < surplus.pause_seconds
        }
        for connection in plan.connections:
            name = connection.name
            if name in superseded - self._awaited.keys() and self._may_retire(connection, states[name], now):
                self._ask(name, partial(self._ike.retire, name, redundant[name], duplicates[name]))
        self._remove_stale(facts.stale, now)
        return dict(self._refused)

    @property
    def waits(self) -> bool:
        """Whether something is to be done soon, without a further change on the node."""
        return bool(self._awaited or self._stale)

    def _follow_revocations(
        self, connections: Collection[IkeConnection], up: Collection[str], view: IkeView, now: float
    ) -> None:
        """What was revoked for a peer has changed: it must authenticate itself again within 30 s.

        Connections that are not planned for the moment, and stay, are remembered as long as charon has them: whatever
        is revoked when they are planned again is compared with what it was before.
        """
        found = {c.name: c.credential.revoked for c in connections if isinstance(c.credential, CertificateRef)}
        changed = {name for name, revoked in found.items() if revoked != self._revocations.get(name, revoked)}
        kept = view.loaded.keys() - {c.name for c in connections}
        self._revocations = {name: revoked for name, revoked in self._revocations.items() if name in kept} | found
        replaceable = {name for name in kept & view.states.keys() if view.states[name].superseded}
        cuttable = (found.keys() - up) | replaceable
        self._cut_at = {name: at for name, at in self._cut_at.items() if name in cuttable}
        self._cut_at |= dict.fromkeys(changed, now + _REVOKED_SECONDS)
        self._due |= dict.fromkeys(changed, now)

    def _end_revoked(self, view: IkeView, now: float) -> None:
        """No other refusal ends existing SAs."""
        overdue = {name for name, at in self._cut_at.items() if now >= at}
        for name in sorted((view.revoked | overdue) & self._revocations.keys() & view.states.keys()):
            if view.states[name].superseded:
                self._ask(name, partial(self._ike.terminate, name))

    def _end_classical(self, plan: NodePlan, view: IkeView, now: float) -> None:
        """Where no fallback is agreed on any more, what is not replaced within 60 s ends."""
        found = {c.name for c in plan.connections if hybrid.lacks(c, view)}
        self._classical = {name: self._classical.get(name, now) for name in found}
        for name, since in self._classical.items():
            if now - since >= _CLASSICAL_SECONDS:
                self._ask(name, partial(self._ike.terminate, name))

    def _initiate(
        self, down: Collection[IkeConnection], changed: Collection[str], orphaned: frozenset[str], now: float
    ) -> None:
        self._due = {c.name: self._due.get(c.name, now + _first_after(c, c.name in changed)) for c in down}
        self._takeovers = {c.name: self._takeovers[c.name] for c in down if c.name in self._takeovers}
        for connection in down:
            name = connection.name
            if name in orphaned and name not in self._takeovers:
                self._takeovers[name] = takeover.steps(connection)
                self._due[name] = now
            if now >= self._due[name]:
                self._negotiate(connection, now)

    def _have_passive_renegotiated(self, down: Collection[IkeConnection], view: IkeView, now: float) -> None:
        """End what was negotiated for former settings: only the peer can negotiate again, and this makes it do so."""
        former = {c.name for c in down if (state := view.states.get(c.name)) is not None and state.superseded}
        self._passive_due = {name: self._passive_due.get(name, now + _RESPONDER_SECONDS) for name in former}
        for name in sorted(former):
            if now >= self._passive_due[name]:
                self._passive_due[name] = now + _RESPONDER_SECONDS
                self._ask(name, partial(self._ike.terminate, name))

    def _negotiate(self, connection: IkeConnection, now: float) -> None:
        """In a takeover step by step, then as always."""
        name = connection.name
        if steps := self._takeovers.get(name):
            self._due[name] = now + _TAKEOVER_SECONDS
            self._ask(name, partial(self._ike.take_over, name, steps.pop(0)))
        else:
            self._due[name] = now + self._pause(connection)
            self._ask(name, partial(self._ike.initiate, name))

    def _answer(self, awaited: Collection[IkeConnection], now: float) -> None:
        """Initiate what this node sends, after a moment in which an ordinary negotiation would have been completed."""
        self._awaited = {c.name: self._awaited.get(c.name, now + _COUNTERPART_SECONDS) for c in awaited}
        for connection in awaited:
            name = connection.name
            if now >= self._awaited[name]:
                self._awaited[name] = now + _INITIATOR_SECONDS
                sent = takeover.sent_children(connection)
                self._ask(name, partial(self._ike.initiate_in_newest, connection, sent))

    def _set_apart(self, connection: IkeConnection, view: IkeView) -> None:
        """Let what is initiated in answer to a takeover join the new IKE SA, and not the one of a dead charon."""
        newest = takeover.newest(view.states[connection.name])
        # What is not established yet has been left out of `newest`, and may have been counted when it was loaded.
        if newest is not None and view.apart_from.get(connection.name, -1) < newest:
            self._ask(connection.name, partial(self._ike.load_apart, connection))

    def _may_retire(self, connection: IkeConnection, state: IkeState, now: float) -> bool:
        """The initiator may at once; the responder when its IKE SAs have been the same for a while.

        What the responder ends the initiator's charon establishes again: to the responder that is the newest IKE SA.
        Each attempt therefore doubles the pause, until nothing has been left to end for as long.
        """
        if connection.initiator:
            return True
        name, numbers = connection.name, frozenset(association.number for association in state.associations)
        surplus = self._surplus.get(name, _Surplus(numbers, now))
        if surplus.numbers != numbers:
            surplus = replace(surplus, numbers=numbers, since=now)
        is_due = now - surplus.since >= surplus.pause_seconds
        self._surplus[name] = replace(surplus, since=now, attempts=surplus.attempts + 1) if is_due else surplus
        return is_due

    def _remove_stale(self, stale: frozenset[SecurityAssociation], now: float) -> None:
        self._stale = {state: self._stale.get(state, now + _STALE_SECONDS) for state in stale}
        if due := frozenset(state for state, at in self._stale.items() if now >= at):
            self._xfrm.remove_associations(due)

    def _recover(self, name: str, spis: frozenset[int], now: float, *, may_end: bool = True) -> None:
        """Rekey at once; if the same SAs are still missing after that, end the connection. Ever less often."""
        last = self._recoveries.get(name, _Recovery(frozenset(), 0, float("-inf")))
        rekeyed = spis <= last.spis
        if now - last.at < max(last.pause_seconds, _REKEY_SECONDS if rekeyed else 0):
            return
        self._recoveries[name] = _Recovery(spis, last.attempts + 1, now)
        is_end = rekeyed and may_end
        again = partial(self._ike.terminate, name) if is_end else partial(self._ike.rekey, name, spis)
        self._ask(name, again)

    def _renegotiate(self, name: str, spis: frozenset[int], now: float) -> None:
        """End a connection with narrowed selectors, for a rekeying would keep them; after half a minute, then later."""
        last = self._recoveries.get(name)
        if last is None:
            self._recoveries[name] = _Recovery(spis, _ATTEMPTS_OF_NARROWED, now)
        elif now - last.at >= last.pause_seconds:
            self._recoveries[name] = _Recovery(spis, last.attempts + 1, now)
            self._ask(name, partial(self._ike.terminate, name))

    def _ask(self, name: str, request: Callable[[], None]) -> None:
        """Record what charon refuses of one connection; if it does not answer at all, the others need not be tried."""
        try:
            request()
        except Unavailable:
            raise
        except ExternalError as error:
            self._refused[name] = Problem(error.reason, str(error)[:1024])
        else:
            self._refused.pop(name, None)

    def _pause(self, connection: IkeConnection) -> float:
        return _INITIATOR_SECONDS if connection.initiator else _RESPONDER_SECONDS


def _first_after(connection: IkeConnection, is_changed: bool) -> float:
    """The initiator's charon may have negotiated just before this one had the change: only this side sees it."""
    if connection.initiator:
        return 0.0
    return _CHANGED_SECONDS if is_changed else _RESPONDER_SECONDS


def _backoff_seconds(first_seconds: float, doublings: int) -> float:
    return min(first_seconds * 2.0 ** min(doublings, _MAX_DOUBLINGS), _MAX_BACKOFF_SECONDS)
