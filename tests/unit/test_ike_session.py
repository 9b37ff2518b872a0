"""A charon that is not running, does not answer, or exits during a call."""

import socket
import threading
from pathlib import Path

import pytest

from isthmus.adapters.strongswan import Vici, session
from isthmus.model.errors import Unavailable


class Listener:
    """A socket in charon's place that counts connections and closes the first few."""

    def __init__(self, path: Path, hang_up: int) -> None:
        self.came: list[socket.socket] = []
        self._hang_up = hang_up
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came.append(connection)
            if len(self.came) <= self._hang_up:
                connection.recv(4)
                connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self.came:
            connection.close()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(session, "_ANSWER_SECONDS", 1)
    return tmp_path / "vici"


def test_charon_not_running(path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        Vici(str(path)).view()


def test_unresponsive_charon(path: Path) -> None:
    listener = Listener(path, hang_up=0)
    try:
        with pytest.raises(Unavailable, match="no answer within 1 s"):
            Vici(str(path)).view()
        assert len(listener.came) == 1
    finally:
        listener.close()


def test_new_session_after_every_failed_call(path: Path) -> None:
    listener = Listener(path, hang_up=2)
    ike = Vici(str(path))
    try:
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"closed|reset|pipe|Broken"):
                ike.view()
        assert len(listener.came) == 2
    finally:
        listener.close()
