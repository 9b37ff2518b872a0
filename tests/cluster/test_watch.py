"""Watches wake the process on changes, need only read access, and resume after an API outage."""

from __future__ import annotations

import gc
import json
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from isthmus.adapters.kubernetes import KopfWatch, built_in, kopfoperator, login, resources
from isthmus.agent.kubernetes import WATCHED
from isthmus.model.names import AGENT, GATEWAY_NAMESPACE, IPSEC_NAMESPACE, SYSTEM_NAMESPACE
from tests.cluster.accounts import account_kubeconfig, make_node, token_of
from tests.fakes.apiserver import write_kubeconfig
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

POLICY = """
apiVersion: isthmus.cloud/v1alpha1
kind: IPsecPolicy
metadata: {name: watched}
spec: {dpdDelaySeconds: %d}
"""
AT_ONCE_SECONDS = 30.0  # a watch that has lost an event is opened again after more than twice of that


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
    kubeconfig = account_kubeconfig(installed, tmp_path, GATEWAY_NAMESPACE, AGENT)
    watching = KopfWatch(resources(WATCHED), str(kubeconfig))
    installed.kubectl("apply", "-f", "-", input=POLICY % 10)
    watching.start(wakes.wake)
    assert wakes.wait(60), "existing objects also wake the process"
    wakes.wait_for_silence()
    yield wakes
    _end(watching)


def test_change_wakes_the_loop_immediately(installed: ControlPlane, wakes: WakeCounter) -> None:
    installed.kubectl("apply", "-f", "-", input=POLICY % 11)
    assert wakes.wait(AT_ONCE_SECONDS)
    wakes.wait_for_silence()
    assert not wakes.wait(1), "nothing changed"
    installed.kubectl("delete", "ipsecpolicy", "watched")
    assert wakes.wait(AT_ONCE_SECONDS)


def test_watch_resumes_after_an_api_outage(installed: ControlPlane, wakes: WakeCounter) -> None:
    installed.stop()
    installed.start()
    wakes.wait_for_silence()
    assert _change_wakes(installed, wakes, range(12, 40)), "changes do not wake the process any more"


def test_secrets_of_one_namespace_wake_the_agent(installed: ControlPlane, tmp_path: Path) -> None:
    wakes = WakeCounter()
    kubeconfig = account_kubeconfig(installed, tmp_path, GATEWAY_NAMESPACE, AGENT)
    watching = KopfWatch([built_in("v1", "Secret")], str(kubeconfig), IPSEC_NAMESPACE)
    installed.kubectl("create", "secret", "generic", "watched", "-n", IPSEC_NAMESPACE)
    watching.start(wakes.wake)
    try:
        assert wakes.wait(60), "existing Secrets also wake the process"
        wakes.wait_for_silence()
        installed.kubectl("create", "secret", "generic", "elsewhere", "-n", SYSTEM_NAMESPACE)
        assert not wakes.wait(2), "a Secret of another namespace"
        installed.kubectl("delete", "secret", "watched", "-n", IPSEC_NAMESPACE)
        assert wakes.wait(AT_ONCE_SECONDS)
    finally:
        _end(watching)
        installed.kubectl("delete", "secret", "elsewhere", "-n", SYSTEM_NAMESPACE)


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Counts logins; intervals of minutes are shortened to a second."""
    # An open watch survives the token: only the next request is rejected.
    monkeypatch.setattr(kopfoperator, "_SERVER_TIMEOUT_SECONDS", 1)
    for module in (kopfoperator, login):
        monkeypatch.setattr(module, "_RETRY_SECONDS", 0.5)
    # Log records would keep references to kopf's exceptions, whose tracebacks would be printed during other tests.
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    logins = Mock(side_effect=login.credentials)
    monkeypatch.setattr(login, "credentials", logins)
    return logins


@pytest.fixture
def token(installed: ControlPlane, tmp_path: Path) -> Path:
    """A file with an agent's token, which is valid as long as Node `watching` exists."""
    make_node(installed, "watching")
    token = tmp_path / "token"
    token.write_text(token_of(installed, GATEWAY_NAMESPACE, AGENT, "watching"))
    return token


@contextmanager
def _watching(plane: ControlPlane, token: Path) -> Iterator[WakeCounter]:
    cluster = json.loads(plane.kubeconfig.read_text())["clusters"][0]["cluster"]
    kubeconfig = write_kubeconfig(token.with_name("kubeconfig"), cluster, {"tokenFile": token.name})
    wakes, watching = WakeCounter(), KopfWatch(resources(WATCHED), kubeconfig)
    watching.start(wakes.wake)
    try:
        assert _change_wakes(plane, wakes, range(40, 50))
        yield wakes
    finally:
        _end(watching)


def test_watch_survives_a_revoked_token(installed: ControlPlane, logins: Mock, token: Path) -> None:
    with _watching(installed, token) as wakes:
        installed.kubectl("delete", "node", "watching")
        wait_until(lambda: logins.call_count > 5, 60, "repeated logins to be rejected")
        wakes.wait_for_silence()  # what was listed at the start may have woken it since
        assert not _change_wakes(installed, wakes, (50,))
        token.write_text(token_of(installed, GATEWAY_NAMESPACE, AGENT))
        assert _change_wakes(installed, wakes, range(51, 60)), "changes do not wake the process any more"


def test_watch_survives_periodic_logins(
    installed: ControlPlane, logins: Mock, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "_LOGIN_SECONDS", 1)
    with _watching(installed, token) as wakes:
        wait_until(lambda: logins.call_count > 3, 60, "repeated logins")
        assert _change_wakes(installed, wakes, range(51, 60))


def _end(watching: KopfWatch) -> None:
    watching.stop()
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(60)
            assert not thread.is_alive()
    gc.collect()


def _change_wakes(plane: ControlPlane, wakes: WakeCounter, values: Iterable[int]) -> bool:
    """Whether one of these changes wakes within two seconds."""
    for value in values:
        plane.kubectl("apply", "-f", "-", input=POLICY % value)
        if wakes.wait(2):
            return True
    return False
