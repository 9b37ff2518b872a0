"""Of two gateway nodes never both have a network, whenever the controller dies and whatever happens to the nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.effects import with_effects
from tests.fakes.killing import Effects, Killed
from tests.fakes.twonodes import TwoNodes

ROLES = ["origin", "receiver"]


class Fenced(TwoNodes):
    """Checks the fence after each effect of the controller, which can be made to die after any of them."""

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.effects = Effects(None, Killed)
        self.start(self.effects)

    def start(self, effects: Effects) -> None:
        """Start a new controller."""
        backends, self.effects = self.cloud.backends, effects
        checked = replace(
            backends,
            cluster=with_effects(backends.cluster, self.check_fence),
            cloud=with_effects(backends.cloud, self.check_fence),
        )
        self.cloud.restart(effects.around(checked))

    def check_fence(self) -> None:
        """The node that the Attachment names is the only one that has a port."""
        for attachment in self.cloud.attachments():
            named = {port.node for port in attachment.spec.ports} | {attachment.spec.active_node} - {None}
            assert len(named) <= 1, "two nodes are instructed"
            elsewhere = {port.host for port in self.ports()} - {f"host-{node}" for node in named}
            assert not (named and elsewhere), f"{named} is instructed while there is a port on {elsewhere}"

    def settle(self) -> None:
        self._restarted(super().settle)

    def run_cloud(self) -> None:
        self._restarted(super().run_cloud)

    def _restarted(self, run: Callable[[], None]) -> None:
        """Run; a controller that dies is restarted."""
        try:
            run()
        except Killed:
            self.start(Effects(None, Killed))
            run()


@pytest.mark.parametrize("role", ROLES)
def test_controller_killed_after_each_effect_of_a_move(role: str) -> None:
    for fail_after in range(1, 100):
        two = Fenced(role)
        two.start(Effects(fail_after, Killed))
        effects = two.effects
        with two.first.not_ready():
            two.pass_time(12)
            two.check_moved()
        if effects.count < fail_after:
            break
    assert fail_after > 5, "a move has effects"


class Simulation(Fenced):
    """What may happen in any order."""

    def toggle_ready(self, which: int) -> None:
        gateway = list(self.gateways.values())[which % 2]
        gateway.ready = not gateway.ready

    def toggle_machine(self, which: int) -> None:
        gateway = list(self.gateways.values())[which % 2]
        gateway.agent_runs = not gateway.agent_runs
        gateway.machine("True" if gateway.agent_runs else "Unknown")

    def delete_port(self, which: int) -> None:
        for port in self.ports():
            self.cloud.neutron.delete_port(port.id)

    def kill(self, which: int) -> None:
        self.start(Effects(which + 1, Killed))

    def pass_a_little(self, which: int) -> None:
        self.pass_time(2.0 * (which + 1))

    def pass_minutes(self, which: int) -> None:
        self.pass_time(180.0 * (which + 1), step=15)


ACTIONS: tuple[Callable[[Simulation, int], None], ...] = (
    Simulation.toggle_ready,
    Simulation.toggle_ready,
    Simulation.toggle_machine,
    Simulation.delete_port,
    Simulation.kill,
    Simulation.pass_a_little,
    Simulation.pass_a_little,
    Simulation.pass_minutes,
)


@given(st.sampled_from(ROLES), st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), max_size=12))
@settings(suppress_health_check=list(HealthCheck), max_examples=settings().max_examples // 5)
def test_one_node_at_a_time(role: str, steps: list[tuple[Callable[[Simulation, int], None], int]]) -> None:
    two = Simulation(role)
    for action, which in steps:
        action(two, which)
    for gateway in two.gateways.values():
        gateway.ready = gateway.agent_runs = True
        gateway.machine("True")
    two.settle()
    two.pass_time(700, step=10)
    assert len(two.ports()) == 1
    assert two.active is two.first, "the node that the network prefers"
