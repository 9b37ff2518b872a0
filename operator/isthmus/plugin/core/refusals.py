"""Why a verb changed nothing, or not all that it was to change: each is one sentence."""

from __future__ import annotations


class Refused(Exception):
    """Something is wrong: exit code 1."""


class Misused(Exception):
    """An argument is: exit code 2."""
