"""The connections of the plan in charon, each apart from the others."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.node import credentials, diff
from isthmus.core.node.plan import NodePlan
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import IkeView
from isthmus.model.reasons import Reason
from isthmus.ports import Ike

from .attempts import Attempts

_MAX_CERTIFICATES_FACTOR = 3  # a peer's old certificate and its new one, and ours, are all in use for a while


class Tunnels:
    """Loads and unloads connections. While charon does not answer nothing is changed: its SAs are in the kernel."""

    def __init__(self, ike: Ike) -> None:
        self._ike = ike
        self.problem: Problem | None = None
        """Why charon did not answer the last call."""
        self._revocations: tuple[str, tuple[bytes, ...]] = "", ()
        """What was loaded last, into which charon."""
        self.last_view: IkeView | None = None
        """Its last answer."""

    def view(self) -> IkeView | None:
        """What charon has; None, with `problem`, if it does not answer."""
        try:
            view = self._ike.view()
        except ExternalError as error:
            self.problem = charon_problem(error)
            return None
        self.problem, self.last_view = None, view
        return view

    def key_exchanges(self) -> frozenset[str] | None:
        """Those that charon can do, by its last answer; None if it has never answered."""
        view = self.last_view or self.view()
        return view.key_exchanges if view is not None else None

    def load(self, plan: NodePlan, inputs: NodeInputs, fenced: frozenset[str], attempts: Attempts) -> IkeView | None:
        """Load the missing connections that have their fences (by name); returns what charon has afterwards."""
        ike = self.view()
        if ike is None:
            return None
        try:
            loads_all = self._renew_credentials(plan, inputs, ike)
        except Unavailable as error:
            self.problem = charon_problem(error)
            return None
        except ExternalError as error:
            loads_all = False
            attempts.failed(Problem(error.reason, f"loading revocation lists: {error}"[:1024]))
        wanted = [
            c for c in (plan.connections if loads_all else diff.connections_to_load(plan, ike)) if c.name in fenced
        ]
        for connection in wanted:
            with attempts.connection(connection.name):
                key, chain = credentials.secrets_of(connection, inputs)
                try:
                    self._ike.load(connection, key, chain)
                except Unavailable as error:
                    self.problem = charon_problem(error)
                    return None
        return self.view() if wanted else ike

    def _renew_credentials(self, plan: NodePlan, inputs: NodeInputs, ike: IkeView) -> bool:
        """Load changed revocation lists; whether all else is to be loaded again, because charon had too much.

        Charon keeps certificates and lists that were replaced, and those that peers sent, until all are removed.
        """
        lists = credentials.revocation_lists(plan.connections, inputs)
        before = self._revocations[1] if self._revocations[0] == ike.instance else ()
        needed = credentials.certificates_needed(plan.connections, lists)
        is_renewed = len(lists) < len(before) or (
            needed > 0 and self._ike.certificates() > _MAX_CERTIFICATES_FACTOR * needed
        )
        if is_renewed:
            self._ike.remove_credentials()
        if is_renewed or lists != before:
            for content in lists:
                self._ike.load_revocation_list(content)
        self._revocations = ike.instance, lists
        return is_renewed

    def unload(self, names: Iterable[str], attempts: Attempts) -> bool:
        """Unload these connections; whether all of them are."""
        complete = True
        for name in names:
            try:
                self._ike.unload(name)
            except Unavailable as error:
                self.problem = charon_problem(error)
                return False
            except ExternalError as error:
                attempts.failed(Problem(error.reason, f"removing connection {name}: {error}"[:1024]))
                complete = False
        return complete


def charon_problem(error: ExternalError) -> Problem:
    """Charon does not answer."""
    return Problem(Reason.CHARON_UNAVAILABLE, str(error)[:1024])
