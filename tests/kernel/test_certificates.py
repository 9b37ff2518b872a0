"""Certificates with two charons: rotation, refusals while traffic goes on, revocation, and that no key leaks."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from isthmus.adapters.strongswan import Vici
from isthmus.agent.credentials import Credentials
from isthmus.core.node import credentials, ipsec
from isthmus.core.node.credentials import Usable
from isthmus.core.node.plan import NodePlan
from isthmus.model import proposals
from isthmus.model.node.inputs import CertificateEntries, Key, NodeInputs
from isthmus.model.node.ipsec import CertificateRef, IkeConnection
from tests.authority import Authority, Issued
from tests.kernel.node import AGREEMENT, KEY, Node, Pair
from tests.kernel.openvswitch import sh
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

_ATTEMPTS_SECONDS = 60


@dataclass
class Side:
    """What one cloud has: how it authenticates itself, and its Secret."""

    node: Node
    authentication: str = "PSK"
    own: Issued | None = None
    authorities: bytes = b""
    revocation_lists: bytes = b""
    version: int = 1

    def inputs(self) -> NodeInputs:
        entries = CertificateEntries(
            self.own.certificate if self.own else b"",
            self.own.private_key if self.own else b"",
            self.authorities,
            self.revocation_lists,
            str(self.version),
        )
        name = self.node.name
        return NodeInputs(
            node=f"gw-{name}",
            cloud_id=f"cloud-{name}",
            gateway_cidrs=(f"{self.node.address}/32",),
            keys={"key": Key(KEY, "1")},
            certificates={"key": entries},
        )


@dataclass
class Clouds:
    """Two nodes of a pair with what each cloud has, and all keys that were ever made."""

    pair: Pair
    sides: dict[str, Side]
    made: list[Issued] = field(default_factory=list)

    def issue(self, name: str, authority: Authority, san: str = "", ends_in: timedelta = timedelta(days=90)) -> Issued:
        """A certificate for the gateway of that node."""
        issued = authority.issue(san or f"gw-{name}.cloud-{name}", begins=-timedelta(days=2), ends=ends_in)
        self.made.append(issued)
        return issued

    def planned(self, name: str) -> tuple[IkeConnection, NodeInputs]:
        """The connection that follows from both, planned as the agent does."""
        side, other = self.sides[name], self.sides["b" if name == "a" else "a"]
        agreement = replace(
            AGREEMENT,
            own_authentication=side.authentication,  # type: ignore[arg-type]
            peer_authentication=other.authentication,  # type: ignore[arg-type]
        )
        inputs, connection = side.inputs(), self.pair.connection(side.node, agreement)
        found = credentials.credential_of(inputs, self.pair.peer(side.node), agreement)
        assert isinstance(found, Usable), found
        return replace(connection, credential=found.ref), inputs

    def load(self, *names: str) -> None:
        for name in names or ("b", "a"):
            connection, inputs = self.planned(name)
            ike = self.sides[name].node.ike
            for content in credentials.revocation_lists((connection,), inputs):
                ike.load_revocation_list(content)
            ike.load(connection, *credentials.secrets_of(connection, inputs))

    def up(self) -> bool:
        return all(self._is_up(name) for name in self.sides)

    def _is_up(self, name: str) -> bool:
        return ipsec.up(self.planned(name)[0], self.sides[name].node.ike.view())

    def settle(self) -> None:
        """Load both, wait for new SAs beside the old ones, and retire those."""
        self.load()
        changed = next((name for name in self.sides if not self._is_up(name)), "a")
        ike = self.sides[changed].node.ike
        _attempt(ike, self.planned(changed)[0].name, self.up, "SAs of what was loaded")
        for name, side in self.sides.items():
            side.node.ike.retire(self.planned(name)[0].name)
        wait_until(self.is_settled, 30, "the former SAs to go")

    def is_settled(self) -> bool:
        views = [side.node.ike.view() for side in self.sides.values()]
        return self.up() and not any(state.superseded for view in views for state in view.states.values())


@pytest.fixture
def clouds(pair: Pair) -> Clouds:
    """Both clouds connected by the pre-shared key, with a tunnel and blocks."""
    made = Clouds(pair, {node.name: Side(node) for node in pair.nodes})
    for node in pair.nodes:
        node.block()
    pair.tunnels()
    made.settle()
    wait_until(lambda: pair.a.ping("10.99.0.2", 1).received == 1, 30, "the tunnel")
    return made


@contextmanager
def _traffic(clouds: Clouds, lost_at_most: int) -> Iterator[None]:
    """Traffic goes on meanwhile, and nothing leaves in the clear."""
    script = "ping -nq -i 0.02 -w 60 10.99.0.2"
    with clouds.pair.wire() as wire:
        ping = subprocess.Popen(
            ["ip", "netns", "exec", "a", *script.split()], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            yield
            time.sleep(0.5)
        finally:
            ping.send_signal(signal.SIGINT)
            output, _ = ping.communicate(timeout=30)
        summary = wire.summary()
    summary.require_protected()
    assert summary.counts[Traffic.ESP] > 0
    line = next(line for line in output.splitlines() if "transmitted" in line).split()
    assert int(line[0]) >= 5
    assert int(line[0]) - int(line[3]) - 1 <= lost_at_most, output  # the last request may be outstanding


def _both_by_certificate(clouds: Clouds, authority: Authority) -> None:
    for name, side in clouds.sides.items():
        side.authentication, side.own, side.authorities = (
            "Certificate",
            clouds.issue(name, authority),
            (authority.certificate),
        )
    clouds.settle()


def test_from_the_key_to_certificates_and_to_another_authority(clouds: Clouds) -> None:
    """One cloud after the other; a new certificate; a new CA with overlap: SAs beside SAs, each time."""
    first, second = Authority("one"), Authority("two")
    a, b = clouds.sides["a"], clouds.sides["b"]
    b.authorities = first.certificate
    a.authentication, a.own = "Certificate", clouds.issue("a", first)
    with _traffic(clouds, lost_at_most=60):
        clouds.settle()  # a by certificate, b by key
        a.authorities = first.certificate
        b.authentication, b.own = "Certificate", clouds.issue("b", first)
        clouds.settle()  # both by certificate
        a.own = clouds.issue("a", first)
        clouds.settle()  # a new certificate of one side
        a.authorities = b.authorities = first.certificate + second.certificate
        clouds.settle()  # both CAs
        a.own, b.own = clouds.issue("a", second), clouds.issue("b", second)
        clouds.settle()  # certificates of the new CA
        a.authorities = b.authorities = second.certificate
        clouds.settle()  # the new CA alone
    assert_no_secret_anywhere(clouds)


def test_a_refused_certificate_leaves_existing_sas(clouds: Clouds) -> None:
    trusted, other = Authority("trusted"), Authority("other")
    _both_by_certificate(clouds, trusted)
    between = Authority("between", issuer=trusted)
    day = timedelta(days=1)
    refused = {
        "another name": trusted.issue("gw-x.cloud-b"),
        "another authority": other.issue("gw-b.cloud-b"),
        "expired": trusted.issue("gw-b.cloud-b", -9 * day, -day),
        "not yet valid": trusted.issue("gw-b.cloud-b", day),
        "not directly below the authority": between.issue("gw-b.cloud-b"),
    }
    ike, wanted = clouds.pair.b.ike, clouds.planned("b")[0]
    existing = ike.view().states[wanted.name].spis
    for number, (what, wrong) in enumerate(refused.items()):
        clouds.made.append(wrong)
        with _traffic(clouds, lost_at_most=0):
            _load_regardless(clouds, wrong, str(number))
            _attempt(ike, wanted.name, lambda: wanted.name in ike.view().authentication_failed, f"refusal: {what}")
        assert existing <= ike.view().states[wanted.name].spis, what
        assert not ike.view().revoked | clouds.pair.a.ike.view().revoked, what
        clouds.load("b")
    assert clouds.is_settled()
    assert_no_secret_anywhere(clouds)


def _load_regardless(clouds: Clouds, wrong: Issued, number: str) -> None:
    """A certificate that the agent may not have refused, since only the peer's charon can tell."""
    wanted, inputs = clouds.planned("b")
    assert isinstance(wanted.credential, CertificateRef)
    key, chain = credentials.secrets_of(wanted, inputs)
    clouds.pair.b.ike.load(
        replace(wanted, credential=replace(wanted.credential, certificate=number * 64)),
        key,
        replace(chain, certificate=wrong.certificate, private_key=wrong.private_key),
    )


