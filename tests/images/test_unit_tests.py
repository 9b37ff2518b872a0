"""The unit tests pass with the interpreter, the standard library and the wheels of the images, and the code there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final

import pytest

from images.inputs import REPOSITORY, Target
from tests.images import interpreter, testpackages
from tests.images.archive import Archive

_TIMEOUT_SECONDS: Final = 1_800  # of what has hung: `make test` has this at idle priority
_MANY: Final = 1000
# They build from a clone of the repository, next to which they look for the package.
_OF_CLONES: Final = ("test_plugin_archive.py", "test_plugin_krew.py")
_SIMULATION: Final = "tests.fakes.federation"
"""Of several clouds: most of the time goes there, into code that needs no other wheels than the rest."""


def test_they_pass(archives: Callable[[Target], Archive], tmp_path: Path) -> None:
    files = (REPOSITORY / "tests" / "unit").glob("test_*.py")
    _run(archives, tmp_path, {path.name for path in files if _SIMULATION in path.read_text()})


@pytest.mark.long
def test_all_pass(archives: Callable[[Target], Archive], tmp_path: Path) -> None:
    _run(archives, tmp_path, set())


def _run(archives: Callable[[Target], Archive], tmp_path: Path, left_out: Set[str]) -> None:
    """The controller's wheels are used beside the agent's."""
    roots = {}
    for target in ("agent", "controller"):
        roots[target] = tmp_path / target
        roots[target].mkdir()
        archives(target).unpack(roots[target])
    of_tests = testpackages.ensure(interpreter.version(roots["agent"]))
    wheels = [root / "opt" / "isthmus" for root in roots.values()]
    python = interpreter.create(tmp_path / "environment", roots["agent"], [*wheels, of_tests, REPOSITORY])
    where = "import isthmus, sys; print(isthmus.__file__, sys.prefix, sys.version_info[:2] >= (3, 13))"
    shown = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.split()
    assert (Path(shown[0]).is_relative_to(wheels[0]), shown[1:]) == (True, [str(tmp_path / "environment"), "True"])
    options = ["-q", "-n", "2", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "tests")]
    options += [f"--ignore=tests/unit/{name}" for name in sorted({*_OF_CLONES} | left_out)]
    done = subprocess.run(
        [python, "-m", "pytest", *options, "tests/unit"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) > _MANY
