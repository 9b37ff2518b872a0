"""One node with many networks and peers on a real Open vSwitch: a change touches its own flows, drift is undone."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.node.flows import PlannedLink, PlannedNetwork
from isthmus.model.node.pipeline import LEARNED_OWNER, Table, learned_cookie, set_cookie
from isthmus.model.node.switch import PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from tests.kernel.bridged import GATEWAY_NAME, Cloud
from tests.kernel.flowchanges import FlowChange, flow_changes
from tests.kernel.frames import BROADCAST, arp, frame
from tests.kernel.openvswitch import Machine
from tests.testbed.host.process import wait_until

NETWORKS = int(os.environ.get("ISTHMUS_KERNEL_NETWORKS", "100"))
OTHER_PEERS = {"cloud-c": "192.0.2.3", "cloud-d": "192.0.2.4"}
LIMIT = 2048
FIRST_TAG = 100
_FLOW = re.compile(r"cookie=0x([0-9a-f]+), duration=[\d.]+s, (table=\d+), n_packets=(\d+), .*?(priority=\S+)")


@dataclass(frozen=True)
class Installed:
    """A flow's cookie, and its packets."""

    cookie: int
    packets: int


@pytest.fixture(scope="module")
def crowded(clouds: tuple[Cloud, Cloud]) -> Iterator[Cloud]:
    """Cloud a with many networks that are stretched to three peers, besides those with machines."""
    a, _ = clouds
    own = (a.ports, a.networks)
    tunnels = {
        TunnelPort(names.tunnel_port(cloud_id, GATEWAY_NAME), Vxlan(14789), TunnelEnds("192.0.2.1", address))
        for cloud_id, address in OTHER_PEERS.items()
    }
    a.gateways |= {c: PeerGateway(name=GATEWAY_NAME, address=address) for c, address in OTHER_PEERS.items()}
    to_all = tuple(replace(n, links=(*n.links, *_links(n.name, 0x180000 + i)[1:])) for i, n in enumerate(a.networks))
    a.ports = Ports(a.ports.tunnels | tunnels, a.ports.patches)
    _have(a, (*to_all, *map(_network, range(NETWORKS))))
    yield a
    a.ports, a.networks = own
    a.gateways = {a.peer: a.gateways[a.peer]}
    a.install()
    unwanted = a.database.view().ports.patches - a.ports.patches
    gone = {name for p in unwanted for name in (p.cloud_name, p.integration_name)} | {t.name for t in tunnels}
    a.database.apply(Ports(), gone)


def _links(name: str, tunnel_id: int) -> tuple[PlannedLink, ...]:
    return tuple(
        PlannedLink(peer, names.tunnel_port(peer, GATEWAY_NAME), tunnel_id, names.probe_mac(name, peer))
        for peer in ("cloud-b", *OTHER_PEERS)
    )


def _network(index: int) -> PlannedNetwork:
    name = f"cloud-a.{index}"
    links = _links(name, 0x101000 + index)
    return PlannedNetwork(name, names.patch_in_cloud_bridge(name), True, ("10.30.0.1",), links)


def _have(cloud: Cloud, networks: tuple[PlannedNetwork, ...]) -> None:
    """Have ports and flows of these networks, and nothing else."""
    existing = {patch.cloud_name for patch in cloud.ports.patches}
    patches = {
        PatchPair(names.patch_in_integration_bridge(n.name), n.patch_port, n.name, "fa:16:3e:00:00:01")
        for n in networks
        if n.patch_port not in existing
    }
    cloud.networks, cloud.ports = networks, Ports(cloud.ports.tunnels, cloud.ports.patches | patches)
    cloud.database.apply(Ports(cloud.ports.tunnels - cloud.database.view().ports.tunnels, frozenset(patches)), ())
    # A port without a tag is a trunk: each broadcast would enter all networks.
    tags = enumerate(sorted(patch.integration_name for patch in patches), FIRST_TAG)
    while some := [*islice(tags, 200)]:
        cloud.switch.vsctl(" -- ".join(f"set Port {name} tag={tag}" for tag, name in some))
    cloud.install()


def _installed(cloud: Cloud) -> dict[str, Installed]:
    """All flows by table and match."""
    listed = cloud.switch.ofctl("--no-names dump-flows br-cloud")
    return {
        f"{table},{match}": Installed(int(cookie, 16), int(packets))
        for cookie, table, packets, match in _FLOW.findall(listed)
    }


