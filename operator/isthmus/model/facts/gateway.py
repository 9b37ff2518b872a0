"""The health of a gateway node as the controller observes it over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NodeState = Literal["Usable", "Waiting", "Failed"]


@dataclass(frozen=True)
class NodeHealth:
    """State of one gateway node.

    Usable: it gets networks. Waiting: it keeps those that it has, and gets no others. Failed: its networks leave.
    """

    state: NodeState
    usable_seconds: float = 0.0
    """For how long it has been usable without a break; 0 unless it is."""
