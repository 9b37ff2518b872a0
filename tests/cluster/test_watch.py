"""Watches wake whoever waits for a change, with no right but to read, and also after the API was away."""

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


class Bell:
    """Counts and waits for wake-ups."""

    def __init__(self) -> None:
        self._rang = threading.Event()

    def ring(self) -> None:
        self._rang.set()

    def wait(self, seconds: float) -> bool:
        rang = self._rang.wait(seconds)
        self._rang.clear()
        return rang

    def wait_for_silence(self) -> None:
        while self.wait(2):
            pass


@pytest.fixture
def bell(installed: ControlPlane, tmp_path: Path) -> Iterator[Bell]:
    bell = Bell()
    kubeconfig = account_kubeconfig(installed, tmp_path, "isthmus-system", "isthmus-agent")
    watch = KopfWatch(resources(WATCHED), str(kubeconfig))
    installed.kubectl("apply", "-f", "-", input=POLICY % 10)
    watch.start(bell.ring)
    assert bell.wait(30), "what is there already wakes, too"
    bell.wait_for_silence()
    yield bell
    watch.stop()


def test_change_wakes_the_loop_immediately(installed: ControlPlane, bell: Bell) -> None:
    installed.kubectl("apply", "-f", "-", input=POLICY % 11)
    assert bell.wait(2)
    bell.wait_for_silence()
    assert not bell.wait(1), "nothing changed"
    installed.kubectl("delete", "ipsecpolicy", "watched")
    assert bell.wait(2)


def test_watch_resumes_after_an_api_outage(installed: ControlPlane, bell: Bell) -> None:
    installed.stop()
    installed.start()
    bell.wait_for_silence()
    for interval in range(12, 40):
        installed.kubectl("apply", "-f", "-", input=POLICY % interval)
        if bell.wait(2):
            break
    else:
        pytest.fail("no change wakes any more")
