"""The address of a gateway may be claimed from the cloud of its router alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node.gatewayclaims import HERE, wrong_claims

MEMBERS = st.dictionaries(st.integers(1, 9), st.lists(st.sampled_from(["10.0.0.8", "10.0.0.9"]), max_size=2))


@given(MEMBERS)
def test_at_the_origin(of_members: dict[int, list[str]]) -> None:
    named = {member: [f"{address}{member}" for address in found] for member, found in of_members.items()}
    wrong = set(wrong_claims(["10.0.0.1"], [], named, at_origin=True))
    owners = {"10.0.0.1": HERE} | {address: member for member, found in named.items() for address in found}
    everywhere = {(sender, address) for sender in (HERE, *named) for address in owners}
    assert everywhere - wrong == {(owner, address) for address, owner in owners.items()}


def test_at_a_receiver_with_gateways_of_its_own() -> None:
    wrong = set(wrong_claims(["10.0.0.1"], ["10.0.0.8"], {7: ()}, at_origin=False))
    assert wrong == {(HERE, "10.0.0.1"), (7, "10.0.0.8")}


def test_at_a_receiver_without() -> None:
    assert set(wrong_claims(["10.0.0.1"], [], {7: ()}, at_origin=False)) == {(HERE, "10.0.0.1")}


def test_at_a_receiver_that_others_reach_without_the_origin() -> None:
    wrong = set(wrong_claims(["10.0.0.1"], ["10.0.0.8"], {7: (), 8: (), 9: ()}, at_origin=False, direct=[9]))
    assert wrong == {(HERE, "10.0.0.1"), (9, "10.0.0.1"), (7, "10.0.0.8"), (8, "10.0.0.8"), (9, "10.0.0.8")}
