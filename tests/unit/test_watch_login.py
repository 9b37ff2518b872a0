"""Watches log in with the current content of the kubeconfig and of the token file."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from isthmus.adapters.kubernetes import KopfWatch, Resource, kopfoperator, login
from isthmus.adapters.kubernetes.login import credentials
from isthmus.model.errors import Invalid
from tests.fakes.apiserver import Answer, StubServer, serving, write_kubeconfig
from tests.testbed.host.process import wait_until

SERVER = "https://192.0.2.10:6443"
NODES = Resource("", "v1", "nodes")


@pytest.fixture
def refusing() -> Iterator[StubServer]:
    """An API server that rejects all tokens."""
    with serving(lambda _: Answer(401)) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (kopfoperator, login):
        monkeypatch.setattr(module, "_RETRY_SECONDS", 0.05)


def _end(watching: KopfWatch) -> None:
    watching.stop()
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(20)
            assert not thread.is_alive()
    gc.collect()


def test_token_in_the_kubeconfig(tmp_path: Path) -> None:
    info = credentials(write_kubeconfig(tmp_path / "kubeconfig", {"server": SERVER}, {"token": "written"}))
    assert (info.server, info.trust_env) == (SERVER, False)
    assert info.as_http_headers() == {"Authorization": "Bearer written"}


def test_token_file_is_read_at_every_login(tmp_path: Path) -> None:
    user = {"token": "written", "tokenFile": "token"}
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {"server": SERVER}, user)
    for current in ("first", "second"):
        (tmp_path / "token").write_text(f"{current}\n")
        assert credentials(kubeconfig).as_http_headers() == {"Authorization": f"Bearer {current}"}


def test_missing_token_file_is_an_error(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {"server": SERVER}, {"tokenFile": "absent"})
    with pytest.raises(Invalid, match="absent"):
        credentials(kubeconfig)


def test_proxy_of_the_kubeconfig_is_used_and_that_of_the_environment_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.99:3128")
    path = tmp_path / "kubeconfig"
    assert credentials(write_kubeconfig(path, {"server": SERVER}, {"token": "t"})).proxy_url is None
    cluster = {"server": SERVER, "proxy-url": "http://192.0.2.1:3128"}
    assert credentials(write_kubeconfig(path, cluster, {"token": "t"})).proxy_url == "http://192.0.2.1:3128"


@pytest.mark.usefixtures("impatient")
def test_watch_resumes_with_a_new_token(refusing: StubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Log records would keep references to kopf's exceptions, whose tracebacks would be printed during other tests.
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    token = tmp_path / "token"
    token.write_text("first")
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {"server": refusing.url}, {"tokenFile": "token"})
    watching = KopfWatch([NODES], kubeconfig)
    watching.start(lambda: None)
    try:
        wait_until(lambda: len(refusing.requests) > 2, 20, "repeated logins with the same token")
        token.write_text("second")
        wait_until(lambda: "Bearer second" in refusing.shown, 20, "the next token")
    finally:
        _end(watching)
    assert refusing.shown == {"Bearer first", "Bearer second"}


def test_rejected_login_is_not_repeated_at_once(
    refusing: StubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    logins = Mock(side_effect=credentials)
    monkeypatch.setattr(login, "credentials", logins)
    watching = KopfWatch([NODES], write_kubeconfig(tmp_path / "kubeconfig", {"server": refusing.url}, {"token": "t"}))
    watching.start(lambda: None)
    try:
        wait_until(lambda: logins.call_count, 20, "the first login, which is rejected")
        time.sleep(1)
        assert logins.call_count == 1
    finally:
        _end(watching)


@pytest.mark.usefixtures("impatient")
def test_watch_without_a_credential_logs_why_and_waits_for_one(
    refusing: StubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {"server": refusing.url}, {"tokenFile": "token"})
    watching = KopfWatch([NODES], kubeconfig)
    watching.start(lambda: None)
    try:
        wait_until(lambda: f"No such file or directory: '{tmp_path}/token'" in caplog.text, 20, "the reason")
        assert "Traceback" not in caplog.text
        (tmp_path / "token").write_text("first")
        wait_until(lambda: "Bearer first" in refusing.shown, 20, "the token")
    finally:
        _end(watching)
