"""Watches wake the process on changes, need only read access, and resume after an API outage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.adapters.watch import KopfWatch, resources
from isthmus.agent.inputs import WATCHED
from tests.cluster.accounts import account_kubeconfig
from tests.testbed.kubernetes.cluster import ControlPlane

POLICY = """
apiVersion: isthmus.cloud/v1alpha1
kind: IPsecPolicy
metadata: {name: watched}
spec: {dpdDelaySeconds: %d}
"""


class WakeCounter:
    """Counts and waits for wake-ups."""

    def __init__(self) -> None:
        self._rang = threading.Event()

    def wake(self) -> None:
        self._rang.set()

    def wait(self, seconds: float) -> bool:
        rang = self._rang.wait(seconds)
        self._rang.clear()
        return rang

    def wait_for_silence(self) -> None:
        while self.wait(2):
            pass


@pytest.fixture
def wakes(installed: ControlPlane, tmp_path: Path) -> Iterator[WakeCounter]:
    wakes = WakeCounter()
    kubeconfig = account_kubeconfig(installed, tmp_path, "isthmus-system", "isthmus-agent")
    watch = KopfWatch(resources(WATCHED), str(kubeconfig))
    installed.kubectl("apply", "-f", "-", input=POLICY % 10)
    watch.start(wakes.wake)
    assert wakes.wait(30), "existing objects also wake the process"
    wakes.wait_for_silence()
    yield wakes
    watch.stop()


def test_change_wakes_the_loop_immediately(installed: ControlPlane, wakes: WakeCounter) -> None:
    installed.kubectl("apply", "-f", "-", input=POLICY % 11)
    assert wakes.wait(2)
    wakes.wait_for_silence()
    assert not wakes.wait(1), "nothing changed"
    installed.kubectl("delete", "ipsecpolicy", "watched")
    assert wakes.wait(2)


def test_watch_resumes_after_an_api_outage(installed: ControlPlane, wakes: WakeCounter) -> None:
    installed.stop()
    installed.start()
    wakes.wait_for_silence()
    for interval in range(12, 40):
        installed.kubectl("apply", "-f", "-", input=POLICY % interval)
        if wakes.wait(2):
            break
    else:
        pytest.fail("changes do not wake the process any more")
