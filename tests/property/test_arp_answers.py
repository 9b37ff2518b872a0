"""Each known address has a flow of its own."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node.answers import network_answers
from isthmus.model.node.flows import KnownAddress

LOWEST = int(IPv4Address("10.20.0.0"))
numbers = st.integers(LOWEST, LOWEST + 12)
macs = st.sampled_from(("fa:16:3e:00:00:01", "fa:16:3e:00:00:02"))


@given(st.lists(st.tuples(numbers, macs), max_size=12), numbers, macs)
def test_one_address_has_its_own_flows_that_no_other_changes(
    entries: list[tuple[int, str]], address: int, mac: str
) -> None:
    """Also if somebody has written it twice: one of its own, and one of its MAC address."""
    known = [(3, KnownAddress(str(IPv4Address(number)), of_number)) for number, of_number in entries]
    flows = list(network_answers(5, known, ()))
    assert len(flows) == len({flow.split(" actions=")[0] for flow in flows})
    used = {of_number for _, of_number in entries}
    assert len(flows) == len({*dict(entries)}) + len(used) + bool(entries)
    more = [*network_answers(5, [*known, (4, KnownAddress(str(IPv4Address(address)), mac))], ())]
    assert {*flows} <= {*more}
    assert len({*more} - {*flows}) == (address not in dict(entries)) + (mac not in used) + (not entries)
