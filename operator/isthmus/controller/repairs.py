"""What this process has written to OpenStack of late, for each network: so that it does not fight over it for ever."""

from __future__ import annotations

from isthmus.core.network.drift import History, Repairs
from isthmus.model.actions import OpenStackAction
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.ports import Clock


class RepairLog:
    """In memory alone: each process starts with none, and counts again.

    Several threads may use it at once, each with another network.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[str, History] = {}

    def of(self, link_name: str) -> Repairs:
        """What was written for that network, as it is to be judged now."""
        now, history = self._clock.monotonic_seconds(), self._histories.get(link_name, {})
        current = {target: written for target, written in history.items() if written.is_of_interest(now)}
        self._keep(link_name, current)
        return Repairs(current, now)

    def performed(self, link_name: str, action: OpenStackAction, facts: NetworkFacts | None) -> None:
        """Record an action that succeeded; `facts` as they were before it."""
        self._keep(link_name, self.of(link_name).after(action, facts))

    def refused(self, link_name: str, action: OpenStackAction, facts: NetworkFacts | None) -> None:
        """Record an action that Neutron refused, so that it is not tried again soon."""
        self._keep(link_name, self.of(link_name).after_refusal(action, facts))

    def forget(self, link_name: str) -> None:
        """Nothing of that network exists any more."""
        self._histories.pop(link_name, None)

    def _keep(self, link_name: str, history: History) -> None:
        if history:
            self._histories[link_name] = history
        else:
            self.forget(link_name)
