"""What there is to say of a reason that an object reports, which another release may have reported."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from isthmus.model.reasons import EXPLANATIONS, Category
from isthmus.model.reasons.explanation import Explanation

_BY_NAME: Final[Mapping[str, Explanation]] = MappingProxyType({str(reason): e for reason, e in EXPLANATIONS.items()})


def explanation(reason: str) -> Explanation | None:
    """The explanation of a reason; None if this release does not have it."""
    return _BY_NAME.get(reason)


def is_progress(reason: str) -> bool:
    """Whether somebody is at work, so that nobody is to blame yet."""
    found = explanation(reason)
    return found is not None and found.category is Category.PROGRESSING
