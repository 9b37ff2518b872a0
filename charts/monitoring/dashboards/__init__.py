"""All dashboards."""

from __future__ import annotations

from typing import Final

from charts.monitoring.dashboard import Dashboard

from .federation import FEDERATION
from .network import NETWORK
from .processes import PROCESSES

DASHBOARDS: Final[tuple[Dashboard, ...]] = (FEDERATION, NETWORK, PROCESSES)
