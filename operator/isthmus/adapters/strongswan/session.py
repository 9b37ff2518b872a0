"""A session with charon that opens itself again."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from vici import Session
from vici.exception import CommandException, DeserializationException, SessionException

from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.node.ipsec import IKE_CHILDREN, IkeConnection, IkeView

from . import messages
from .refusals import Refusals

T = TypeVar("T")

_ANSWER_SECONDS = 5
_TERMINATE_MILLISECONDS = "1000"
_NOTHING_LEFT = ("not found", "no matching", "terminating SA failed")


class Vici:
    """`ports.Ike`, at a Unix socket. For one thread: a session takes one request at a time."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._session: Session | None = None
        self._sessions = 0
        self._refusals: Refusals | None = None

    def view(self) -> IkeView:
        """Three questions, and charon's log. What tells of another charon is another session."""

        def view(session: Session) -> IkeView:
            told = messages.parse_view(
                f"session {self._sessions}", session.version(), session.list_conns(), session.list_sas()
            )
            return replace(told, refused=self._refused(told))

        return self._ask(view)

    def load(self, connection: IkeConnection, key: bytes) -> None:
        """The key first: once the connection is there, its traps may need it."""

        def load(session: Session) -> None:
            session.load_shared(messages.shared_key(connection, key))
            session.load_conn(messages.connection(connection))

        self._ask(load)
        if self._refusals is not None:
            self._refusals.forget(connection.name)

    def unload(self, name: str) -> None:
        """Traps first: charon does not take them along with the connection. SAs last: nothing revives them then."""

        def unload(session: Session) -> None:
            for child in sorted(messages.loaded_children(session.list_conns({"ike": name}))):
                with _may_be_gone():
                    session.uninstall({"ike": name, "child": child})
            with _may_be_gone():
                session.unload_conn({"name": name})
            with _may_be_gone():
                session.unload_shared({"id": name})
            _terminate(session, {"ike": name})

        self._ask(unload)

    def initiate(self, name: str) -> None:
        """By what charon has loaded and installed; a negative timeout makes it answer at once."""

        def initiate(session: Session) -> None:
            loaded = messages.loaded_children(session.list_conns({"ike": name}))
            sas = list(session.list_sas({"ike": name}))
            # The peer may have refused a child for settings that it has changed meanwhile: in that IKE SA it refuses it
            # for ever.
            stuck = messages.stuck_associations(sas, loaded)
            for number in stuck:
                _terminate(session, {"ike-id": number})
            if stuck:
                sas = list(session.list_sas({"ike": name}))
            if messages.overloaded(sas):  # charon queues what is asked again, as long as the peer is silent
                return
            for child in sorted(loaded - messages.installed_children(sas)):
                _drain(session.initiate({"ike": name, "child": child, "timeout": -1}))

        self._ask(initiate)

    def retire(self, name: str) -> None:
        """By what charon has loaded and installed."""

        def retire(session: Session) -> None:
            loaded = messages.loaded_children(session.list_conns({"ike": name}))
            sas = list(session.list_sas({"ike": name}))
            if loaded <= messages.installed_children(sas):
                for number in messages.superseded_associations(sas, loaded):
                    _terminate(session, {"ike-id": number})

        self._ask(retire)

    def _ask(self, question: Callable[[Session], T]) -> T:
        """Ask; once more on a new session where the open one has lost its charon."""
        try:
            if self._session is not None:
                with suppress(OSError):
                    return question(self._session)
            self._session = self._connect()
            return question(self._session)
        except CommandException as error:
            raise Invalid(f"charon: {error}") from error
        except BlockingIOError as error:
            self._session = None
            raise Unavailable(f"charon at {self._path}: no answer within {_ANSWER_SECONDS} s") from error
        except (OSError, SessionException, DeserializationException) as error:
            self._session = None
            raise Unavailable(f"charon at {self._path}: {error}") from error

    def _refused(self, told: IkeView) -> frozenset[str]:
        """Connections whose keys were refused and that have not come up since."""
        if self._refusals is None:
            self._refusals = Refusals(self._open())
        up = {name for name, state in told.states.items() if state.children_installed == IKE_CHILDREN}
        for name in up:
            self._refusals.forget(name)
        return self._refusals.read() - up

    def _connect(self) -> Session:
        self._refusals = None
        session = self._open()
        self._sessions += 1
        return session

    def _open(self) -> Session:
        connection = socket.socket(socket.AF_UNIX)
        # Deadlines of the kernel's: the package lifts Python's own while it reads an answer.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", _ANSWER_SECONDS, 0))
        connection.connect(self._path)
        return Session(connection)


def _terminate(session: Session, which: dict[str, str]) -> None:
    """Forced, as the peer may be gone: it has a second to answer before charon forgets the SA by itself."""
    with _may_be_gone():
        _drain(session.terminate(which | {"force": "yes", "timeout": _TERMINATE_MILLISECONDS}))


def _drain(answers: Iterable[object]) -> None:
    """Charon's log of a command comes before its result."""
    for _ in answers:
        pass


@contextmanager
def _may_be_gone() -> Iterator[None]:
    try:
        yield
    except CommandException as error:
        if not any(words in str(error) for words in _NOTHING_LEFT):
            raise
