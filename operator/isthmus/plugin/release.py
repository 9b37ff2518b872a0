"""Which release of the plugin this is."""

from __future__ import annotations


def own_version() -> str:
    """As the package or the archive has it."""
    # Costs more than all else, and only few verbs need it.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("isthmus")
    except PackageNotFoundError:
        return "unknown"
