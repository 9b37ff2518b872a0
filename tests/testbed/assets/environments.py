"""Virtual environments: one for each OpenStack release, one for each process of Isthmus, one for development."""

import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.testbed.assets.cache import Asset, Cache
from tests.testbed.assets.workshop import Workshop

_REPOSITORY: Final = Path(__file__).parents[3]
# Debian's uwsgi embeds this interpreter, and the guests have it, too.
_DEBIAN_PYTHON: Final = Path("/usr/bin/python3")
_INSTALL: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")


@dataclass(frozen=True)
class Environment:
    """A virtual environment that is determined by a lock file; `editable` ones also contain Isthmus itself."""

    asset: Asset
    python: Path
    lock: Path
    editable: bool
    usual_seconds: float

    @property
    def path(self) -> Path:
        """The environment's root, with `bin/python` below it."""
        return self.asset.directory / "environment"

    def submit(self, workshop: Workshop, after: Sequence[Future[None]]) -> None:
        """Create the environment unless it exists."""
        make = partial(self._make, workshop)
        workshop.submit(partial(workshop.build, self.asset, self.usual_seconds, make), after)

    def _make(self, workshop: Workshop, _directory: Path) -> None:
        name, python = self.asset.name, self.path / "bin" / "python"
        workshop.run(name, [self.python, "-m", "venv", self.path])
        workshop.run(name, [python, *_INSTALL, "--upgrade", "pip"])
        workshop.run(name, [python, *_INSTALL, "--requirement", self.lock])
        if self.editable:
            workshop.run(name, [python, *_INSTALL, "--editable", _REPOSITORY])
        workshop.run(name, [python, "-m", "pip", "check"])


def clouds(cache: Cache) -> list[Environment]:
    """Environments of the OpenStack releases of clouds a and b."""
    locks = _REPOSITORY / "tests" / "testbed" / "cloud" / "openstack"
    return [
        _environment(cache, f"openstack-{cloud}", _DEBIAN_PYTHON, locks / f"requirements-{cloud}.txt", 100)
        for cloud in ("a", "b")
    ]


def processes(cache: Cache) -> list[Environment]:
    """Environments of the controller and the agent."""
    locks = _REPOSITORY / "requirements"
    return [
        _environment(cache, process, _DEBIAN_PYTHON, locks / f"{process}.txt", 30, editable=True)
        for process in ("controller", "agent")
    ]


def development(cache: Cache) -> Environment:
    """Environment of tests and linters, created with the running Python."""
    lock = _REPOSITORY / "requirements" / "development.txt"
    python = Path(sys.executable).resolve()
    return _environment(cache, "development", python, lock, 40, editable=True)


def every(cache: Cache) -> list[Environment]:
    """All environments."""
    return [*clouds(cache), *processes(cache), development(cache)]


def _environment(
    cache: Cache, name: str, python: Path, lock: Path, usual_seconds: float, *, editable: bool = False
) -> Environment:
    determinants: list[str | bytes] = [str(python.resolve()), lock.read_bytes()]
    if editable:
        determinants += [str(_REPOSITORY), _package_metadata()]
    return Environment(cache.asset(name, *determinants), python, lock, editable, usual_seconds)


def _package_metadata() -> str:
    """The parts of pyproject.toml that affect an installation; the settings of linters do not."""
    document = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())
    return repr([document["build-system"], document["project"], document["tool"].get("hatch")])
