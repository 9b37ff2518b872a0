"""This node's charon, by vici."""

from .session import Vici

__all__ = ["Vici"]
