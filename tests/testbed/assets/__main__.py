"""`python3 -m tests.testbed.assets [SUBSET...]`: provide the assets of these subsets; `--path NAME`: print a path."""

import argparse
import signal
import sys
from typing import get_args

from tests.testbed.assets import BuildError, Subset, ensure, environments
from tests.testbed.assets.cache import Cache, default_root


def main() -> int:
    """Run the command."""
    paths = {environment.asset.name: environment.path for environment in environments.every(Cache(default_root()))}
    parser = argparse.ArgumentParser(prog="python3 -m tests.testbed.assets")
    parser.add_argument(
        "subset", nargs="*", metavar="SUBSET", help=f"{', '.join(get_args(Subset))} (lab: all but helm and images)"
    )
    parser.add_argument("--path", choices=paths, help="build nothing, print the path of this environment")
    arguments = parser.parse_args()
    if unknown := set(arguments.subset) - set(get_args(Subset)):
        parser.error(f"unknown subset: {', '.join(sorted(unknown))}")
    if arguments.path:
        print(paths[arguments.path])
        return 0
    # So that builds end when this process is terminated.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    try:
        ensure(*arguments.subset)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
