"""The connections of the plan in charon, each apart from the others."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.node import diff, ipsec
from isthmus.core.node.plan import NodePlan
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import IkeView
from isthmus.model.reasons import Reason
from isthmus.ports import Ike

from .attempts import Attempts


class Tunnels:
    """Loads and unloads connections. While charon does not answer nothing is changed: its SAs are in the kernel."""

    def __init__(self, ike: Ike) -> None:
        self._ike = ike
        self.problem: Problem | None = None
        """Why charon did not answer the last call."""
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

    def load(self, plan: NodePlan, inputs: NodeInputs, fenced: frozenset[str], attempts: Attempts) -> IkeView | None:
        """Load the missing connections that have their fences (by name); returns what charon has afterwards."""
        ike = self.view()
        wanted = [c for c in diff.connections_to_load(plan, ike) if c.name in fenced] if ike else []
        for connection in wanted:
            with attempts.connection(connection.name):
                key = ipsec.pre_shared_key(inputs.keys[connection.credential.secret_name].content)
                try:
                    self._ike.load(connection, key)
                except Unavailable as error:
                    self.problem = charon_problem(error)
                    return None
        return self.view() if wanted else ike

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
