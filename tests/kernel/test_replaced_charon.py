"""A killed charon is replaced without loss: its SAs carry the traffic until its successor has its own."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from isthmus.adapters.strongswan import messages
from isthmus.core.node import ipsec
from isthmus.model.node.ipsec import IkeConnection
from tests.kernel.node import KEY, Node, Pair
from tests.testbed.host.process import wait_until


@pytest.mark.parametrize("replaced", ["a", "b"])
def test_no_packet_is_lost(pair: Pair, replaced: str) -> None:
    pair.protect()
    node, peer = pair.nodes if replaced == "a" else pair.nodes[::-1]
    wanted, of_peer = pair.connection(node), pair.connection(peer).name
    with nothing_lost(pair):
        replace_charon(pair, node)
        node.ike.initiate_takeover(wanted.name)
        wait_until(lambda: peer.ike.view().states[of_peer].peer_took_over, 20, "the peer to notice")
        peer.ike.initiate_counterpart(of_peer)
        assert not peer.ike.view().states[of_peer].peer_took_over
        wait_until(lambda: ipsec.up(wanted, node.ike.view()), 20, "SAs of the new charon")
        assert ipsec.stale_associations(*node.views(), [wanted]) == frozenset(), "the peer may still use them"
        remove_old_associations(pair, node)
        wait_until(lambda: len(peer.associations()) == 4, 20, "only new SAs at the peer")
    assert pair.up()
    for each in pair.nodes:
        state = each.ike.view().states[pair.connection(each).name]
        assert (state.superseded, state.peer_took_over) == (False, False)


def test_older_association_ends_if_the_new_charon_negotiates_all_children(pair: Pair) -> None:
    """As it does when the peer's agent does not answer: of a release before, or stopped."""
    pair.protect()
    wanted, of_b = pair.connection(pair.a), pair.connection(pair.b).name
    replace_charon(pair, pair.a)
    pair.a.ike.initiate(wanted.name)
    wait_until(lambda: pair.b.ike.view().states[of_b].superseded, 20, "the older SAs of the peer to be superseded")
    assert not pair.b.ike.view().states[of_b].peer_took_over
    pair.b.ike.retire(of_b)
    wait_until(lambda: len(pair.b.associations()) == 4, 10, "only new SAs at the peer")
    remove_old_associations(pair, pair.a)
    assert pair.up()
    assert pair.a.ping(pair.tunnels()).received == 5


def test_peer_that_replaces_by_itself_keeps_its_associations_meanwhile(pair: Pair) -> None:
    """As charon of releases before did: it gets no INITIAL_CONTACT, and ends the older IKE SA after 10 s."""
    for node in pair.nodes:
        node.block()
    of_peer = pair.connection(pair.b)
    pair.b.ike.load(of_peer, KEY)
    load_replacing(pair.b, of_peer)
    pair.a.ike.load(pair.connection(pair.a), KEY)
    pair.a.ike.initiate(pair.connection(pair.a).name)
    wait_until(pair.up, 10, "associations")
    before = pair.b.associations()
    replace_charon(pair, pair.a)
    pair.a.ike.initiate_takeover(pair.connection(pair.a).name)
    wait_until(lambda: len(pair.b.associations()) == 6, 10, "a child of the new charon")
    pair.a.ike.initiate(pair.connection(pair.a).name)
    wait_until(lambda: ipsec.up(pair.connection(pair.a), pair.a.ike.view()), 10, "both children")
    assert before <= pair.b.associations()
    wait_until(lambda: len(pair.b.associations()) == 4, 30, "only new SAs at the peer")
    assert "INIT_CONTACT" not in pair.b.log.read_text()


def replace_charon(pair: Pair, node: Node) -> None:
    """Kill the node's charon, start another one, and load its connections."""
    wanted = pair.connection(node)
    node.end_charon(signal.SIGKILL)
    node.start_charon()
    # Its predecessor had this connection later, or never: what it numbers by itself would have other numbers now.
    node.ike.load(to_another_gateway(wanted), KEY)
    node.ike.load(wanted, KEY)
    assert ipsec.inherited(*node.views(), [wanted]) == {wanted.name}


def remove_old_associations(pair: Pair, node: Node) -> None:
    """Remove, as the agent does, what the former charon has left, as soon as neither side uses it."""
    wanted = pair.connection(node)
    wait_until(lambda: ipsec.succeeded(wanted, node.ike.view()), 20, "the peer to use the new SAs")
    node.remove_associations(ipsec.stale_associations(*node.views(), [wanted]))
    assert len(node.associations()) == 4


def to_another_gateway(connection: IkeConnection) -> IkeConnection:
    """A connection to a gateway that does not answer."""
    ends = replace(connection.ends, remote_address="192.0.2.3", remote_identity="gw-c.cloud-c")
    return replace(connection, name="istanother", ends=ends)


def load_replacing(node: Node, connection: IkeConnection) -> None:
    """Load the connection into the node's charon again, with another policy of uniqueness."""
    (settings,) = messages.connection(connection).values()
    node.ike._ask(lambda session: session.load_conn({connection.name: settings | {"unique": "replace"}}))


@contextmanager
def nothing_lost(pair: Pair) -> Iterator[None]:
    """Ping through the tunnel every 10 ms for the duration of the block, and require that all requests are answered."""
    words = ["ip", "netns", "exec", "a", "ping", "-ni", "0.01", pair.tunnels()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as ping:
        try:
            yield
        finally:
            ping.send_signal(signal.SIGINT)
            output, _ = ping.communicate(timeout=10)
    answered = [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", output)]
    assert len(answered) > 100
    missing = sorted(set(range(1, answered[-1] + 1)) - set(answered))
    assert not missing, f"{len(missing)} of {answered[-1]} lost: {missing[:20]}"
