"""Keeps the flows of br-cloud as they must be: one set for each network and each peer, and one that all share.

Only sets that differ are changed. A set that Open vSwitch rejects is the problem of its owner alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from isthmus.core.node import flowsets
from isthmus.core.node.numbers import Numbering
from isthmus.core.node.plan import NodePlan
from isthmus.core.node.setcache import SetCache
from isthmus.model.actions import Problem
from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.names import PROBE_PORT
from isthmus.model.node.drops import Drop, DropKey
from isthmus.model.node.flows import FlowChanges, Flows, FlowSet, LinkKey, LinkTraffic, Meter, Owner, SetChange, Traffic
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import Direction, direction_of_meter, network_of, network_of_meter
from isthmus.model.node.switch import BridgeView
from isthmus.model.reasons import Reason
from isthmus.model.tracked import Tracked, differing
from isthmus.ports import Clock, OpenFlow, Ovsdb

_LOG = logging.getLogger(__name__)
_COMPARE_ALL_SECONDS = 30.0
_MAX_SINGLE = 8  # sets that are listed one by one; more are listed together
_MAX_WRITTEN = 3  # times that a set is written before it is given up until everything is compared again
_MAX_NAMED = 3  # owners in one line of the log


class FlowSets:
    """The flow sets of br-cloud. Not thread-safe."""

    def __init__(self, openflow: OpenFlow, ovsdb: Ovsdb, clock: Clock) -> None:
        self._openflow = openflow
        self._ovsdb = ovsdb
        self._clock = clock
        self._cache = SetCache()
        self._numbering = Numbering()
        self._instance = ""
        self._installed: dict[int, Flows] | None = None
        """By cookie, as far as known; None: everything must be listed."""
        self._suspects: set[int] | None = None
        """Cookies whose flows may differ from the wanted ones; None: all."""
        self._meters: dict[int, Meter | None] = {}
        """By ID; None: of another form than ours."""
        self._wanted_meters: Mapping[int, Meter] = Tracked()
        self._unwanted_meters: set[int] = set()
        """IDs of those of `_meters` that no set uses."""
        self._foreign_learned = False
        self._compared_at = float("-inf")
        self._wanted: Mapping[int, FlowSet] = Tracked()
        self._written: dict[int, int] = {}
        """How often a set was written in succession, always alike, without being listed like that."""
        self._rejected: dict[int, FlowSet] = {}
        self._dropped: Mapping[DropKey, int] = {}
        self._over_bandwidth: Mapping[tuple[int, Direction], int] = {}
        self._relayed: Mapping[tuple[int, int, int], Traffic] = {}
        self._counters: Mapping[tuple[int, int], LinkTraffic] = {}
        self._receiving: tuple[object, frozenset[LinkKey]] = (self._counters, frozenset())
        """Made from these counters."""
        self._numbers = Numbers()
        self._kept: frozenset[int] = frozenset()
        """Numbers of networks whose sets are not known, and stay as they are."""
        self.direct: Mapping[LinkKey, bool] = Tracked()
        """The members with two paths that `ensure` sends to directly."""
        self.problems: Mapping[Owner, Problem] = {}
        """Why the flows of a network or a peer are not installed as they must be."""

    @property
    def listing(self) -> object:
        """Another object whenever all flows have been listed."""
        return self._counters

    def forget(self) -> None:
        """Number and render everything the next time; what is installed is compared from time to time anyway."""
        self._cache, self._numbering = SetCache(), Numbering()

    def ensure(self, plan: NodePlan, bridge: BridgeView) -> bool:
        """Have exactly the flows of the plan on br-cloud; whether they are there (not if there is no bridge).

        Raises ExternalError if nothing could be installed.
        """
        if not bridge.exists:
            self._installed, self._counters, self.problems = None, {}, {}
            self._dropped, self._over_bandwidth, self._relayed = {}, {}, {}
            return False
        if PROBE_PORT not in bridge.ofport:
            raise Unavailable(f"Open vSwitch has not assigned an OpenFlow port to {PROBE_PORT} yet")
        try:
            self._numbers = self._number(plan, bridge)
            self._keep(plan)
            wanted = self._cache.sets(plan, self._numbers, bridge.ofport, bridge.ports.tunnels, self.direct)
            self._want(wanted, self._cache.meters)
        except Exception:
            self.forget()
            raise
        self._refresh()
        try:
            self._install(self._changes())
        except Invalid:
            # Somebody may have deleted a meter, or the list may be outdated: list everything before blaming a set.
            self._list_everything()
            self._install_separately(self._changes())
        self.problems = self._problems()
        return True

    def differ(self) -> bool:
        """Whether the installed flows are no longer what `ensure` made of them. Costs next to nothing if none changed.

        Raises ExternalError if they cannot be listed.
        """
        if self._installed is None:
            return True  # they could not be listed
        self._refresh()
        return bool(self._changes())

    def traffic(self, plan: NodePlan) -> dict[LinkKey, LinkTraffic]:
        """What each link of the plan has carried since its flows were installed, as last listed."""
        numbers, nothing = self._numbers, LinkTraffic()
        return {
            (network.name, link.member): self._counters.get(
                (numbers.networks.get(network.patch_port, 0), link.number_on_node(numbers.members)), nothing
            )
            for network in plan.networks
            for link in network.links
        }

    def dropped(self, plan: NodePlan) -> dict[tuple[str, str, Drop], int]:
        """Frames that were dropped since flows or meters were installed, as last listed, where there are any.

        By the network's link name, the name of the member that they came from ("": this cloud), and the reason.
        """
        numbers, senders = self._numbers, {}
        for network in plan.networks:
            number = numbers.networks.get(network.patch_port, 0)
            senders[number, 0] = network.name, ""
            senders |= {
                (number, link.number_on_node(numbers.members)): (network.name, link.member) for link in network.links
            }
        return {
            (*senders[number, sender], reason): frames
            for (number, sender, reason), frames in self._dropped.items()
            if (number, sender) in senders
        }

    def over_bandwidth(self) -> dict[tuple[str, Direction], int]:
        """Frames that were dropped since meters were installed, as last listed, by the peer that had its bandwidth."""
        peers = {number: cloud_id for cloud_id, number in self._numbers.members.items()}
        counted = self._over_bandwidth.items()
        return {(peers[number], direction): frames for (number, direction), frames in counted if number in peers}

    def relayed(self, plan: NodePlan) -> dict[tuple[str, str, str], Traffic]:
        """What was handed on since the flows for it were installed, but for probes, as last listed.

        By the network's link name, the peer that sent it and the one that it was for, where there is anything.
        """
        numbers = self._numbers
        names = {numbers.networks.get(network.patch_port): network.name for network in plan.networks}
        peers = {number: cloud_id for cloud_id, number in numbers.members.items()}
        return {
            (names[network], peers[sender], peers[receiver]): traffic
            for (network, sender, receiver), traffic in self._relayed.items()
            if network in names and sender in peers and receiver in peers
        }

    def receiving(self, plan: NodePlan) -> frozenset[LinkKey]:
        """Links that had received packets since their flows were installed when all flows were listed last."""
        if self._receiving[0] is not self._counters:
            found = frozenset(key for key, traffic in self.traffic(plan).items() if traffic.received.packets)
            self._receiving = self._counters, found
        return self._receiving[1]

    def _number(self, plan: NodePlan, bridge: BridgeView) -> Numbers:
        current, networks = bridge.numbers, plan.networks.by_patch_port
        numbers = self._numbering.numbers(current, networks, bridge.ofport, plan.gateways)
        unwritten = self._numbering.unwritten
        if unwritten or any(current.members.get(name) != found for name, found in numbers.members.items()):
            # Numbers that are not used any more are removed along with it.
            self._ovsdb.set_numbers(replace(numbers, networks=unwritten))
        return numbers

    def _keep(self, plan: NodePlan) -> None:
        numbers, before = self._numbers.networks, self._kept
        self._kept = frozenset(numbers[name] for name in plan.kept_patches if name in numbers)
        if before == self._kept:
            return
        if self._suspects is not None:
            changed = before ^ self._kept
            self._suspects |= {cookie for cookie in self._installed or () if network_of(cookie) in changed}
        self._unwanted_meters = self._find_unwanted(self._meters)

    def _want(self, sets: Mapping[int, FlowSet], meters: Mapping[int, Meter]) -> None:
        changed, changed_meters = differing(self._wanted, sets), differing(self._wanted_meters, meters)
        self._wanted, self._wanted_meters = sets, meters
        for cookie in changed:
            self._written.pop(cookie, None)
        if self._suspects is not None:
            self._suspects |= {*changed}
        self._unwanted_meters.difference_update(changed_meters)
        self._unwanted_meters |= self._find_unwanted(changed_meters)

    def _find_unwanted(self, meters: Iterable[int]) -> set[int]:
        """Those of the meters that exist and that no set uses, wanted or kept."""
        unused = (meter for meter in meters if meter in self._meters and meter not in self._wanted_meters)
        # Open vSwitch deletes the flows that use a meter with it: a kept network may use that of any peer.
        return {
            m for m in unused if network_of_meter(m) not in self._kept and not (self._kept and direction_of_meter(m))
        }

    def _refresh(self) -> None:
        """List what has changed since it was listed."""
        instance = self._openflow.instance()
        changed = self._openflow.changed()  # asked first: whatever changes while flows are listed is notified
        now = self._clock.monotonic_seconds()
        if now >= self._compared_at + _COMPARE_ALL_SECONDS or instance != self._instance:
            self._compared_at, self._instance = now, instance
            self._list_everything()
            # What was given up is tried again.
            self._rejected = {}
            self._written = {cookie: min(count, _MAX_WRITTEN - 1) for cookie, count in self._written.items()}
        elif self._installed is None or changed is None:
            self._list_everything()
        elif len(changed) > _MAX_SINGLE or not all(map(self._is_as_believed, changed)):
            self._list_everything()  # what others have added may have taken the place of flows of any set

    def _is_as_believed(self, cookie: int) -> bool:
        """Whether the flows with that cookie, which have changed, are now those that we wrote last."""
        believed = (self._installed or {}).get(cookie, frozenset())
        if not flowsets.same_flows(believed, self._openflow.flows_of(cookie)):
            return False
        self._confirm(cookie)
        return True

    def _list_everything(self) -> None:
        self._installed = self._suspects = None  # if it fails, nothing is known
        view = self._openflow.view()
        self._installed = dict(view.flows)
        self._meters = {**dict.fromkeys(view.other_meters), **{meter.id: meter for meter in view.meters}}
        self._unwanted_meters = self._find_unwanted(self._meters)
        self._foreign_learned = view.foreign_learned
        self._counters, self._dropped, self._over_bandwidth = view.traffic, view.dropped, view.over_bandwidth
        self._relayed = view.relayed
        for cookie in [*self._written]:
            self._confirm(cookie)

    def _confirm(self, cookie: int) -> None:
        """Note that what was written is listed."""
        wanted, installed = self._wanted.get(cookie), (self._installed or {}).get(cookie, frozenset())
        if wanted is None or flowsets.same_flows(wanted.flows, installed):
            self._written.pop(cookie, None)

    def _changes(self) -> list[SetChange]:
        """The changes of sets that may differ, which are all after everything was listed."""
        wanted, installed = self._wanted, self._installed or {}
        if self._kept:
            installed = {cookie: flows for cookie, flows in installed.items() if network_of(cookie) not in self._kept}
        if self._suspects is not None:
            wanted = {cookie: wanted[cookie] for cookie in self._suspects if cookie in wanted}
            installed = {cookie: installed[cookie] for cookie in self._suspects if cookie in installed}
        changes = flowsets.differences(wanted, installed, self._meters)
        self._suspects = {change.cookie for change in changes}
        return [change for change in changes if not self._given_up(change.cookie)]

    def _given_up(self, cookie: int) -> bool:
        """Whether this very set was rejected, or is listed differently each time that it is written."""
        wanted = self._wanted.get(cookie)
        return wanted is not None and (
            self._rejected.get(cookie) == wanted or self._written.get(cookie, 0) >= _MAX_WRITTEN
        )

    def _install(self, changes: Sequence[SetChange]) -> None:
        change = FlowChanges(tuple(changes), tuple(sorted(self._unwanted_meters)), self._foreign_learned)
        if change == FlowChanges():
            return
        _LOG.info("changing flows of br-cloud: %s", _summary(changes))
        self._openflow.replace(change)
        self._meters |= {meter.id: meter for meter in change.meters}
        for meter in change.delete_meters:
            del self._meters[meter]
        self._unwanted_meters, self._foreign_learned = set(), False
        assert self._installed is not None
        for cookie in (found.cookie for found in changes):
            flow_set = self._wanted.get(cookie)
            if flow_set is None:
                self._installed.pop(cookie, None)
            else:
                self._installed[cookie] = flow_set.flows
                self._written[cookie] = self._written.get(cookie, 0) + 1
        self._verify([found.cookie for found in changes if self._written.get(found.cookie, 0) > 1])

    def _verify(self, again: Sequence[int]) -> None:
        """List sets that were written again: others may have changed them before they were listed after the first time.

        Many are left to later listings.
        """
        if len(again) <= _MAX_SINGLE:
            for cookie in again:
                self._is_as_believed(cookie)

    def _install_separately(self, changes: Sequence[SetChange]) -> None:
        """Install as many as possible together, and find those that Open vSwitch rejects."""
        try:
            self._install(changes)
        except Invalid as error:
            if len(changes) > 1:
                middle = len(changes) // 2
                self._install_separately(changes[:middle])
                self._install_separately(changes[middle:])
            elif not changes or changes[0].owner is None or changes[0].owner.kind == "common":
                raise
            else:
                self._rejected[changes[0].cookie] = self._wanted[changes[0].cookie]
                _LOG.warning("the flows of %s are rejected: %s", changes[0].owner, error)

    def _problems(self) -> dict[Owner, Problem]:
        text = "Open vSwitch rejects its flows, or lists others than were written; see the log"
        cookies = self._rejected.keys() | {c for c, count in self._written.items() if count >= _MAX_WRITTEN}
        problem = Problem(Reason.FLOWS_REJECTED, text)
        return {self._wanted[cookie].owner: problem for cookie in cookies if cookie in self._wanted}


def _summary(changes: Sequence[SetChange]) -> str:
    owners = [str(change.owner or f"cookie {change.cookie:#x}") for change in changes[:_MAX_NAMED]]
    more = [f"{len(changes) - _MAX_NAMED} more"] if len(changes) > _MAX_NAMED else []
    return ", ".join([*owners, *more]) or "meters or learned flows"
