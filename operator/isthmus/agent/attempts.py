"""Tries what is independent of each other separately, so that one failure does not keep the rest from being done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from isthmus.core.node.facts import Failures
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError
from isthmus.model.reasons import Reason

_LOG = logging.getLogger(__name__)
_MAX_MESSAGE = 1024


class Attempts:
    """What failed during one reconciliation, by what it concerns."""

    def __init__(self, problem_of: Callable[[Exception], Problem]) -> None:
        self._problem_of = problem_of
        self._node: list[Problem] = []
        self._connections: dict[str, Problem] = {}
        self._networks: dict[str, Problem] = {}

    @contextmanager
    def node(self) -> Iterator[None]:
        """Try something that concerns the whole node; an exception is recorded, not raised."""
        try:
            yield
        except Exception as error:
            self.failed(self._problem_of(error))

    @contextmanager
    def connection(self, name: str) -> Iterator[None]:
        """Try something that concerns one connection or its tunnel port."""
        try:
            yield
        except Exception as error:
            self.connection_failed(name, self._problem_of(error))

    @contextmanager
    def network(self, name: str) -> Iterator[None]:
        """Try something that concerns one network, by its link name."""
        try:
            yield
        except Exception as error:
            self.network_failed(name, self._problem_of(error))

    def failed(self, problem: Problem) -> None:
        """Record a failure that concerns the whole node."""
        if problem not in self._node:
            self._node.append(problem)

    def connection_failed(self, name: str, problem: Problem) -> None:
        """Record a failure of one connection; the first one counts."""
        self._connections.setdefault(name, problem)

    def network_failed(self, name: str, problem: Problem) -> None:
        """Record a failure of one network; the first one counts."""
        self._networks.setdefault(name, problem)

    def failures(self) -> Failures:
        """What has failed so far."""
        return Failures(tuple(self._node), dict(self._connections), dict(self._networks))


class Barrier:
    """Turns exceptions into problems, so that a defect of ours ends neither the process nor what is in place."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def problem(self, error: Exception) -> Problem:
        """The error of an external system as it is; anything else is a defect, logged once with its traceback.

        The text of a defect is not published: it may quote values, keys among them.
        """
        if isinstance(error, ExternalError):
            return Problem(error.reason, str(error)[:_MAX_MESSAGE])
        place = _place(error)
        if place not in self._logged:
            self._logged.add(place)
            _LOG.error("unexpected %s, a defect of Isthmus", place, exc_info=error)
        return Problem(Reason.INTERNAL_ERROR, f"unexpected {place}: see the agent's log")


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" in {trace.tb_frame.f_code.co_qualname}" if trace is not None else ""
    return f"{type(error).__name__}{where}"
