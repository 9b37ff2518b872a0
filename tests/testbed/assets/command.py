"""What the commands that build have in common."""

import signal
import sys
from collections.abc import Callable

from .workshop import BuildError


def exit_code(build: Callable[[], object]) -> int:
    """Build something; 1 if that fails, with the reason on standard error. Builds end if this process is terminated."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    try:
        build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
