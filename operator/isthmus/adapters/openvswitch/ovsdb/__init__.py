"""This node's Open vSwitch database."""

from .database import OvsdbDatabase

__all__ = ["OvsdbDatabase"]
