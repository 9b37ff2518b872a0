"""Frames between clouds by the flows that are rendered: once to everybody, never back, never into another network.

Each gateway has the plan of an earlier or of a later time, independently of all others: its cloud has heard of a change
or not, and its agent is late or not. One cloud may have two active gateways meanwhile. Each gateway sends to each
receiver that it has two paths to by any of them, whatever all others do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations, permutations, product

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.node.pipeline import PROBE_REQUEST_MAC, WHOLE_REQUEST_MAC
from tests.flowinterpreter.clouds import Break, Clouds, Gateway, Network
from tests.flowinterpreter.plans import Direct, Link, Owned, Place, attachment, node_plan
from tests.flowinterpreter.verdict import violations
from tests.kernel.frames import BROADCAST, arp, frame, ipv4_udp

ORIGIN = "cloud-a"
RECEIVERS = ("cloud-b", "cloud-c", "cloud-d", "cloud-e")
CLOUDS = (ORIGIN, *RECEIVERS)
PLACES = {
    (cloud, name): Place(cloud, f"gw-{cloud[-1]}{name}", f"192.0.{index}.{name}")
    for index, cloud in enumerate(CLOUDS, 2)
    for name in "12"
}
LATER = dict.fromkeys(PLACES, True)
RED, BLUE = (f"0a9af7a5-9cbb-4d3c-8d4e-00000000000{index}" for index in (1, 2))
NETWORKS = (RED, BLUE)
ADDRESS = {cloud: f"10.20.0.{64 * index + 11}" for index, cloud in enumerate(CLOUDS[:4])} | {"cloud-e": "10.20.0.250"}
NUMBER = {cloud: number for number, cloud in enumerate(CLOUDS, 1)}
RED_LINK = names.link_name(ORIGIN, RED)
VIRTUAL = "00:00:5e:00:01:07"
MAC = {cloud: f"fa:16:3e:00:00:{cloud[-1]}1" for cloud in CLOUDS}


@dataclass(frozen=True)
class Stretched:
    """A network at one time: the active gateway of each member, and the tunnel ID of each receiver's link."""

    network: str
    active: Mapping[str, str]
    tunnel_ids: Mapping[str, int]
    known: bool
    """Whether what the machines have is published."""
    relaying: bool
    """Whether receivers reach each other through the origin."""
    direct: frozenset[tuple[str, str]] = frozenset()
    """Pairs of receivers, in order, that reach each other directly."""
    unguarded: frozenset[str] = frozenset()
    """Clouds of an earlier release, which do not know whose the addresses are."""

    @property
    def members(self) -> tuple[str, ...]:
        """Cloud IDs, the origin's first."""
        return ORIGIN, *sorted(self.tunnel_ids)

    def reached(self, sender: str) -> tuple[str, ...]:
        """Who has a path from that member."""
        others = tuple(member for member in self.members if member != sender)
        if sender == ORIGIN or self.relaying:
            return others
        return tuple(member for member in others if member == ORIGIN or _pair(sender, member) in self.direct)

    def attachment(self, cloud: str) -> Attachment:
        """What the cloud's controller writes: the origin has a path to each receiver, a receiver one to the origin."""
        ids = self.tunnel_ids if cloud == ORIGIN else {ORIGIN: self.tunnel_ids[cloud]}
        links = [
            Link(
                self.place(other),
                ids[other],
                {ADDRESS[other]: MAC[other]} if self.known else {},
                NUMBER[other] if cloud == ORIGIN else None,
                self._members_behind(other if cloud == ORIGIN else cloud),
            )
            for other in sorted(ids)
        ]
        return attachment(
            self.place(cloud), ORIGIN, self.network, links, direct=self._direct_paths(cloud), owners=self._owners(cloud)
        )

    def _owners(self, cloud: str) -> list[Owned]:
        """The origin knows of the receivers by their cloud IDs, a receiver of the other ones by their numbers."""
        if not self.known or cloud in self.unguarded:
            return []
        found = []
        for member in self.members:
            of_member = (MAC[member],), (ADDRESS[member],)
            if member == cloud:
                found.append(Owned(None, None, *of_member))
            elif ORIGIN in (cloud, member):
                found.append(Owned(member, None, *of_member))
            else:
                found.append(Owned(ORIGIN, NUMBER[member], *of_member))
        return found

    def _direct_paths(self, cloud: str) -> list[Direct]:
        """On the tunnel between two receivers, their network has a tunnel ID as on that to the origin."""
        pairs = [pair for pair in sorted(self.direct) if cloud in pair and {*pair} <= {*self.tunnel_ids}]
        return [
            Direct(self.place(other), NUMBER[other], self.tunnel_ids[pair[0]])
            for pair in pairs
            for other in pair
            if other != cloud
        ]

    def place(self, cloud: str) -> Place:
        """The active gateway of a member."""
        return PLACES[cloud, self.active[cloud]]

    def _members_behind(self, receiver: str) -> dict[int, int]:
        """Tunnel IDs of the other receivers on the tunnel between the origin and this one, by their numbers."""
        others = [other for other in self.tunnel_ids if other != receiver] if self.relaying else []
        return {NUMBER[other]: self.tunnel_ids[receiver] + 0x1000 * NUMBER[other] for other in others}

    def paths(self, sender: str, to: str) -> tuple[str, ...]:
        """The sender's names of its paths to the member."""
        if ORIGIN in (sender, to):
            return (to,)
        member = names.member(ORIGIN, NUMBER[to])
        through_origin = (member,) if self.relaying else ()
        is_direct = _pair(sender, to) in self.direct
        return (*through_origin, names.direct_path(member, to)) if is_direct else through_origin


