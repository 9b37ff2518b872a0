"""Faults are injected one after the other: both sides name them and blame nothing else, and are well once healed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isthmus.plugin import archive
from tests.testbed.assets import locate
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.install.federation import Federation
from tests.testbed.workload.tenant import reachable_stretch

from .actions import Place, read_kubeconfig
from .faults import FAULTS, WELL, Fault, first_line

pytestmark = [pytest.mark.long, pytest.mark.stage("alone")]

_POLL_SECONDS = 1.0
_STEADY = 3
"""Diagnoses in a row that must be as expected."""
_HEALED_SECONDS = 180.0
_EXIT_CODES = {True: 0, False: 1}
Record = Callable[[str, object], None]


class Plugin:
    """kubectl-isthmus as one file, with the administrator's kubectl of each cloud."""

    def __init__(self, directory: Path) -> None:
        (directory / "kubectl").symlink_to(locate().kubectl)
        self._path = directory / "kubectl-isthmus"
        self._path.write_bytes(archive.build())

    def diagnose(self, cloud: Cloud) -> tuple[int, str]:
        """Exit code and text of the diagnosis of the other cloud."""
        peer = "cloud-b" if cloud.name == "a" else "cloud-a"
        command = [sys.executable, str(self._path), "diagnose", peer, f"--kubeconfig={cloud.kube.kubeconfig}"]
        environment = {"PATH": f"{self._path.parent}:/usr/bin:/bin", "HOME": str(self._path.parent)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout or done.stderr


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    return Plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def place(peers: Federation) -> Iterator[Place]:
    with reachable_stretch(peers, "diagnosed", "10.88.0.0/24") as stretch:
        yield Place(peers, stretch, read_kubeconfig(peers.a, peers.b.cloud.cloud_id))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_named_on_both_sides(place: Place, plugin: Plugin, fault: Fault, record_property: Record) -> None:
    expect(place, plugin, WELL, WELL, _HEALED_SECONDS)
    began = time.monotonic()
    fault.inject(place)
    try:
        expect(place, plugin, fault.at_a, fault.at_b, fault.seconds)
        named = time.monotonic() - began
    finally:
        fault.heal(place)
    began = time.monotonic()
    expect(place, plugin, WELL, WELL, _HEALED_SECONDS)
    record_property(fault.name, f"named after {named:.0f} s, well {time.monotonic() - began:.0f} s after its end")


def expect(place: Place, plugin: Plugin, at_a: tuple[str, ...], at_b: tuple[str, ...], seconds: float) -> None:
    """Wait until the first lines of both sides are these, several times in a row."""
    wanted = (first_line("cloud-b", at_a), first_line("cloud-a", at_b))
    codes = tuple(_EXIT_CODES[each == WELL] for each in (at_a, at_b))
    ends_at, steady = time.monotonic() + seconds, 0
    while steady < _STEADY:
        found = [plugin.diagnose(side.cloud) for side in (place.a, place.b)]
        first_lines = tuple(text.partition("\n")[0] for _, text in found)
        steady = steady + 1 if first_lines == wanted and tuple(code for code, _ in found) == codes else 0
        if time.monotonic() > ends_at and not steady:
            said = "\n".join(f"exit code {code}\n{text}" for code, text in found)
            raise AssertionError(f"expected {wanted}, exit codes {codes}; A, then B:\n{said}")
        time.sleep(_POLL_SECONDS)
