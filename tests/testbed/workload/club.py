"""Machines of a stretched network, one in each cloud, in security groups of one name that admit their members only."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import permutations
from typing import Any, Final

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import patch_spec
from tests.testbed.install.installation import Installation
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.tenant import Tenant

WITHIN_SECONDS: Final = 10
"""Of a change of members or rules in any cloud: until all clouds follow."""
CHOSEN_SECONDS: Final = 30
"""Of another choice of the tenant, which each cloud has to read first; no time is promised for that."""

Way = tuple[str, str]
"""From the machine of one cloud to that of another one, by the clouds' names."""


class Club:
    """One machine in group `web` of each cloud, the origin's first."""

    def __init__(self, *members: tuple[Tenant, Machine]) -> None:
        self.sides = tuple(tenant for tenant, _ in members)
        self.machines: dict[str, Machine] = {tenant.cloud.name: machine for tenant, machine in members}
        self.groups = {tenant.cloud.name: make_group(tenant) for tenant in self.sides}
        for tenant in self.sides:
            self.put(tenant, "web")

    def machine_at(self, tenant: Tenant) -> Machine:
        return self.machines[tenant.cloud.name]

    def put(self, tenant: Tenant, *names: str) -> None:
        """Put a cloud's machine into the groups of these names, of the tenant's project, and into no others."""
        network = tenant.cloud.openstack().network
        found = {group.name: group.id for group in network.security_groups(project_id=tenant.project.id)}
        network.update_port(self.machine_at(tenant).port_id, security_group_ids=[found[name] for name in names])

    def choose(self, groups: str, default: str = "Separate") -> None:
        """Change the tenant's NetworkExpansion."""
        origin = self.sides[0]
        chosen = {"securityGroups": groups, "defaultGroup": default}
        patch_spec(origin.cloud, "networkexpansion", origin.name, chosen, "-n", origin.name)

    def ways_from(self, *sources: Tenant) -> set[Way]:
        """The ways from the machines of these clouds to all others."""
        names = {tenant.cloud.name for tenant in sources}
        return {(source, target) for source, target in permutations(self.machines, 2) if source in names}

    def open_from(self, *sources: Tenant) -> set[Way]:
        """Those of these ways with a reply to any of three pings, of which one may get lost; all asked at once."""
        ways = sorted(self.ways_from(*sources))
        with ThreadPoolExecutor(len(ways)) as threads:
            return {way for way, is_open in zip(ways, threads.map(self._is_open, ways), strict=True) if is_open}

    def _is_open(self, way: Way) -> bool:
        source, target = (self.machines[name] for name in way)
        return source.ping(str(target.address), count=3, interval_seconds=0.3).received > 0

    def await_admission(self, *sources: Tenant, admitted: bool, within_seconds: float = WITHIN_SECONDS) -> float:
        """Right after a change: all others admit the machines of these clouds, or none does, all within that time.

        Returns how many seconds that took, with the last pings, of which those without a reply take over a second.
        """
        began = time.monotonic()
        wanted = self.ways_from(*sources) if admitted else set()
        names = ", ".join(tenant.cloud.name for tenant in sources)
        what = f"{names} {'admitted by all others' if admitted else 'admitted by nobody else'}"
        wait_until(lambda: self.open_from(*sources) == wanted, within_seconds, what)
        return time.monotonic() - began

    def leave_and_enter(self, leaver: Tenant) -> str:
        """Put a cloud's machine into group `default` and back: the others admit it as a member only.

        Returns how long both took.
        """
        self.put(leaver, "default")
        left = self.await_admission(leaver, admitted=False)
        self.put(leaver, "web")
        entered = self.await_admission(leaver, admitted=True)
        return f"out after {left:.1f} s, in after {entered:.1f} s"

    def dissolve(self) -> None:
        """Delete the groups; the machines are in their default ones again."""
        self.choose("Separate")
        for tenant in self.sides:
            self.put(tenant, "default")
        for tenant in self.sides:
            network, group = tenant.cloud.openstack().network, self.groups[tenant.cloud.name]

            def members() -> list[Any]:
                ports = network.ports(network_id=tenant.network_id)  # noqa: B023
                return [port for port in ports if group.id in port.security_group_ids]  # noqa: B023

            wait_until(lambda: not members(), 60, "the group to be empty")
            network.delete_security_group(group.id)


def make_group(tenant: Tenant) -> Any:
    """Create group `web`, which admits its own members by IPv4, and lets its machines send everything."""
    network = tenant.cloud.openstack().network
    group = network.create_security_group(name="web", project_id=tenant.project.id)
    network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", ethertype="IPv4", remote_group_id=group.id
    )
    return group


@contextmanager
def gathered(sides: Iterable[Installation], *members: tuple[Tenant, Machine]) -> Iterator[Club]:
    """Such machines for the duration of the block, in clouds that have ports for each other's machines meanwhile."""
    with ExitStack() as undo:
        for side in sides:
            undo.enter_context(side.controller_settings(remote_ports_per_network=1000))
        club = Club(*members)
        undo.callback(club.dissolve)
        for tenant, other in permutations(club.sides, 2):
            mac = club.machine_at(other).mac_address
            wait_until(lambda: mac in tenant.remote_ports(), 60, f"a port of {mac} at {tenant.cloud.name}")  # noqa: B023
        yield club
