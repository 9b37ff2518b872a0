"""Faults: which series change, and exactly which alerts fire."""

from typing import Final

from . import processes, traffic
from .model import Fault, Firing

__all__ = ["FAULTS", "Fault", "Firing"]

FAULTS: Final = (*processes.FAULTS, *traffic.FAULTS)