def _attempt(ike: Vici, name: str, done: Callable[[], bool], what: str) -> None:
    """Initiate until it is done, as the agent does: of charon's log a part may be missed while it is long."""
    ends_at = time.monotonic() + _ATTEMPTS_SECONDS
    while time.monotonic() < ends_at:
        ike.initiate(name)
        with suppress(TimeoutError):
            wait_until(done, 5, what)
            return
    raise TimeoutError(what)


def test_a_revoked_peer_is_noticed_by_either_side(clouds: Clouds) -> None:
    authority = Authority("one")
    _both_by_certificate(clouds, authority)
    serials: list[int] = []
    for side, other in permutations(clouds.sides.values(), 2):
        assert other.own is not None
        ike = side.node.ike
        before = clouds.planned(side.node.name)[0]
        serials.append(other.own.serial)
        side.revocation_lists = authority.revoke(serials)
        clouds.load(side.node.name)
        _attempt(ike, before.name, lambda: before.name in ike.view().revoked, "the revocation")  # noqa: B023
        assert ike.view().states[before.name].superseded
        ike.terminate(before.name)
        wait_until(lambda: not side.node.associations(), 30, "no SAs")  # noqa: B023
        with clouds.pair.wire() as wire:
            assert clouds.pair.a.ping("10.99.0.2", 2).received == 0
            assert set(wire.udp_ports()) <= {500}
        other.own = clouds.issue(other.node.name, authority)
        clouds.settle()
        assert not ike.view().revoked
        wait_until(lambda: clouds.pair.a.ping("10.99.0.2", 1).received == 1, 30, "the tunnel with a new certificate")


