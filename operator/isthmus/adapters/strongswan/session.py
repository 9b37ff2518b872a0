"""A VICI session that reconnects by itself."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from vici import Session
from vici.exception import CommandException, DeserializationException, SessionException

from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.node.ipsec import CertificateChain, CertificateRef, IkeConnection, IkeView
from isthmus.model.proposals import additional_key_exchange

from . import messages
from .authentication import AuthenticationFailures
from .inforce import with_what_is_in_force

T = TypeVar("T")

_ANSWER_SECONDS = 5
_TERMINATE_MILLISECONDS = "1000"
_NOT_FOUND_TEXTS = ("not found", "no matching", "terminating SA failed")


class Vici:
    """`ports.Ike` over a Unix socket. Not thread-safe: a session takes one request at a time."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._session: Session | None = None
        self._sessions = 0
        self._failures: AuthenticationFailures | None = None
        self._key_exchanges: frozenset[str] = frozenset()
        """Those that this session's charon can do."""
        self._chains: dict[str, CertificateChain] = {}
        """The certificates with which each connection was loaded."""

    def view(self) -> IkeView:
        """By three requests, and charon's log. A new session stands for a new instance of charon.

        What algorithms it has is asked once in a session.
        """

        def view(session: Session) -> IkeView:
            version, connections, sas = session.version(), list(session.list_conns()), list(session.list_sas())
            view = messages.parse_view(f"session {self._sessions}", version, connections, sas)
            view = with_what_is_in_force(view, sas, datetime.now(UTC))
            up = messages.complete(connections, sas)
            log = self._log_of(up)
            refused = log.read() - up
            packets = log.packets(messages.remote_addresses(connections))
            revoked = log.revoked - up
            return replace(
                view,
                key_exchanges=self._key_exchanges,
                authentication_failed=refused,
                revoked=revoked,
                ike_packets=packets,
            )

        return self._ask(view)

    def load(self, connection: IkeConnection, key: bytes, chain: CertificateChain = messages.NO_CERTIFICATES) -> None:
        """Load the keys first: once the connection is loaded, its trap policies may need them.

        `Invalid` for an additional key exchange that charon does not have: older ones would discard the connection,
        newer ones agree on it and then fail.
        """

        def load(session: Session) -> None:
            self._require_known(connection)
            if key or not chain.certificate:
                session.load_shared(messages.shared_key(connection, key))
            if chain.private_key:
                session.load_key(messages.private_key(chain))
            session.load_conn(messages.connection(connection, chain))
            self._chains[connection.name] = replace(chain, private_key=b"")
            if not key and chain.certificate:
                with _ignore_missing():
                    session.unload_shared({"id": connection.name})

        self._ask(load)
        if self._failures is not None:
            self._failures.forget(connection.name)

    def _require_known(self, connection: IkeConnection) -> None:
        wanted = {*map(additional_key_exchange, (*connection.ike_proposals, *connection.esp_proposals))} - {None}
        if not wanted <= self._key_exchanges:
            raise Invalid(f"charon cannot do the additional key exchange of {connection.name}")

    def load_revocation_list(self, content: bytes) -> None:
        """See `ports.Ike`."""
        self._ask(lambda session: session.load_cert(messages.revocation_list(content)))

    def revocation_lists(self) -> frozenset[bytes]:
        """By `list-certs`, after what is only in the cache, where it may stay for a while, was removed from there."""
        return self._ask(lambda session: _listed(session, {"type": "X509_CRL"}))

    def authorities(self) -> frozenset[bytes]:
        """Likewise."""
        return self._ask(lambda session: _listed(session, {"type": "X509", "flag": "CA"}))

    def certificates(self) -> int:
        """By `list-certs`, which names those in memory and those in the cache."""
        return self._ask(lambda session: sum(1 for _ in session.list_certs()))

    def remove_credentials(self) -> None:
        """By `clear-creds`, which empties the cache as well: VICI cannot unload a single certificate."""
        self._ask(lambda session: session.clear_creds())

    def unload(self, name: str) -> None:
        """Remove traps first, since charon keeps them without the connection; SAs last, so that none is renewed."""

        def unload(session: Session) -> None:
            for child in sorted(messages.loaded_children(session.list_conns({"ike": name}))):
                with _ignore_missing():
                    session.uninstall({"ike": name, "child": child})
            with _ignore_missing():
                session.unload_conn({"name": name})
            with _ignore_missing():
                session.unload_shared({"id": name})
            _terminate(session, {"ike": name})

        self._ask(unload)

    def initiate(self, name: str) -> None:
        """See `ports.Ike`. A negative timeout makes charon answer at once."""

        def initiate(session: Session) -> None:
            loaded = messages.loaded_children(session.list_conns({"ike": name}))
            sas = list(session.list_sas({"ike": name}))
            # A peer that refused a child keeps refusing it in that IKE SA, even if its settings have changed since.
            stuck = messages.stuck_associations(sas, loaded)
            for number in stuck:
                _terminate(session, {"ike-id": number})
            if stuck:
                sas = list(session.list_sas({"ike": name}))
            if messages.overloaded(sas):  # charon queues every repeated request while the peer is silent
                return
            _initiate(session, name, loaded - messages.installed_children(sas))

        self._ask(initiate)

    def take_over(self, name: str, children: frozenset[str]) -> None:
        """See `ports.Ike`."""

        def take_over(session: Session) -> None:
            loaded = messages.loaded_children(session.list_conns({"ike": name}))
            installed = messages.installed_children(session.list_sas({"ike": name}))
            _initiate(session, name, _of(loaded - installed, children))

        self._ask(take_over)

    def load_apart(self, connection: IkeConnection) -> None:
        """See `ports.Ike`. By a setting that no peer sees."""
        self._ask(lambda session: self._set_apart(session, connection))

    def initiate_in_newest(self, connection: IkeConnection, children: frozenset[str]) -> None:
        """See `ports.Ike`. charon chooses the IKE SA by the settings with which it was established."""

        def initiate(session: Session) -> None:
            *older, newest = [0, *messages.numbers(session.list_sas({"ike": connection.name}))]
            loaded = list(session.list_conns({"ike": connection.name}))
            apart_from = messages.loaded_apart_from(loaded).get(connection.name, -1)
            if not max(older, default=0) <= apart_from < newest:
                self._set_apart(session, connection)
            _initiate(session, connection.name, _of(messages.loaded_children(loaded), children))

        self._ask(initiate)

    def _set_apart(self, session: Session, connection: IkeConnection) -> None:
        """That needs its certificates: what another process has loaded with some stays as it is."""
        chain = self._chains.get(connection.name, messages.NO_CERTIFICATES)
        if not isinstance(connection.credential, CertificateRef) or chain != messages.NO_CERTIFICATES:
            existing = messages.numbers(session.list_sas({"ike": connection.name}))
            session.load_conn(messages.connection(connection, chain, apart_from=max(existing, default=None)))

    def retire(self, name: str, numbers: frozenset[int] = frozenset(), children: frozenset[int] = frozenset()) -> None:
        """See `ports.Ike`."""

        def retire(session: Session) -> None:
            loaded = messages.loaded_children(session.list_conns({"ike": name}))
            sas = list(session.list_sas({"ike": name}))
            superseded = numbers.union(map(int, messages.superseded_associations(sas, loaded)))
            if loaded <= messages.installed_children(messages.without(sas, superseded)):
                for number in sorted(superseded):
                    _terminate(session, {"ike-id": str(number)})
                for number in sorted(children):
                    _terminate(session, {"child-id": str(number)})

        self._ask(retire)

    def rekey(self, name: str, spis: frozenset[int]) -> None:
        """By charon's own numbers of the children; it answers at once."""

        def rekey(session: Session) -> None:
            for number in messages.children_with(session.list_sas({"ike": name}), spis):
                with _ignore_missing():
                    session.rekey({"child-id": number})

        self._ask(rekey)

    def terminate(self, name: str) -> None:
        """Forced: the peer may be gone."""
        self._ask(lambda session: _terminate(session, {"ike": name}))

    def _ask(self, question: Callable[[Session], T]) -> T:
        """Call `question` with a session; once more with a new one if the open one was disconnected."""
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

    def _log_of(self, up: frozenset[str]) -> AuthenticationFailures:
        """What charon's log says, without the failures of connections that have come up since."""
        if self._failures is None:
            self._failures = AuthenticationFailures(self._open)
        for name in up:
            self._failures.forget(name)
        return self._failures

    def _connect(self) -> Session:
        self._failures = None
        session = self._open()
        self._key_exchanges = messages.key_exchanges(session.get_algorithms())
        self._sessions += 1
        return session

    def _open(self) -> Session:
        connection = socket.socket(socket.AF_UNIX)
        # Kernel timeouts, since the vici package disables Python's while it reads an answer.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", _ANSWER_SECONDS, 0))
        connection.connect(self._path)
        return Session(connection)


def _terminate(session: Session, which: dict[str, str]) -> None:
    """Terminate SAs; forced after a second, as the peer may not answer."""
    with _ignore_missing():
        _drain(session.terminate(which | {"force": "yes", "timeout": _TERMINATE_MILLISECONDS}))


def _initiate(session: Session, name: str, children: Iterable[str]) -> None:
    for child in sorted(children):
        _drain(session.initiate({"ike": name, "child": child, "timeout": -1}))


def _of(loaded: Iterable[str], children: frozenset[str]) -> list[str]:
    """Those loaded children, whose names end in a digest, that have one of these names."""
    return [child for child in loaded if child.partition("-")[0] in children]


def _drain(answers: Iterable[object]) -> None:
    """Consume the log messages that charon streams before a command's result."""
    for _ in answers:
        pass


def _listed(session: Session, selected: dict[str, str]) -> frozenset[bytes]:
    session.flush_certs({"type": selected["type"]})
    return frozenset(bytes(each["data"]) for each in session.list_certs(selected))


@contextmanager
def _ignore_missing() -> Iterator[None]:
    try:
        yield
    except CommandException as error:
        if not any(words in str(error) for words in _NOT_FOUND_TEXTS):
            raise
