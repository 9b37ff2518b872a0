"""Every reason that a condition, an answer to a peer or a connection can have, as one typed list."""

from .catalogue import ANSWER_REASONS, EXPLANATIONS, category
from .condition_types import ConditionType
from .explanation import Category
from .reason import Reason

__all__ = ["ANSWER_REASONS", "EXPLANATIONS", "Category", "ConditionType", "Reason", "category"]