@pytest.mark.parametrize("copied", [False, True])
def test_a_copy_of_another_peers_ca_does_not_let_a_revoked_peer_in(clouds: Clouds, copied: bool) -> None:
    """Of its name or its key identifier, with a list of a number that the other one never reaches."""
    authority = Authority("one")
    _both_by_certificate(clouds, authority)
    b, ike = clouds.sides["b"], clouds.pair.b.ike
    agent = Credentials(ike)
    _follow(agent, ike, *clouds.planned("b"))
    evil = Authority("evil", copied=authority) if copied else Authority("one")
    hostile = CertificateEntries(b"", b"", evil.certificate, evil.revoke([], 2**60), "1")
    assert clouds.sides["a"].own is not None
    for serials in ([], [clouds.sides["a"].own.serial]):
        b.revocation_lists = authority.revoke(serials)
        connection, inputs = clouds.planned("b")
        assert isinstance(connection.credential, CertificateRef)
        of_evil = replace(connection.credential, secret_name="evil", authorities="evil", revoked="")
        other = replace(connection, name="istother", credential=of_evil)
        inputs = replace(inputs, certificates={"evil": hostile, **inputs.certificates})
        _follow(agent, ike, other, inputs, connection)
        assert agent.problem(other, inputs) is not None
        assert agent.problem(connection, inputs) is None
        ike.load(connection, *credentials.secrets_of(connection, inputs))
    _attempt(ike, connection.name, lambda: connection.name in ike.view().revoked, "the revocation")


def test_a_list_of_a_new_authority_with_the_name_of_the_old_one_is_in_force(clouds: Clouds) -> None:
    """Its numbers begin again."""
    old, new = Authority("same"), Authority("same")
    _both_by_certificate(clouds, old)
    a, b, ike = clouds.sides["a"], clouds.sides["b"], clouds.pair.b.ike
    agent = Credentials(ike)
    b.revocation_lists = old.revoke([], 7)
    _follow(agent, ike, *clouds.planned("b"))
    clouds.settle()
    a.own = clouds.issue("a", new)
    b.authorities, b.revocation_lists = new.certificate, new.revoke([a.own.serial], 1)
    connection, inputs = clouds.planned("b")
    _follow(agent, ike, connection, inputs)
    assert agent.problem(connection, inputs) is None
    assert ike.revocation_lists() == frozenset(credentials.revocation_lists((connection,), inputs))
    clouds.load("b", "a")
    _attempt(ike, connection.name, lambda: connection.name in ike.view().revoked, "the revocation")


def _follow(agent: Credentials, ike: Vici, first: IkeConnection, inputs: NodeInputs, *others: IkeConnection) -> None:
    connections = (first, *others)
    agent.follow(NodePlan(connections=connections), inputs, frozenset(c.name for c in connections), ike.view())


def test_old_certificates_are_removed_from_charon_and_sas_stay(clouds: Clouds) -> None:
    authority, ike = Authority("one"), clouds.pair.a.ike
    _both_by_certificate(clouds, authority)
    for _ in range(3):
        clouds.sides["a"].own = clouds.issue("a", authority)
        clouds.settle()
    many = ike.certificates()
    connection, inputs = clouds.planned("a")
    needed = credentials.certificates_needed((connection,), inputs)
    assert many > needed
    with _traffic(clouds, lost_at_most=0):
        ike.remove_credentials()
        clouds.load("a")
        assert ike.certificates() <= needed
    assert clouds.is_settled()
    clouds.sides["b"].own = clouds.issue("b", authority)
    clouds.settle()


def test_charon_knows_every_algorithm_that_a_policy_may_have(pair: Pair) -> None:
    """It discards a connection with one that it does not know. ML-KEM needs a newer one than distributions have."""
    for cipher in proposals.ENCRYPTION:
        for prf in proposals.PSEUDO_RANDOM_FUNCTIONS:
            offered = tuple(f"{cipher}-{prf}-{group}" for group in proposals.GROUPS)
            esp = tuple(f"{cipher}-{group}" for group in proposals.GROUPS)
            connection = replace(pair.connection(pair.b), ike_proposals=offered, esp_proposals=esp)
            pair.b.ike.load(connection, KEY)
            assert pair.b.ike.view().loaded == {connection.name: connection.digest}


def assert_no_secret_anywhere(clouds: Clouds) -> None:
    """Neither a log nor a file nor a command line has a part of any private key, or the pre-shared key."""
    canaries = [KEY, *(canary for issued in clouds.made for canary in issued.canaries)]
    assert len(canaries) > 4
    directory = clouds.pair.a.log.parent
    assert b"IKE" in clouds.pair.a.log.read_bytes()
    contents = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    contents += [_command_line(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    contents += [sh("ip xfrm policy; swanctl --help 2>&1 || true", node.name).encode() for node in clouds.pair.nodes]
    for canary in canaries:
        assert not any(canary in content for content in contents)


def _command_line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended
