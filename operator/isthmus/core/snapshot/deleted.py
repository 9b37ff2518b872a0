"""Objects that do not exist any more, so that a late report does not bring one back."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

_MAX_UIDS: Final = 4096


@dataclass
class DeletedObjects:
    """The UIDs of the objects that were deleted last. The API server never uses one again."""

    _uids: OrderedDict[str, bool] = field(default_factory=OrderedDict)
    """Whether the object is known to be gone, or only a deletion was requested, which finalizers may delay."""

    def add(self, uid: str | None, *, is_gone: bool) -> None:
        """Note that an object was deleted."""
        if uid:
            self._uids[uid] = is_gone or self._uids.get(uid, False)
            self._uids.move_to_end(uid)
            if len(self._uids) > _MAX_UIDS:
                self._uids.popitem(last=False)

    def has(self, uid: str | None, *, is_terminating: bool) -> bool:
        """Whether a report about an object is late; `is_terminating` if it shows the object as being deleted."""
        is_gone = self._uids.get(uid or "")
        return is_gone is not None and (is_gone or not is_terminating)


def version_number(resource_version: str | None) -> int:
    """A resource version as a number: later ones are greater. 0 if it is none, so that the object is always taken."""
    text = resource_version or ""
    return int(text) if text.isdecimal() else 0