def _learned(flows: dict[str, Installed]) -> dict[str, Installed]:
    return {match: flow for match, flow in flows.items() if flow.cookie >> 48 == LEARNED_OWNER}


def _by_agents(changes: Iterable[FlowChange], before: dict[str, Installed]) -> list[FlowChange]:
    """Without new addresses of machines that were learned, and old ones that have expired."""
    known = {match.split(",", 2)[2] for match in _learned(before)}

    def is_of_machines(change: FlowChange) -> bool:
        is_new = change.event == "ADDED" and change.match not in known
        return change.cookie >> 48 == LEARNED_OWNER and (is_new or change.reason == "idle")

    return [change for change in changes if not is_of_machines(change)]


def test_added_network_touches_its_own_flows_only(crowded: Cloud, machines: dict[str, Machine]) -> None:
    assert machines["a-red"].ping("10.20.0.12") == 3
    before = _installed(crowded)
    assert _learned(before)
    with flow_changes(crowded.switch, "br-cloud") as changes:
        with machines["a-red"].pinging("10.20.0.12") as lost:
            _have(crowded, (*crowded.networks, _network(NETWORKS)))
            time.sleep(1)
            assert lost() == 0
        touched = Counter((change.event, change.cookie) for change in _by_agents(changes(), before))
    after = _installed(crowded)
    number = crowded.database.view().numbers.networks[_network(NETWORKS).patch_port]
    added = {match for match, flow in after.items() if flow.cookie == set_cookie(number)}
    assert len(added) == len(crowded.sets()[set_cookie(number)]) > 10
    assert after.keys() - before.keys() - _learned(after).keys() == added
    assert before.keys() <= after.keys()
    assert touched == {("ADDED", set_cookie(number)): len(added)}, "no other flow was changed or installed again"
    for match, flow in before.items():
        assert after[match].packets >= flow.packets, f"{match} has lost its counters"


def test_removed_network_takes_only_its_own_along(crowded: Cloud, machines: dict[str, Machine]) -> None:
    numbers = crowded.database.view().numbers.networks
    gone, kept = (numbers[_network(index).patch_port] for index in (NETWORKS - 1, 0))
    member = crowded.database.view().numbers.members["cloud-c"]
    for number in (gone, kept):
        learned = (
            f"cookie={learned_cookie(number, member):#x},table={Table.LEARNED:d},priority=10,reg0={number},actions=drop"
        )
        crowded.switch.ofctl(f"add-flow br-cloud {learned}")
    assert machines["a-blue"].ping("10.20.0.12") == 3
    before = _installed(crowded)
    patch = _network(NETWORKS - 1).patch_port
    crowded.install(tuple(n for n in crowded.networks if n.patch_port != patch))
    after = _installed(crowded)
    assert {flow.cookie for match, flow in before.items() if match not in after} == {
        set_cookie(gone),
        learned_cookie(gone, member),
    }
    assert learned_cookie(kept, member) in {flow.cookie for flow in after.values()}
    crowded.install()


def test_path_to_a_member_changes_and_its_addresses_remain(crowded: Cloud, machines: dict[str, Machine]) -> None:
    """The tunnel ID of one link changes, as if the peer had moved the network to another gateway, and back."""
    assert machines["a-red"].ping("10.20.0.12") == 3
    before = _learned(_installed(crowded))
    red, *others = crowded.networks
    moved = replace(red, links=(replace(red.links[0], tunnel_id=0x1FFFFF), *red.links[1:]))
    crowded.install((moved, *others))
    crowded.install()
    after = _learned(_installed(crowded))
    assert before.keys() <= after.keys()
    assert machines["a-red"].ping("10.20.0.12") == 3


DRIFT = {
    "foreign flows": [
        "add-flow br-cloud table=0,priority=99,in_port=1,actions=drop",
        "add-flow br-cloud hard_timeout=99,priority=98,actions=drop",
        f"add-flow br-cloud cookie={set_cookie():#x},table=2,priority=99,actions=drop",
        f"add-flow br-cloud cookie={learned_cookie(1, 1):#x},table=3,priority=99,actions=drop",
        "add-flow br-cloud table=99,actions=drop",
    ],
    "changed flows": [
        f"add-flow br-cloud table={Table.UNICAST:d},priority=0,actions=drop",
        f"mod-flows br-cloud table={Table.LEARN:d},actions=drop",
    ],
    "deleted flows": [f"del-flows br-cloud table={Table.GUARD:d}", "del-meters br-cloud"],
    "all flows deleted": ["del-flows br-cloud"],
}


