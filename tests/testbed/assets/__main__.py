"""`python3 -m tests.testbed.assets [SUBSET...]`: provide the assets of these subsets; `--path NAME`: print a path."""

import argparse
import sys
from typing import get_args

from tests.testbed.assets import APART, Subset, ensure, environments
from tests.testbed.assets.cache import Cache, default_root
from tests.testbed.assets.command import exit_code


def main() -> int:
    """Run the command."""
    paths = {environment.asset.name: environment.path for environment in environments.every(Cache(default_root()))}
    parser = argparse.ArgumentParser(prog="python3 -m tests.testbed.assets")
    parser.add_argument(
        "subset",
        nargs="*",
        metavar="SUBSET",
        help=f"{', '.join(get_args(Subset))} (lab: all but {', '.join(APART)})",
    )
    parser.add_argument("--path", choices=paths, help="build nothing, print the path of this environment")
    arguments = parser.parse_args()
    if unknown := set(arguments.subset) - set(get_args(Subset)):
        parser.error(f"unknown subset: {', '.join(sorted(unknown))}")
    if arguments.path:
        print(paths[arguments.path])
        return 0
    return exit_code(lambda: ensure(*arguments.subset))


if __name__ == "__main__":
    sys.exit(main())
