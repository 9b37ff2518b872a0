"""Whether anything arrives from a gateway: IKE packets as charon counts them, and ICMP echo. Needs no ESP."""

from __future__ import annotations

import time

from isthmus.adapters.linux.ping import IcmpPing
from tests.kernel.node import KEY, Pair
from tests.kernel.openvswitch import inside, sh
from tests.testbed.host.process import wait_until


def test_ike_packets_are_counted_where_they_arrive(pair: Pair) -> None:
    for node in pair.nodes:
        node.block()
        node.ike.load(pair.connection(node), KEY)
    assert (received(pair, "a"), received(pair, "b")) == (0, 0)
    name = pair.connection(pair.a).name
    pair.a.ike.initiate(name)
    wait_until(lambda: received(pair, "a") and received(pair, "b"), 30, "packets in both directions")
    pair.a.ike.terminate(name)
    sh(
        """
        nft add table ip lost
        nft 'add chain ip lost arriving { type filter hook prerouting priority -400; }'
        nft add rule ip lost arriving udp sport 500 drop
        """,
        pair.a.name,
    )
    before = _at_rest(pair)
    view = pair.a.ike.view()
    pair.a.ike.initiate(name)
    wait_until(lambda: received(pair, "b") > before[1], 30, "a request")
    assert received(pair, "a") == before[0], "the answer is lost"
    assert pair.a.ike.view().ike_packets == view.ike_packets


def test_gateway_answers_icmp_echo_and_an_unused_address_does_not(pair: Pair) -> None:
    unused = f"{pair.b.address.rpartition('.')[0]}.250"
    only_the_gateway_answers(pair, {pair.b.address}, unused)


def test_gateway_answers_icmp_echo_over_ipv6_beside_ipv4(pair: Pair) -> None:
    found = {pair.a: "fd00:db8::1", pair.b: "fd00:db8::2"}
    for node, address in found.items():
        sh(f"ip addr add {address}/64 dev eth0 nodad", node.name)
    try:
        only_the_gateway_answers(pair, {pair.b.address, found[pair.b]}, "fd00:db8::250")
    finally:
        for node, address in found.items():
            sh(f"ip addr del {address}/64 dev eth0", node.name)


def only_the_gateway_answers(pair: Pair, addresses: set[str], unused: str) -> None:
    """The first attempts may be lost to the resolution of addresses; the unused one answers none of them."""
    asked = frozenset({*addresses, unused})

    def all_answer() -> bool:
        answering = inside(pair.a.name, lambda: IcmpPing().answering(asked, 1.0))
        assert answering <= addresses
        return answering == addresses

    wait_until(all_answer, 30, f"answers of {sorted(addresses)} alone")


def received(pair: Pair, name: str) -> int:
    node, other = (pair.a, pair.b) if name == "a" else (pair.b, pair.a)
    return node.ike.view().ike_packets[other.address]


def _at_rest(pair: Pair) -> tuple[int, int]:
    """The numbers for both nodes once no packet has been counted for a second: what had arrived before is counted."""
    while True:
        before = received(pair, "a"), received(pair, "b")
        time.sleep(1)
        if before == (received(pair, "a"), received(pair, "b")):
            return before
