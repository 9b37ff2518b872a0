"""Debian packages: find and install the missing ones."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.testbed.assets.workshop import BuildError, Workshop

_LISTS: Final = Path(__file__).with_name("packages.ini")
_SERVICE_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_SERVICE_POLICY_TEXT: Final = "#!/bin/sh\n# isthmus: no service starts while its package is installed\nexit 101\n"
_APT: Final = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3")
_USUAL_SECONDS: Final = {
    "development": 10.0,
    "kubernetes": 15.0,
    "lab": 90.0,
    "kernel": 30.0,
    "images": 40.0,
    "monitoring": 20.0,
    "pods": 20.0,
    "page": 60.0,
}


def install(workshop: Workshop, lists: Sequence[str]) -> None:
    """Install the packages of these lists, if any is missing."""
    if not _missing(lists):
        return
    with workshop.cache.lock("packages"):
        missing = _missing(lists)
        if not missing:
            return
        if shutil.which("apt-get") is None:
            raise BuildError(f"this is not Debian: install the equivalents of {' '.join(missing)}")
        name, environment = f"packages-{lists[-1]}", {"DEBIAN_FRONTEND": "noninteractive"}
        with workshop.reporting(name, _USUAL_SECONDS[lists[-1]]), _services_held():
            workshop.run(name, [*_APT, "update"], env=environment)
            workshop.run(name, [*_APT, "install", "--no-install-recommends", *missing], env=environment, killable=False)


def _missing(lists: Sequence[str]) -> list[str]:
    packages = ConfigParser(allow_no_value=True)
    packages.read(_LISTS)
    wanted = dict.fromkeys(name for purpose in lists for name in packages[purpose])
    installed = _installed() if wanted else frozenset()
    return [name for name in wanted if name not in installed]


def _installed() -> frozenset[str]:
    if shutil.which("dpkg-query") is None:
        return frozenset()
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"]
    rows = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
    return frozenset(row.split()[1] for row in rows if row.startswith("ii"))


@contextmanager
def _services_held() -> Iterator[None]:
    """Prevent Debian from starting the services that it installs; an existing policy of the administrator is kept."""
    if _SERVICE_POLICY.exists() and _SERVICE_POLICY.read_text() != _SERVICE_POLICY_TEXT:
        yield
        return
    _SERVICE_POLICY.write_text(_SERVICE_POLICY_TEXT)
    _SERVICE_POLICY.chmod(0o755)
    try:
        yield
    finally:
        _SERVICE_POLICY.unlink(missing_ok=True)
