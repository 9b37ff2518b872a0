"""How many examples property tests try: few in each run of the unit tier, many in `make test-long`."""

import os

from hypothesis import settings

_BASE = settings.get_profile("ci" if os.environ.get("CI") else "default")

settings.register_profile("unit", _BASE, max_examples=50, deadline=None)
settings.register_profile("long", max_examples=2000, deadline=None)


def load_profile() -> None:
    """Apply the profile that $HYPOTHESIS_PROFILE names; in CI the unit profile tries the same examples each time."""
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
