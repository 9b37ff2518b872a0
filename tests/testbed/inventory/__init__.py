"""What there is in a cloud, taken before and after, and compared."""

from tests.testbed.inventory.snapshot import Inventory, difference, difference_once_settled, take

__all__ = ["Inventory", "difference", "difference_once_settled", "take"]
