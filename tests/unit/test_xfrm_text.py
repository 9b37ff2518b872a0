"""Parsing the output of `ip xfrm`."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.xfrm import BLOCK_PRIORITY, parse_associations, parse_blocks
from isthmus.model.errors import Unavailable
from isthmus.model.node.ipsec import BlockPolicy, SecurityAssociation

POLICIES = """\
src 192.0.2.1/32 dst 192.0.2.2/32 proto udp dport 14789 
\tdir out priority 366911 
\ttmpl src 0.0.0.0 dst 0.0.0.0
\t\tproto esp spi 0xc9faa116 reqid 2 mode transport
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp sport 14789 
\tdir out action block priority 900000 
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 14789 
\tdir in action block priority 900000 ptype main 
src 0.0.0.0/0 dst 192.0.2.9/32 proto icmp type 3 code 3 
\tdir out action block priority 900000 ptype main 
src 0.0.0.0/0 dst 192.0.2.9/32 proto icmp type 3 code 1 
\tdir out action block priority 900000 ptype main 
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 14789 
\tdir out action block priority 5 ptype main 
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 14790 
\tdir fwd action block priority 900000 ptype main 
src 10.0.0.0/8 dst 0.0.0.0/0 proto udp dport 14789 
\tdir in action block priority 900000 ptype main 
src 0.0.0.0/0 dst 0.0.0.0/0 proto tcp dport 14789 
\tdir in action block priority 900000 ptype main 
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 14789 
\tdir in action allow priority 900000 ptype main 
src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 14789 
\tdir in action block priority 900000 ptype main 
\tmark 0x1/0x1 
"""  # noqa: W291
STATES = """\
src 192.0.2.1 dst 192.0.2.2
\tproto esp spi 0xc9faa116 reqid 2 mode transport
\treplay-window 0 
\taead rfc4106(gcm(aes)) <<Keys hidden>> 128
\tanti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
\tsel src 192.0.2.1/32 dst 192.0.2.2/32 
src 192.0.2.2 dst 192.0.2.1
\tproto esp spi 0x000ede8f reqid 0 mode tunnel
\treplay-window 0 flag af-unspec
\tauth-trunc hmac(sha256) <<Keys hidden>> 128
\tenc cbc(aes) <<Keys hidden>>
\tanti-replay esn context:
\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0
\t replay_window 64, bitmap-length 2
\t 00000000 00000000 
src 192.0.2.1 dst 192.0.2.3
\tproto esp spi 0x00000000 reqid 2 mode transport
\treplay-window 0 
\tsel src 192.0.2.1/32 dst 192.0.2.3/32 proto udp sport 54363 dport 14789 dev eth0 
src 2001:db8::1 dst 2001:db8::2
\tproto comp spi 0x00001234 reqid 9 mode transport
\treplay-window 0 
\tcomp deflate 
"""  # noqa: W291


def test_only_our_block_policies_are_parsed() -> None:
    assert list(parse_blocks(POLICIES)) == [
        BlockPolicy("out", 14789, None),
        BlockPolicy("in", None, 14789),
        BlockPolicy("out", icmp_unreachable_to="192.0.2.9"),
    ]


def test_states_with_keys() -> None:
    assert list(parse_associations(STATES)) == [
        SecurityAssociation("192.0.2.1", "192.0.2.2", 0xC9FAA116, "esp", 2),
        SecurityAssociation("192.0.2.2", "192.0.2.1", 0x000EDE8F, "esp", 0),
        SecurityAssociation("2001:db8::1", "2001:db8::2", 0x1234, "comp", 9),
    ]


def test_empty_text() -> None:
    assert list(parse_blocks("")) == []
    assert list(parse_associations("")) == []


PORT = st.integers(1, 65535)
BLOCK = st.one_of(
    st.builds(BlockPolicy, st.sampled_from(["in", "out"]), PORT, st.none()),
    st.builds(BlockPolicy, st.sampled_from(["in", "out"]), st.none(), PORT),
)


def _print(block: BlockPolicy) -> str:
    end = f"sport {block.source_port}" if block.source_port else f"dport {block.destination_port}"
    return (
        f"src 0.0.0.0/0 dst 0.0.0.0/0 proto udp {end} \n"
        f"\tdir {block.direction} action block priority {BLOCK_PRIORITY} ptype main \n"
    )


@given(st.lists(BLOCK))
def test_block_policies_round_trip(blocks: list[BlockPolicy]) -> None:
    assert list(parse_blocks("".join(map(_print, blocks)))) == blocks


@given(st.text())
def test_any_text_yields_valid_block_policies_only(text: str) -> None:
    printed = {_print(block) for block in parse_blocks(text)}
    assert not printed


ADDRESS = st.ip_addresses().map(str)
ASSOCIATION = st.builds(
    SecurityAssociation,
    ADDRESS,
    ADDRESS,
    st.integers(0, 0xFFFFFFFF),
    st.sampled_from(["esp", "ah", "comp"]),
    st.integers(0, 0xFFFFFFFF),
)


def _print_state(association: SecurityAssociation, keyed: bool) -> str:
    keys = "\taead rfc4106(gcm(aes)) <<Keys hidden>> 128\n" if keyed else ""
    return (
        f"src {association.source} dst {association.destination}\n"
        f"\tproto {association.protocol} spi 0x{association.spi:08x} reqid {association.reqid} mode transport\n"
        f"\treplay-window 0 \n{keys}\tsel src {association.source} dst {association.destination} \n"
    )


@given(st.lists(st.tuples(ASSOCIATION, st.booleans())))
def test_states_round_trip(states: list[tuple[SecurityAssociation, bool]]) -> None:
    text = "".join(_print_state(association, keyed) for association, keyed in states)
    assert list(parse_associations(text)) == [association for association, keyed in states if keyed]


@given(st.text(), st.integers(0, len(STATES)), st.integers(0, len(STATES)))
def test_broken_text_is_rejected(noise: str, start: int, end: int) -> None:
    with suppress(Unavailable):
        list(parse_associations(STATES[:start] + noise + STATES[end:]))


def test_unparsable_text_is_rejected() -> None:
    with pytest.raises(Unavailable, match="cannot read"):
        list(parse_associations("src 192.0.2.1 dst 192.0.2.2\n\tproto esp reqid 2\n"))
