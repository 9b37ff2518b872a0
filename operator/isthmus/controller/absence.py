"""For how long this process has seen that peers do not publish a link, by the monotonic clock."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from isthmus.ports import Clock


class Absences:
    """When each absence was first seen. Each process starts with none: before, it did not read the peer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, dict[str, float]] = {}

    def observe(self, link_name: str, cloud_ids: AbstractSet[str]) -> dict[tuple[str, str], float]:
        """Record which peers do not publish the network now; returns the seconds by cloud ID and link name."""
        now = self._clock.monotonic_seconds()
        if not cloud_ids:
            self._since.pop(link_name, None)
            return {}
        before = self._since.get(link_name, {})
        self._since[link_name] = since = {cloud_id: before.get(cloud_id, now) for cloud_id in cloud_ids}
        return {(cloud_id, link_name): now - moment for cloud_id, moment in since.items()}