def _pair(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


Times = tuple[tuple[Stretched, ...], tuple[Stretched, ...]]
"""The networks earlier and later."""


Choices = AbstractSet[tuple[str, str, str, str]]
"""The cloud, the name of its gateway, the network, and the receiver that this gateway sends to directly if it can."""


Frame = tuple[str, str, str, str]
"""The cloud that sends it, the network, what it is, and the cloud that it is for, unless it is for everybody."""


@dataclass(frozen=True)
class Situation:
    """What the gateways have heard of, and what machines send then."""

    times: Times
    is_later: Mapping[tuple[str, str], bool]
    choices: Choices
    frames: tuple[Frame, ...]


@st.composite
def all_times(draw: st.DrawFn) -> Times:
    """Members join and leave, tunnel IDs change, and one cloud's active gateway is replaced, of any networks.

    If one network takes the place of another, it has the tunnel IDs of that.
    """
    receivers = RECEIVERS[: draw(st.integers(1, 4))]
    moving = draw(st.sampled_from((ORIGIN, *receivers)))
    if draw(st.integers(0, 3)) == 0:
        earlier, later = (draw(_stretched(network, receivers, 0x100000, None)) for network in NETWORKS)
        return (earlier,), (later,)
    both: tuple[list[Stretched], list[Stretched]] = [], []
    for index, network in enumerate(NETWORKS):
        first = 0x100000 + 0x10 * index
        if draw(st.integers(0, 5)):
            both[0].append(draw(_stretched(network, receivers, first, None)))
        if draw(st.integers(0, 5)):
            another = first + draw(st.sampled_from((0, 0, 0x100)))
            both[1].append(draw(_stretched(network, receivers, another, draw(st.sampled_from((moving, moving, None))))))
    return tuple(both[0]), tuple(both[1])


@st.composite
def _stretched(draw: st.DrawFn, network: str, receivers: tuple[str, ...], first: int, moved: str | None) -> Stretched:
    """A network, of which one cloud's second gateway may be the active one."""
    present = draw(st.sets(st.sampled_from(receivers), min_size=1)) if draw(st.booleans()) else receivers
    active = {cloud: "2" if cloud == moved else "1" for cloud in CLOUDS}
    ids = {cloud: first + CLOUDS.index(cloud) for cloud in present}
    pairs = st.sampled_from([*combinations(receivers, 2)]) if len(receivers) > 1 else st.nothing()
    unguarded = draw(st.frozensets(st.sampled_from((ORIGIN, *receivers))))
    direct = draw(st.frozensets(pairs))
    return Stretched(network, active, ids, draw(st.booleans()), draw(st.booleans()), direct, unguarded)


choices: st.SearchStrategy[Choices] = st.sets(
    st.tuples(st.sampled_from(RECEIVERS), st.sampled_from("12"), st.sampled_from(NETWORKS), st.sampled_from(RECEIVERS))
)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Any of them; the second gateway of a cloud may be active while the first one still is."""
    at = draw(all_times())
    ages = {place: draw(st.booleans()) for place in PLACES}
    if draw(st.booleans()):
        ages |= {(cloud, name): name == "2" for cloud, name in PLACES if any(of.active[cloud] == "2" for of in at[1])}
    clouds = sorted({member for of in (*at[0], *at[1]) for member in of.members} or {ORIGIN})
    kinds = st.sampled_from(("request", "broadcast", "unicast"))
    cloud = st.sampled_from(clouds)
    frames = st.lists(st.tuples(cloud, st.sampled_from(NETWORKS), kinds, cloud), min_size=1, max_size=12)
    return Situation(at, ages, draw(choices), tuple(draw(frames)))


def gateways(
    at: Times,
    is_later: Mapping[tuple[str, str], bool],
    direct: Choices = frozenset(),
    *,
    unplugs: bool = True,
    fences: bool = True,
) -> list[Gateway]:
    """All gateways, each with its plan of one of the times. What is not stretched later has no Neutron port any more.

    So it is before a tunnel ID is used again, unless nothing `unplugs` the ports. A former active gateway has lost the
    port before the next one acts, if it `fences`; that is assumed of networks with direct paths alone.
    """
    gone = {found.network for found in at[0]} - {found.network for found in at[1]}
    unplugged = frozenset(names.link_name(ORIGIN, network) for network in gone if unplugs)
    found = []
    for (cloud, name), place in PLACES.items():
        here = [
            of.attachment(cloud) for of in at[is_later[cloud, name]] if cloud in of.members and of.active[cloud] == name
        ]
        plan, lost = node_plan(place, PLACES.values(), here), _taken_over(cloud, at, is_later) if name == "1" else ()
        without_port = unplugged.union(lost if fences else ())
        found.append(Gateway(cloud, place.name, plan, without_port, direct_of(cloud, name, direct)))
    return found


def _taken_over(cloud: str, at: Times, is_later: Mapping[tuple[str, str], bool]) -> list[str]:
    """Link names of the networks with direct paths of which the cloud's second gateway is the active one already."""
    with_direct_paths = {of.network for of in (*at[0], *at[1]) if of.direct}
    second = [of.network for of in at[is_later[cloud, "2"]] if of.active[cloud] == "2"]
    return [names.link_name(ORIGIN, network) for network in second if network in with_direct_paths]


def direct_of(cloud: str, gateway: str, chosen: Choices) -> dict[tuple[str, str], bool]:
    """The members that a gateway sends to directly if it can."""
    return {
        (names.link_name(ORIGIN, network), names.member(ORIGIN, NUMBER[to])): True
        for chooser, name, network, to in chosen
        if (chooser, name) == (cloud, gateway)
    }


def sent_frame(sender: str, kind: str, to: str) -> bytes:
    """A frame of the sender's machine, to that of another cloud if it is not for everybody."""
    destination = BROADCAST if kind in ("request", "broadcast") else MAC[to]
    request = arp(1, MAC[sender], ADDRESS[sender], ADDRESS[to])
    body = request if kind == "request" else ipv4_udp(ADDRESS[sender], ADDRESS[to], 4000, 4000)
    return frame(destination, MAC[sender], body)


def check(clouds: Clouds, sent: Iterable[Frame]) -> None:
    """Nothing is wrong with what becomes of any of these frames."""
    for sender, network, kind, to in sent:
        journey = clouds.send(Network(sender, names.link_name(ORIGIN, network)), sent_frame(sender, kind, to))
        assert violations(journey) == [], (sender, network, kind, to)


def check_rest(clouds: Clouds, now: Iterable[Stretched]) -> None:
    """Everybody who has a path gets what is for everybody exactly once, and alone what is for nobody else."""
    for of in now:
        name = names.link_name(ORIGIN, of.network)
        for sender in of.members:
            announcement = frame(BROADCAST, MAC[sender], arp(1, MAC[sender], ADDRESS[sender], ADDRESS[sender]))
            for to_all in (sent_frame(sender, "broadcast", ORIGIN), announcement):
                journey = clouds.send(Network(sender, name), to_all)
                assert violations(journey) == []
                assert journey.copies == {Network(cloud, name): 1 for cloud in of.reached(sender)}
        for sender, to in ((member, other) for member in of.members for other in of.reached(member)):
            journey = clouds.send(Network(sender, name), sent_frame(sender, "unicast", to))
            assert journey.copies == {Network(to, name): 1}, "its address is learned"
            for path in of.paths(sender, to):
                through = names.peer_of_path(path) is None  # of these none is an echo
                for destination in (PROBE_REQUEST_MAC,) if through else (PROBE_REQUEST_MAC, WHOLE_REQUEST_MAC):
                    gateway = of.place(sender).name
                    journey = clouds.probe(gateway, name, path, destination)
                    assert (journey.replies, journey.delivered) == ({(sender, gateway): 1}, []), "its probe comes back"


_patient = settings(suppress_health_check=[HealthCheck.too_slow])


@given(situations())
@_patient
def test_no_frame_arrives_twice_or_returns_or_changes_networks(at: Situation) -> None:
    check(Clouds(gateways(at.times, at.is_later, at.choices)), at.frames)


@given(all_times(), choices)
@_patient
def test_everybody_gets_each_frame_once_when_all_have_heard_of_everything(at: Times, direct: Choices) -> None:
    check_rest(Clouds(gateways(at, LATER, direct)), at[1])


@given(all_times(), choices, choices)
@_patient
def test_what_is_learned_stays_right_whichever_path_is_chosen_later(at: Times, before: Choices, after: Choices) -> None:
    """Addresses belong to members: what was learned by one path is found when frames take the other one."""
    clouds = Clouds(gateways(at, LATER, before))
    check_rest(clouds, at[1])
    clouds.choose({place.name: direct_of(cloud, name, after) for (cloud, name), place in PLACES.items()})
    for of in at[1]:
        name = names.link_name(ORIGIN, of.network)
        for sender, to in ((member, other) for member in of.members for other in of.reached(member)):
            journey = clouds.send(Network(sender, name), sent_frame(sender, "unicast", to))
            assert journey.copies == {Network(to, name): 1}
    check_rest(clouds, at[1])


@given(all_times(), choices)
@_patient
def test_no_frame_with_the_address_of_another_member_arrives(at: Times, direct: Choices) -> None:
    """Nor does a cloud that does not guard what it sends get one to a cloud that guards what it gets."""
    for of in (of for of in at[1] if of.known):
        name = names.link_name(ORIGIN, of.network)
        for sender, owner in permutations(of.members, 2):
            clouds = Clouds(gateways(at, LATER, direct))
            forged = [(MAC[owner], ipv4_udp(ADDRESS[owner], "10.20.0.9", 4000, 4000))]
            forged += [(mac, arp(2, mac, ADDRESS[owner], "10.20.0.9")) for mac in (MAC[sender], VIRTUAL)]
            for destination in (BROADCAST, *(MAC[to] for to in of.members if to != sender)):
                for mac, body in forged:
                    journey = clouds.send(Network(sender, name), frame(destination, mac, body))
                    reached = {where.cloud for where in journey.copies}
                    assert reached <= (of.unguarded if sender in of.unguarded else set())


@given(all_times(), choices)
@_patient
def test_frames_with_an_address_that_nobody_publishes_arrive(at: Times, direct: Choices) -> None:
    """Such as one of an allowed address pair, or of a virtual router, from wherever it is at the moment."""
    for of in at[1]:
        name = names.link_name(ORIGIN, of.network)
        clouds = Clouds(gateways(at, LATER, direct))
        for sender in of.members:
            journey = clouds.send(
                Network(sender, name), frame(BROADCAST, VIRTUAL, ipv4_udp("10.20.0.8", "10.20.0.9", 9, 9))
            )
            assert journey.copies == {Network(cloud, name): 1 for cloud in of.reached(sender)}
            claim = frame(BROADCAST, MAC[sender], arp(1, MAC[sender], "10.20.0.8", "10.20.0.8"))
            journey = clouds.send(Network(sender, name), claim)
            assert journey.copies == {Network(cloud, name): 1 for cloud in of.reached(sender)}


@pytest.mark.parametrize("relaying", [False, True])
@pytest.mark.parametrize("moving", [(ORIGIN,), ("cloud-b",), ("cloud-b", "cloud-c")])
def test_no_state_of_a_takeover_lets_a_frame_return(moving: tuple[str, ...], relaying: bool) -> None:
    _check_takeover(*moving, relaying=relaying)


TWO_CLOUDS_AT_ONCE = pytest.mark.parametrize("moving", [(ORIGIN, "cloud-b"), (ORIGIN, "cloud-b", "cloud-c")])


@TWO_CLOUDS_AT_ONCE
def test_frames_go_round_while_both_ends_of_a_path_have_two_active_gateways(moving: tuple[str, ...]) -> None:
    """Without owners nothing prevents it: a cloud's former gateway must have lost its port before the next one acts."""
    with pytest.raises(AssertionError, match="it loops"):
        _check_takeover(*moving, relaying=False)


@TWO_CLOUDS_AT_ONCE
@pytest.mark.parametrize("relaying", [False, True])
def test_no_frame_of_a_published_address_goes_round_even_then(moving: tuple[str, ...], relaying: bool) -> None:
    """It ends where it would leave a second time, or come home; in some of these states it arrives twice."""
    found = [
        violation
        for state, sender in _takeover(*moving, relaying=relaying, known=True)
        for violation in violations(
            Clouds(state).send(Network(sender, RED_LINK), sent_frame(sender, "broadcast", ORIGIN))
        )
    ]
    assert found
    assert all(violation.endswith(" 2 times") for violation in found)


@pytest.mark.parametrize("relaying", [False, True])
@pytest.mark.parametrize("moving", [(ORIGIN,), ("cloud-b",), (ORIGIN, "cloud-b", "cloud-c")])
def test_no_state_of_a_takeover_between_direct_paths_lets_a_frame_return(
    moving: tuple[str, ...], relaying: bool
) -> None:
    _check_takeover(*moving, relaying=relaying, direct=frozenset({("cloud-b", "cloud-c")}))


def test_frames_arrive_twice_if_a_former_gateway_with_a_direct_path_keeps_its_port() -> None:
    """The other receiver may take the former gateway for the active one when the origin does not any more."""
    with pytest.raises(AssertionError, match="2 times"):
        _check_takeover("cloud-b", relaying=False, direct=frozenset({("cloud-b", "cloud-c")}), fences=False)


def _check_takeover(
    *moving: str, relaying: bool, direct: frozenset[tuple[str, str]] = frozenset(), fences: bool = True
) -> None:
    for state, sender in _takeover(*moving, relaying=relaying, direct=direct, fences=fences):
        check(Clouds(state), [(sender, RED, "broadcast", ORIGIN)])


def _takeover(
    *moving: str,
    relaying: bool,
    known: bool = False,
    direct: frozenset[tuple[str, str]] = frozenset(),
    fences: bool = True,
) -> Iterator[tuple[list[Gateway], str]]:
    """Every combination of gateways that have heard of it and gateways that have not, with each sender."""
    ids = {cloud: 0x100000 + index for index, cloud in enumerate(("cloud-b", "cloud-c"))}
    earlier = Stretched(RED, dict.fromkeys(CLOUDS, "1"), ids, known, relaying, direct)
    later = Stretched(RED, {cloud: "2" if cloud in moving else "1" for cloud in CLOUDS}, ids, known, relaying, direct)
    places = [place for place in PLACES if place[0] in earlier.members]
    for ages in product((False, True), repeat=len(places)):
        is_later = dict.fromkeys(PLACES, False) | dict(zip(places, ages, strict=True))
        state = gateways(((earlier,), (later,)), is_later, fences=fences)
        yield from ((state, sender) for sender in earlier.members)


def _in(table: int, pattern: str, replacement: str) -> Break:
    """Changes what the flows of one table say."""

    def change(flow: str) -> str:
        return re.sub(pattern, replacement, flow) if flow.startswith(f"table={table},") else flow

    return change


DEFECTS = {
    "a copy too many": _in(6, r"(set_field:[^,]+->reg2,resubmit\(,7\))$", r"\1,resubmit(,7)"),
    "delivered twice": _in(9, r"(output:\d+)$", r"\1,\1"),
    "sent back": _in(9, "$", ",IN_PORT"),
    "handed back and forth": _in(3, "actions=", "actions=IN_PORT,"),
    "the tunnel ID of another network": _in(7, "set_field:0x10001", "set_field:0x10000"),
    "handed on twice": _in(7, r"(reg1=0x\w+,reg2=\S+ actions=)(.*)$", r"\1\2,\2"),
    "sent by both paths": _in(
        7, r"(reg1=0,\S*reg2=0xfe\S* actions=)(set_field:0x10001\w->tun_id,output:)(\d+)$", r"\1\2\3,\2\3"
    ),
    "delivered instead of handed on": _in(1, r"set_field:\w+->reg2,", ""),
    "taken from any gateway of a peer": _in(1, r"(tun_id=\w+),in_port=\d+", r"\1"),
}
REST_DEFECTS = {
    "a copy too few": _in(6, r",set_field:[^,]+->reg2,resubmit\(,7\)$", ""),
    "frames of a peer are taken for ours": _in(1, r"set_field:\w+->reg1,", ""),
    "nothing is delivered": _in(3, "goto_table:9", "goto_table:7"),
    "tunnel IDs are not set": _in(7, r"set_field:\w+->tun_id,", ""),
    "whatever is owned is foreign": _in(17, "set_field:0->reg10", "set_field:0x10000->reg10"),
    "whatever is claimed is foreign": _in(19, r",resubmit\(,17\)", ""),
    "not handed on": _in(7, r"(reg1=0x\w+,reg2=\S+ actions=).*$", r"\1drop"),
    "probes are not reflected": _in(8, ",IN_PORT", ""),
    "what is learned leads nowhere": _in(3, r"load:\S+->\S+\)", "load:0x7->NXM_NX_REG2[0..15])"),
}
_searching = settings(
    _patient, max_examples=2000, phases=[Phase.generate], database=None, derandomize=True, report_multiple_bugs=False
)


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_of_the_flows_is_found(defect: str) -> None:
    @_searching
    @given(situations())
    def holds(at: Situation) -> None:
        check(Clouds(gateways(at.times, at.is_later), DEFECTS[defect]), at.frames)

    with pytest.raises(AssertionError):
        holds()


@pytest.mark.parametrize("defect", REST_DEFECTS)
def test_each_defect_by_which_somebody_gets_nothing_or_too_much_at_rest_is_found(defect: str) -> None:
    @_searching
    @given(all_times())
    def holds(at: Times) -> None:
        check_rest(Clouds(gateways(at, LATER), REST_DEFECTS[defect]), at[1])

    with pytest.raises(AssertionError):
        holds()


def test_a_tunnel_id_must_not_be_used_again_before_the_ports_are_gone() -> None:
    """Else a late gateway hands frames of one network to another one: it shows that the property would find that."""

    @_searching
    @given(situations())
    def holds(at: Situation) -> None:
        check(Clouds(gateways(at.times, at.is_later, unplugs=False)), at.frames)

    with pytest.raises(AssertionError, match="gets a frame of"):
        holds()
