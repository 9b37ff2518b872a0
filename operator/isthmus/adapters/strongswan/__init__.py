"""This node's charon, through VICI."""

from .session import Vici

__all__ = ["Vici"]
