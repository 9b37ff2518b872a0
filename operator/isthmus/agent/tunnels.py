"""The connections of the plan in charon, each apart from the others."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.node import credentials, diff
from isthmus.core.node.plan import NodePlan
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import IkeConnection, IkeView
from isthmus.model.reasons import Reason
from isthmus.ports import Ike

from .attempts import Attempts
from .credentials import Credentials


class Tunnels:
    """Loads and unloads connections. While charon does not answer nothing is changed: its SAs are in the kernel."""

    def __init__(self, ike: Ike) -> None:
        self._ike = ike
        self.problem: Problem | None = None
        """Why charon did not answer the last call."""
        self._credentials = Credentials(ike)
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
            self._credentials.follow(plan, inputs, fenced, ike)
        except Unavailable as error:
            self.problem = charon_problem(error)
            return None
        except ExternalError as error:
            attempts.failed(Problem(error.reason, f"renewing what charon authenticates peers with: {error}"[:1024]))
        wanted = self._loadable(plan, inputs, fenced, ike, attempts)
        for connection in wanted:
            with attempts.connection(connection.name):
                key, chain = credentials.secrets_of(connection, inputs)
                try:
                    self._ike.load(connection, key, chain)
                except Unavailable as error:
                    self.problem = charon_problem(error)
                    return None
                self._credentials.loaded(connection.name)
        return self.view() if wanted else ike

    def _loadable(
        self, plan: NodePlan, inputs: NodeInputs, fenced: frozenset[str], ike: IkeView, attempts: Attempts
    ) -> list[IkeConnection]:
        """What is to be loaded and may be; a peer whose revocation lists charon does not take has a problem."""
        problems = {c.name: self._credentials.problem(c, inputs) for c in plan.connections}
        for name, problem in problems.items():
            if problem is not None:
                attempts.connection_failed(name, problem)
        to_load = diff.connections_to_load(plan, ike, self._credentials.without_secrets())
        return [c for c in to_load if c.name in fenced and problems[c.name] is None]

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
