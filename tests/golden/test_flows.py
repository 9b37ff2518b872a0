"""The exact flows of br-cloud. `python -m tests.golden.test_flows` rewrites them: review the difference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from isthmus.core.node.plan import NodePlan
from isthmus.core.node.setcache import SetCache
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.names import tunnel_port
from isthmus.model.node.flows import (
    FlowSet,
    KnownAddress,
    LinkKey,
    PacketMeter,
    PlannedEnd,
    PlannedLink,
    PlannedNetwork,
    PlannedNetworks,
    PlannedOwner,
    PlannedRelay,
)
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import is_network_set
from isthmus.model.node.switch import EchoPort, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan

DIRECTORY = Path(__file__).parent / "flows"
GATEWAY = PeerGateway(name="gw", address="192.0.2.2")
TUNNELS = {cloud_id: tunnel_port(cloud_id, GATEWAY.name) for cloud_id in ("cloud-b", "cloud-c", "not-yet")}
ECHO = EchoPort(Vxlan(14789))
PORTS = {
    "isprobe": 1,
    ECHO.name: 6,
    TUNNELS["cloud-b"]: 2,
    TUNNELS["cloud-c"]: 3,
    "red": 4,
    "blue": 5,
    TUNNELS["not-yet"]: -1,
}
NUMBERS = Numbers({"red": 0x10, "blue": 0x11, "waiting": 0x12}, {"cloud-b": 0x20, "cloud-c": 0x21, "not-yet": 0x22})


def _link(cloud_id: str, tunnel_id: int, probe_mac: str) -> PlannedLink:
    return PlannedLink(cloud_id, TUNNELS[cloud_id], tunnel_id, probe_mac)


TO_B = _link("cloud-b", 0x100000, "02:00:00:00:00:b0")
TO_C = _link("cloud-c", 0x180000, "02:00:00:00:00:c0")
RED = PlannedNetwork("red", "red", True, ("10.20.0.1",), (TO_B,))

KNOWN = (
    KnownAddress("10.20.0.129", "fa:16:3e:00:00:b1"),
    KnownAddress("10.20.0.200", "00:16:3e:00:00:b2"),
    KnownAddress("10.20.0.201", "fa:16:3e:00:00:c1"),
)

B_FOR_C, C_FOR_B = (
    PlannedEnd("cloud-b", TUNNELS["cloud-b"], 0x100001),
    PlannedEnd("cloud-c", TUNNELS["cloud-c"], 0x180001),
)
BEHIND_B = PlannedLink("cloud-b", TUNNELS["cloud-b"], 0x100001, "02:00:00:00:00:b3", number=3)
DIRECT_TO_C = PlannedLink("cloud-b", TUNNELS["cloud-c"], 0x180005, "02:00:00:00:00:c3", number=3, direct="cloud-c")
TWO_PATHS = (PlannedNetwork("red", "red", False, ("10.20.0.1",), (TO_B, BEHIND_B, DIRECT_TO_C)),)
WITH_MEMBER_BEHIND_B = (PlannedNetwork("red", "red", False, ("10.20.0.1",), (TO_B, BEHIND_B)),)
RELAYING = (
    PlannedNetwork(
        "red",
        "red",
        True,
        ("10.20.0.1",),
        (TO_B, TO_C),
        relays=(PlannedRelay(B_FOR_C, C_FOR_B), PlannedRelay(C_FOR_B, B_FOR_C)),
    ),
)

CASES = {
    "nothing": (),
    "origin": (RED,),
    "receiver": (PlannedNetwork("red", "red", False, ("10.20.0.1", "10.21.0.1"), (TO_B,)),),
    "two-tenants-same-addresses": (
        RED,
        PlannedNetwork("blue", "blue", True, ("10.20.0.1",), (_link("cloud-b", 0x100001, "02:00:00:00:00:b1"),)),
    ),
    "two-peers": (PlannedNetwork("red", "red", True, ("10.20.0.1",), (TO_B, TO_C)),),
    "known-addresses": (
        PlannedNetwork(
            "red",
            "red",
            True,
            ("10.20.0.1",),
            (replace(TO_B, known=KNOWN[:2]), replace(TO_C, known=KNOWN)),
            ("10.20.0.1", "10.20.0.7"),
        ),
    ),
    "local-gateways-at-origin": (
        PlannedNetwork(
            "red",
            "red",
            True,
            ("10.20.0.1",),
            (
                replace(TO_B, gateway_addresses=("10.20.0.129",)),
                replace(TO_C, gateway_addresses=("10.20.0.193",)),
            ),
        ),
    ),
    "local-gateway-at-receiver": (
        PlannedNetwork(
            "red", "red", False, ("10.20.0.1",), (TO_B,), ("10.20.0.129",), local_gateway_addresses=("10.20.0.129",)
        ),
    ),
    "relay": RELAYING,
    "limited-at-origin": RELAYING,
    "limited-at-receiver": WITH_MEMBER_BEHIND_B,
    "limited-receiver-by-two-paths": TWO_PATHS,
    "member-behind-origin": WITH_MEMBER_BEHIND_B,
    "receiver-by-two-paths": TWO_PATHS,
    "receiver-by-two-paths-sent-to-directly": TWO_PATHS,
    "receiver-by-its-direct-path-alone": (PlannedNetwork("red", "red", False, ("10.20.0.1",), (TO_B, DIRECT_TO_C)),),
    "owners-at-origin": (
        replace(
            RELAYING[0],
            owners=(
                PlannedOwner(None, None, ("fa:16:3e:00:00:a1", "fa:16:3e:00:00:a2"), ("10.20.0.11", "fd00::a1")),
                PlannedOwner("cloud-b", None, ("fa:16:3e:00:00:b1",), ("10.20.0.129",)),
                PlannedOwner("cloud-c", None, ("fa:16:3e:00:00:c1",)),
                PlannedOwner("no-peer", None, ("fa:16:3e:00:00:d1",)),
            ),
        ),
    ),
    "owners-at-receiver": (
        PlannedNetwork(
            "red",
            "red",
            False,
            ("10.20.0.1",),
            (TO_B, BEHIND_B),
            owners=(
                PlannedOwner(None, None, ("fa:16:3e:00:00:a1",)),
                PlannedOwner("cloud-b", None, ("fa:16:3e:00:00:b1",)),
                PlannedOwner("cloud-b", 3, ("fa:16:3e:00:00:c1",), ("fd00::c1",)),
            ),
        ),
    ),
    "ipv6-router": (
        PlannedNetwork("red", "red", False, ("10.20.0.1",), (TO_B,), ("10.20.0.200", "fd00::1", "fe80::1")),
    ),
    "ipv6-at-origin": (
        PlannedNetwork(
            "red",
            "red",
            True,
            ("10.20.0.1", "fd00::1"),
            (replace(TO_B, ipv6=True), TO_C),
            ("10.20.0.1", "fd00::1", "fe80::1"),
            relays=(PlannedRelay(B_FOR_C, C_FOR_B), PlannedRelay(C_FOR_B, B_FOR_C)),
        ),
    ),
    "ipv6-at-receiver": (
        PlannedNetwork("red", "red", False, ("10.20.0.1", "fd00::1", "fe80::1"), (replace(TO_B, ipv6=True), BEHIND_B)),
    ),
}


SENT_DIRECTLY = {
    case: {("red", "cloud-b/3"): True}
    for case in ("receiver-by-two-paths-sent-to-directly", "limited-receiver-by-two-paths")
}
BANDWIDTH_MBPS = {
    "limited-at-origin": {"cloud-b": 100},
    "limited-at-receiver": {"cloud-b": 1},
    "limited-receiver-by-two-paths": {"cloud-b": 10, "cloud-c": 20},
}


def _sets(
    networks: tuple[PlannedNetwork, ...],
    direct: Mapping[LinkKey, bool] = MappingProxyType({}),
    bandwidth_mbps: Mapping[str, int] = MappingProxyType({}),
) -> Mapping[int, FlowSet]:
    clouds = {link.peer for network in networks for link in network.links}
    tunnels = {TunnelPort(TUNNELS[c], ECHO.encapsulation, TunnelEnds("192.0.2.1", GATEWAY.address)) for c in clouds}
    plan = NodePlan(
        ports=Ports(frozenset(tunnels), echoes=frozenset({ECHO})),
        networks=PlannedNetworks.of(networks),
        gateways=dict.fromkeys(sorted(clouds), (GATEWAY,)),
        bandwidth_mbps=bandwidth_mbps,
    )
    return SetCache().sets(plan, NUMBERS, PORTS, direct=direct)


def rendered(case: str) -> Mapping[int, FlowSet]:
    """The sets of a case, by cookie."""
    return _sets(CASES[case], SENT_DIRECTLY.get(case, {}), BANDWIDTH_MBPS.get(case, {}))


def _text(case: str) -> str:
    lines = []
    for found in rendered(case).values():
        lines += [f"# {found.owner}: cookie {found.cookie:#x}", *sorted(found.flows), *map(repr, found.meters), ""]
    return "\n".join(lines)


@pytest.mark.parametrize("case", CASES)
def test_flows_are_as_reviewed(case: str) -> None:
    assert _text(case) == (DIRECTORY / f"{case}.flows").read_text()


@pytest.mark.parametrize("case", CASES)
def test_no_two_flows_have_the_same_match(case: str) -> None:
    """The switch would keep only the last one."""
    flows = [flow for found in rendered(case).values() for flow in found.flows]
    matches = Counter(flow.split(" actions=")[0] for flow in flows)
    assert [match for match, count in matches.items() if count > 1] == []


@pytest.mark.parametrize("case", CASES)
def test_what_is_dropped_is_counted_by_network_sender_and_reason(case: str) -> None:
    """Also if a frame has several reasons: the rules of no two reasons have the same priority."""
    sets = [found for found in rendered(case).values() if found.owner.kind != "peer"]
    rules = [flow for found in sets for flow in found.flows if "->reg4" in flow]
    reasons = {(re.findall(r"priority=(\d+)", rule)[0], re.findall(r":(0x\d)->reg4", rule)[0]) for rule in rules}
    assert len(reasons) == len({priority for priority, _ in reasons}) == len({reason for _, reason in reasons})
    assert all(
        rule.endswith("->reg4,goto_table:10") and int(priority) > 90 for rule in rules for priority, _ in reasons
    )
    for found in (found for found in sets if is_network_set(found.cookie)):
        counted = {flow.split(" ")[0] for flow in found.flows if flow.startswith("table=10,")}
        senders = [match for flow in found.flows for match in re.findall(r"^table=3,.*?(reg1=\w+) ", flow)]
        number = f"reg0={NUMBERS.networks[found.owner.name]:#x}"
        everywhere = {
            f"table=10,priority=10,{number},{s},reg4={r:#x}" for s in ("reg1=0", *senders) for r in (1, 2, 3, 4, 5, 7)
        }
        claimed = r"^table=2,.*reg0=.*(reg1=\w+),.*->reg4"
        claims = {f"{s}" for flow in found.flows for s in re.findall(claimed, flow)}
        assert counted == everywhere | {f"table=10,priority=10,{number},{s},reg4=0x6" for s in claims}


def test_storms_are_metered_by_network_and_sender() -> None:
    """Whoever sends group frames or frames to unknown addresses, none of the other senders loses any by it."""
    sets = [*_sets(CASES["two-tenants-same-addresses"]).values(), *_sets(CASES["two-peers"]).values()]
    senders = {"red": (0, 0x20, 0x21), "blue": (0, 0x20)}
    for found in (found for found in sets if found.owner.kind == "network"):
        used = sorted(int(meter) for flow in found.flows for meter in re.findall(r"\bmeter:(\d+)", flow))
        assert used == sorted(meter.id for meter in found.meters)
        links = sum(flow.startswith("table=3,") for flow in found.flows)
        number = NUMBERS.networks[found.owner.name]
        assert used == [number << 16 | member for member in senders[found.owner.name][: links + 1]]


def test_only_probes_leave_by_the_echo_port_and_only_to_where_a_tunnel_leads() -> None:
    flows = [flow for found in _sets(CASES["two-peers"]).values() for flow in found.flows]
    leaving = [flow for flow in flows if f"output:{PORTS[ECHO.name]}" in flow]
    assert len(leaving) == 2, "one for each link"
    assert all(",in_port=1," in flow and "dl_dst=02:69:73:74:68:03,dl_type=0x88b5 " in flow for flow in leaving)
    ends = f"set_field:192.0.2.1->tun_src,set_field:{GATEWAY.address}->tun_dst,"
    assert all(ends in flow for flow in leaving)
    assert not [flow for flow in flows if f"in_port={PORTS[ECHO.name]}" in flow], "nothing that enters there is known"


def test_probes_pass_no_storm_meter() -> None:
    """They reach neither the step that floods nor the one that delivers."""
    flows = [flow for found in _sets(CASES["two-peers"]).values() for flow in found.flows]
    probes = [flow for flow in flows if re.search(r"dl_type=0x88b5|table=8,", flow) and "reg4" not in flow]
    probes = [flow for flow in probes if not flow.startswith("table=16,")]  # which finds nothing of theirs
    assert len(probes) == 2 + 2 + 1 + 4
    assert all(re.search(r"goto_table:[78]$|IN_PORT$|output:[16]$", flow) for flow in probes)
    assert {int(meter) for flow in probes for meter in re.findall(r"\bmeter:(\d+)", flow)} == {0x20, 0x21}


def test_meter_lets_twice_as_many_probes_pass_as_both_ends_of_all_paths_send() -> None:
    """Requests to reflect, and replies: every two seconds, and five times a second by each path between receivers."""
    networks = tuple(replace(TWO_PATHS[0], name=f"red{n}", patch_port=f"red{n}") for n in range(40))
    meters = [meter for found in _sets(networks).values() for meter in found.meters]
    rates = {meter.id: meter.packets_per_second for meter in meters if isinstance(meter, PacketMeter)}
    to_origin, between_receivers = 2 * 0.5, 2 * 5.5
    assert rates[0x20] >= 40 * 2 * (to_origin + between_receivers)
    assert rates[0x21] >= 40 * 2 * between_receivers
    assert max(rates.values()) <= 40 * 4 * (to_origin + between_receivers), "and not many more"


def test_networks_and_links_without_port_number_are_omitted() -> None:
    waiting = PlannedNetwork("blue", "waiting", True, (), (TO_B,))
    halfway = PlannedNetwork("red", "red", True, ("10.20.0.1",), (TO_B, _link("not-yet", 7, "02::")))
    assert _sets((halfway, waiting)).keys() == _sets((RED,)).keys()
    assert {found.flows for found in _sets((halfway,)).values()} == {found.flows for found in _sets((RED,)).values()}


def test_no_frame_passes_from_peer_to_peer() -> None:
    """Split horizon: only frames of this cloud can leave, and no frame of a peer enters with a destination."""
    flows = [flow for found in _sets(CASES["two-peers"]).values() for flow in found.flows]
    sending = [flow for flow in flows if flow.startswith("table=7,")]
    assert sending
    assert all("reg1=0," in flow for flow in sending)
    assert [flow for flow in flows if flow.startswith("table=1,") and "->reg2" in flow] == []
    learning = [flow for flow in flows if flow.startswith("table=3,")]
    assert learning
    assert all(flow.endswith(",goto_table:9") and flow.count("goto") == 1 for flow in learning)
    delivering = {flow.split(" actions=")[1] for flow in flows if flow.startswith("table=9,")}
    assert {re.sub(r"^meter:\d+,", "", actions) for actions in delivering} == {f"output:{PORTS['red']}"}


def test_what_ipv6_routers_and_dhcp_servers_send_does_not_cross() -> None:
    dropped = "actions=set_field:0x[1-6]->reg4,goto_table:10"
    guarded = {re.sub(rf"priority=\d+|{dropped}", "", flow) for flow in _sets(())[next(iter(_sets(())))].flows}
    matches = [*(f"icmp6,icmp_type={t}" for t in (133, 134, 137)), *(f"udp6,tp_dst={port}" for port in (546, 547))]
    assert {f"table=2,,{match} " for match in matches} <= guarded


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name in CASES:
        (DIRECTORY / f"{name}.flows").write_text(_text(name))
