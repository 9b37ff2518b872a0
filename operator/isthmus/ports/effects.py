"""Which methods of a port change an external system."""

from __future__ import annotations

# Every effect's name MUST begin with one of these, and no other method's may.
_EFFECTS = (
    "add_", "apply", "create_", "delete", "ensure_", "event", "initiate", "load", "rekey", "remove_", "replace",
    "retire", "set_", "tag_", "take_over", "terminate", "unload", "update_",
)  # fmt: skip


def is_effect(method: str) -> bool:
    """Whether a port's method of that name changes the external system.

    Metrics count writes by it, and tests kill a process after each effect.
    """
    return method.startswith(_EFFECTS)
