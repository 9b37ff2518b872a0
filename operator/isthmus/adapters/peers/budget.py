"""How much of one peer is held in memory. What exceeds it is known by name only, and concerns that object alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

MAX_OBJECTS: Final = 40_000  # 10,000 networks have as many links, and at least as many PortSlices
MAX_PORTS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_NAMES: Final = 50_000


@dataclass(frozen=True)
class Cost:
    """What one object takes of the budget: the bytes of its `spec` as JSON, and its ports."""

    objects: int = 0
    ports: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, spec: object) -> Cost:
        """The cost of an object. Raises RecursionError if it is nested too deeply."""
        ports = spec.get("ports") if isinstance(spec, dict) else None
        return cls(1, len(ports) if isinstance(ports, list) else 0, len(json.dumps(spec, separators=(",", ":"))))


FREE: Final = Cost()


@dataclass
class Budget:
    """What the held objects of one peer cost together."""

    objects: int = 0
    ports: int = 0
    bytes: int = 0

    def exchange(self, old: Cost, new: Cost) -> str:
        """Replace the cost of an object; returns which limit prevents that, and is then without both."""
        self._add(old, -1)
        for name, limit in (("objects", MAX_OBJECTS), ("ports", MAX_PORTS), ("bytes", MAX_BYTES)):
            if getattr(self, name) + getattr(new, name) > limit:
                return f"beyond the limit of {limit} {name} that are read of one peer"
        self._add(new, 1)
        return ""

    def _add(self, cost: Cost, sign: int) -> None:
        self.objects += sign * cost.objects
        self.ports += sign * cost.ports
        self.bytes += sign * cost.bytes
