"""Everything that the testbed needs: Debian packages, Go programs, a kernel, virtual environments.

Uses Python's standard library only, because it creates the environments of everything else.
"""

from tests.testbed.assets.ensure import APART, Assets, Subset, ensure, locate
from tests.testbed.assets.workshop import BuildError

__all__ = ["APART", "Assets", "BuildError", "Subset", "ensure", "locate"]
