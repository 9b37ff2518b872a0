"""Everything that the lab needs: Debian packages, Go programs, a kernel, virtual environments.

Runs on Python's standard library alone, because it makes the environments that everything else runs in.
"""

from tests.testbed.assets.ensure import Assets, Subset, ensure, locate
from tests.testbed.assets.workshop import BuildError

__all__ = ["Assets", "BuildError", "Subset", "ensure", "locate"]
