"""Networks by the names that users type."""

from __future__ import annotations

from typing import Final

from isthmus.model.text import printable

from .resources import Attachment, Expansion

_MAX_LENGTH: Final = 64


def is_expansion(expansion: Expansion, name: str) -> bool:
    """Whether that is a name of the NetworkExpansion, or of its network."""
    return name in (expansion.name, expansion.label, expansion.network_id, expansion.network_name)


def is_attachment(attachment: Attachment, name: str) -> bool:
    """Whether that is the name of the Attachment, or its network's ID."""
    return name in (attachment.name, attachment.network_id)


def shown(name: str) -> str:
    """What was typed, for a sentence that says that there is no such thing."""
    return repr(printable(name)[:_MAX_LENGTH])
