"""Inventory of everything in a cloud, to compare before and after."""

from tests.testbed.inventory.snapshot import Inventory, difference, difference_once_settled, take

__all__ = ["Inventory", "difference", "difference_once_settled", "take"]
