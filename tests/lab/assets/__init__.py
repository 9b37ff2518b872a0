"""Everything that the lab needs: Debian packages, Go programs, a kernel, virtual environments.

Runs on Python's standard library alone, because it makes the environments that everything else runs in.
"""

from tests.lab.assets.ensure import Assets, Subset, ensure, locate
from tests.lab.assets.workshop import BuildError

__all__ = ["Assets", "BuildError", "Subset", "ensure", "locate"]