@pytest.mark.parametrize("commands", DRIFT.values(), ids=DRIFT)
def test_any_change_by_others_is_seen_and_undone(
    crowded: Cloud, machines: dict[str, Machine], commands: list[str]
) -> None:
    wanted = crowded.sets()
    assert not crowded.flows.differ()
    for command in commands:
        crowded.switch.ofctl(command)
        wait_until(crowded.flows.differ, 20, f"notice of {command}", poll_seconds=0.05)

    def undone() -> bool:
        """Install as often as needed, like the agent: what was noticed last may have been an earlier command."""
        crowded.install()
        return crowded.openflow.view().flows == wanted

    wait_until(undone, 20, "the wanted flows", poll_seconds=0.05)
    view = crowded.openflow.view()
    assert view.flows == wanted
    assert view.meters == crowded.meters()
    wait_until(lambda: machines["a-red"].ping("10.20.0.12", 1) == 1, 20, "an answer")


def test_changed_flow_that_kept_its_cookie_is_seen(crowded: Cloud, machines: dict[str, Machine]) -> None:
    number, member = crowded.key(0)
    match = f"table={Table.OUTPUT:d},reg0={number},reg1=0,reg2={member}"
    crowded.switch.ofctl(f"mod-flows br-cloud {match},actions=drop")
    wait_until(crowded.flows.differ, 20, "notice of the change", poll_seconds=0.05)
    crowded.install()
    wait_until(lambda: machines["a-red"].ping("10.20.0.12", 1) == 1, 20, "an answer")


def test_foreign_flow_among_learned_ones_is_deleted(crowded: Cloud) -> None:
    crowded.switch.ofctl(f"add-flow br-cloud table={Table.LEARNED:d},priority=99,actions=drop")
    # Not seen while the number of learned flows is growing: two numbers are compared that are read one by one.
    wait_until(lambda: crowded.openflow.view().foreign_learned, 20, "notice of the flow")
    crowded.new_agent()
    crowded.install()
    assert not crowded.openflow.view().foreign_learned


def test_each_member_has_a_budget_of_its_own_and_costs_nothing(crowded: Cloud, machines: dict[str, Machine]) -> None:
    """A hostile machine of one peer uses up its own budget; addresses behind other peers are still learned."""
    red = crowded.networks[0]
    number, member = crowded.key(0)
    other = crowded.database.view().numbers.members["cloud-c"]
    sender = machines["b-red"]
    macs = [f"06:00:00:00:{index >> 8:02x}:{index & 255:02x}" for index in range(LIMIT + 100)]
    frames = [frame(BROADCAST, mac, arp(1, mac, "10.20.0.77", "10.20.0.78")) for mac in macs]

    def used_up() -> bool:
        for at in range(0, len(frames), 100):
            sender.send(*frames[at : at + 100])  # each is an upcall, and the queue of upcalls is short
            time.sleep(0.05)
        return _count(crowded, learned_cookie(number, member)) >= LIMIT

    wait_until(used_up, 60, "the hostile addresses")
    assert _count(crowded, learned_cookie(number, member)) == LIMIT
    tunnel = crowded.database.view().ofport[red.links[1].tunnel_port]
    crowded.switch.appctl(
        f"ofproto/trace br-cloud in_port={tunnel},tun_id={red.links[1].tunnel_id},"
        "dl_src=06:00:00:00:ff:ff,dl_dst=ff:ff:ff:ff:ff:ff -generate"
    )
    assert _count(crowded, learned_cookie(number, other)) == 1
    seconds = []
    for _ in range(10):
        began = time.process_time()
        assert not crowded.flows.differ()
        seconds.append(time.process_time() - began)
    # A guest takes for its own what its processor did for others meanwhile.
    assert min(seconds) < 0.05
    listed = crowded.openflow.view().flows
    assert {cookie >> 48 for cookie in listed} == {0x1571}


def _count(cloud: Cloud, cookie: int) -> int:
    listed = cloud.switch.ofctl(f"dump-aggregate br-cloud table={Table.LEARNED:d},cookie={cookie:#x}/-1")
    return int(listed.split("flow_count=")[1])


def test_new_agent_changes_nothing_and_numbers_survive(crowded: Cloud) -> None:
    before, view = _installed(crowded), crowded.database.view()
    assert crowded.sets() == crowded.openflow.view().flows
    with flow_changes(crowded.switch, "br-cloud") as changes:
        crowded.new_agent()
        crowded.install()
        assert _by_agents(changes(), before) == []
    assert crowded.database.view().numbers == view.numbers
