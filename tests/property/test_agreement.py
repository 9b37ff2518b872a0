"""Both sides compute the same agreement, and partition the tunnel IDs without gaps or overlaps."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from isthmus.core.federation.agreement import Agreement, agree, encapsulation_of, own_tunnel_ids
from isthmus.model.api.v1alpha1.cloudpeer import TunnelIDRange
from isthmus.model.api.v1alpha1.peerlink import OfferedIPsec, OfferedTunnel, PeerLinkSpec

CLOUD_ID = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,3}[a-z0-9])?", fullmatch=True)
RANGE = st.tuples(st.integers(1, 0xFFFFFF), st.integers(1, 0xFFFFFF)).map(sorted).filter(lambda ends: ends[0] < ends[1])
FEW_RANGES = st.sampled_from([TunnelIDRange(), TunnelIDRange(first=5, last=6)])
MODES = st.sampled_from(["Auto", "Auto", "Transport", "Tunnel"])
_TUNNELS = st.builds(
    OfferedTunnel,
    encapsulation=st.sampled_from(["VXLAN", "VXLAN", "Geneve"]),
    port=st.sampled_from([14789, 14789, 14790]),
    mode=MODES,
    id_range=FEW_RANGES,
) | st.builds(OfferedTunnel, encapsulation=st.just("GRE"), mode=MODES, id_range=FEW_RANGES)


def _proposals(names: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), unique=True, max_size=4).map(tuple)


@st.composite
def _specs(draw: st.DrawFn) -> tuple[PeerLinkSpec, PeerLinkSpec]:
    first, second = draw(CLOUD_ID), draw(CLOUD_ID)
    assume(first != second)

    def spec(own: str, other: str) -> PeerLinkSpec:
        return PeerLinkSpec(
            cloud_id=own,
            peer_cloud_id=other,
            protocol_version=draw(st.sampled_from([1, 1, 1, 2])),
            protocol_versions=tuple(draw(st.sets(st.sampled_from([1, 1, 2, 3]), min_size=1))),
            tunnel=draw(_TUNNELS),
            ipsec=OfferedIPsec(ike_proposals=draw(_proposals("abcd")), esp_proposals=draw(_proposals("wxyz"))),
        )

    return spec(first, second), spec(second, first)


@given(_specs())
def test_both_sides_compute_the_same_agreement(specs: tuple[PeerLinkSpec, PeerLinkSpec]) -> None:
    ours, theirs = specs
    here, there = agree(ours, theirs), agree(theirs, ours)
    if isinstance(here, Agreement):
        assert isinstance(there, Agreement)
        assert here.initiator != there.initiator
        assert replace(here, initiator=True) == replace(there, initiator=True)
    else:
        assert not isinstance(there, Agreement)
        assert here.reason == there.reason


@given(_specs())
def test_agreement_consists_of_what_both_sides_offer(specs: tuple[PeerLinkSpec, PeerLinkSpec]) -> None:
    agreed = agree(*specs)
    same = (
        specs[0].protocol_version == specs[1].protocol_version
        and len({spec.tunnel.model_copy(update={"mode": "Auto"}) for spec in specs}) == 1
    )
    modes = {spec.tunnel.mode for spec in specs} - {"Auto"}
    versions = set(specs[0].protocol_versions) & set(specs[1].protocol_versions)
    common = [
        set(specs[0].ipsec.ike_proposals) & set(specs[1].ipsec.ike_proposals),
        set(specs[0].ipsec.esp_proposals) & set(specs[1].ipsec.esp_proposals),
    ]
    assert isinstance(agreed, Agreement) == bool(same and versions and all(common) and len(modes) < 2)
    if isinstance(agreed, Agreement):
        assert [set(agreed.ike_proposals), set(agreed.esp_proposals)] == common
        assert agreed.version == max(versions)
        assert agreed.mode == next(iter(modes), "Auto")
        assert all(agreed.encapsulation == encapsulation_of(spec.tunnel) for spec in specs)
        assert specs[0].tunnel.encapsulation == agreed.encapsulation.NAME


@given(RANGE, CLOUD_ID, CLOUD_ID)
def test_both_parts_of_a_range_are_disjoint_and_complete(ends: list[int], one: str, other: str) -> None:
    assume(one != other)
    id_range = TunnelIDRange(first=ends[0], last=ends[1])
    lower, upper = (
        own_tunnel_ids(id_range, min(one, other), max(one, other)),
        own_tunnel_ids(id_range, max(one, other), min(one, other)),
    )
    assert len(lower) >= 1
    assert len(upper) >= 1
    assert lower.stop == upper.start
    assert (lower.start, upper.stop) == (id_range.first, id_range.last + 1)
    assert abs(len(lower) - len(upper)) <= 1
