"""Every reason that a condition, an answer to a peer or a connection can have, as one typed list."""

from .answers import ANSWER_REASONS
from .reason import Reason

__all__ = ["ANSWER_REASONS", "Reason"]
