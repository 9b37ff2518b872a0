"""What this process has written to OpenStack of late, by network and project: so that it does not fight for ever."""

from __future__ import annotations

import threading

from isthmus.core.network.drift import History, Repairs
from isthmus.model.actions import OpenStackAction
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.ports import Clock


class RepairLog:
    """In memory alone: each process starts with none, and counts again. Safe to use from several threads.

    What is a project's is counted for all of its networks together.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._of_networks: dict[str, History] = {}
        self._of_projects: dict[str, History] = {}

    def of(self, link_name: str, facts: NetworkFacts | None) -> Repairs:
        """What was written for that network and its project, as it is to be judged now."""
        with self._lock:
            return self._of(link_name, facts)

    def performed(self, link_name: str, action: OpenStackAction, facts: NetworkFacts | None) -> None:
        """Record an action that succeeded; `facts` as they were before it."""
        with self._lock:
            self._keep(link_name, facts, self._of(link_name, facts).after(action, facts))

    def refused(self, link_name: str, action: OpenStackAction, facts: NetworkFacts | None) -> None:
        """Record an action that Neutron refused, so that it is not tried again soon."""
        with self._lock:
            self._keep(link_name, facts, self._of(link_name, facts).after_refusal(action, facts))

    def forget(self, link_name: str) -> None:
        """Nothing of that network exists any more."""
        with self._lock:
            self._of_networks.pop(link_name, None)
            for project_id, history in list(self._of_projects.items()):
                _put(self._of_projects, project_id, self._current(history))

    def _of(self, link_name: str, facts: NetworkFacts | None) -> Repairs:
        of_network, of_project = self._of_networks.get(link_name, {}), self._of_projects.get(_project_id(facts), {})
        current = self._current({**of_network, **of_project})
        self._keep(link_name, facts, current)
        return Repairs(current, self._clock.monotonic_seconds())

    def _current(self, history: History) -> History:
        now = self._clock.monotonic_seconds()
        return {target: written for target, written in history.items() if written.is_of_interest(now)}

    def _keep(self, link_name: str, facts: NetworkFacts | None, history: History) -> None:
        _put(self._of_networks, link_name, {t: written for t, written in history.items() if not t.is_of_project})
        _put(self._of_projects, _project_id(facts), {t: written for t, written in history.items() if t.is_of_project})


def _put(histories: dict[str, History], name: str, history: History) -> None:
    if history:
        histories[name] = history
    else:
        histories.pop(name, None)


def _project_id(facts: NetworkFacts | None) -> str:
    """Empty as long as there is none, or none is known."""
    return facts.project.id if facts is not None and facts.project is not None else ""
