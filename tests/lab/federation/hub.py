"""Cloud A with two peers that do not know each other, and networks that are stretched to both."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import IPv4Address
from itertools import permutations
from socket import IPPROTO_ESP
from typing import Any

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.parallel import at_once
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, patch_spec, require_unchanged
from tests.testbed.install.spoke import Spoke, further_cloud, wait_connected
from tests.testbed.inventory import take
from tests.testbed.wan.capture import Capture
from tests.testbed.wan.wire import read_pcap
from tests.testbed.workload.broadcast import BroadcastRun, Heard
from tests.testbed.workload.machine import Machine, wait_for_pings
from tests.testbed.workload.tenant import Stretch, Tenant

READY_SECONDS = 120.0

BROADCASTS = 40
"""Of each machine, after which it is judged whether all have arrived."""

LONG_BYTES = 500
"""IPv4 packets with ESP that are as long have a frame of a tenant, or an echo by which an agent finds the MTU."""


class Hub:
    """The origin's federations with its two peers."""

    def __init__(self, pair: Federation, spoke: Spoke, capture: Capture) -> None:
        self.federations: tuple[Federation, ...] = (pair, spoke)
        self.origin = pair.a
        self.spoke = spoke
        self.capture = capture
        self.receivers_are_peers = False
        """Whether a test has peered both receivers with each other."""

    @property
    def clouds(self) -> tuple[Cloud, ...]:
        """All three."""
        return (self.origin.cloud, *(federation.receiver.cloud for federation in self.federations))

    def require_apart(self) -> None:
        """Fail if anything was sent between the receivers on the WAN, or nothing between the origin and one of them."""
        b, c = (federation.receiver.cloud for federation in self.federations)
        assert frames_between(self.capture, self.origin.cloud, c) > 0
        assert frames_between(self.capture, b, c) == 0

    def expand(self, name: str, network_id: str, peers: Sequence[str], topology: str | None) -> None:
        """Apply a NetworkExpansion to these peers, in the namespace of the same name; None: the default topology."""
        expansion = {
            "apiVersion": "isthmus.cloud/v1alpha1",
            "kind": "NetworkExpansion",
            "metadata": {"name": name, "namespace": name},
            "spec": {"networkID": network_id, "peers": _named(peers)} | ({"topology": topology} if topology else {}),
        }
        self.origin.cloud.kubectl("apply", "-f", "-", input=json.dumps(expansion))

    def wait_expanded(self, name: str, network_id: str, federations: Sequence[Federation]) -> None:
        """Wait until all sides are Ready, and all peers reach each other."""
        for federation in federations:
            federation.wait_expanded(name, name, network_id, READY_SECONDS)
        wait_connected(self.origin.cloud, name, name)


class Everywhere:
    """One network of the origin with a machine in each cloud."""

    def __init__(self, hub: Hub, tenant: Tenant, local: Machine) -> None:
        self.hub = hub
        self.tenant = tenant
        self.local = local
        self.stretches: dict[str, Stretch] = {}
        """By the receiver's cloud ID, as long as it is a member."""

    @property
    def machines(self) -> list[Machine]:
        """The machines, the origin's first; the others in the order of the federations."""
        receivers = (federation.receiver.cloud.cloud_id for federation in self.hub.federations)
        return [self.local, *(self.stretches[each].remotes[0] for each in receivers if each in self.stretches)]

    @property
    def broadcast(self) -> str:
        """The broadcast address of the subnet, a /24."""
        return str(IPv4Address(int(IPv4Address(self.tenant.cidr.partition("/")[0])) + 255))

    def request(self, topology: str | None = None) -> None:
        """Ask for it to be stretched to all peers; its machines admit all others of the subnet."""
        self.hub.federations[0].bind(self.tenant.name, self.tenant.project.id)
        self.tenant.admit()
        self._expand(topology)

    def _expand(self, topology: str | None = None) -> None:
        peers = [federation.receiver.cloud.cloud_id for federation in self.hub.federations]
        self.hub.expand(self.tenant.name, self.tenant.network_id, peers, topology)

    def rejoin(self) -> None:
        """Take the peers in again that were dropped, each with a machine; all machines reach each other."""
        self._expand()
        self.wait_expanded()
        self.boot_remotes()
        self.wait_for_ping()

    def change_topology(self, topology: str) -> None:
        """Change it, and wait until the origin reports that all peers reach each other with it."""
        origin, name = self.hub.origin.cloud, self.tenant.name
        patch_spec(origin, "networkexpansion", name, {"topology": topology}, "-n", name)
        wait_connected(origin, name, name)

    def wait_expanded(self) -> None:
        """Wait until all sides are Ready, and all peers reach each other."""
        self.hub.wait_expanded(self.tenant.name, self.tenant.network_id, self.hub.federations)

    def boot_remotes(self) -> None:
        """Boot a machine at each peer that has none, as soon as there is a replica."""
        missing = [each for each in self.hub.federations if each.receiver.cloud.cloud_id not in self.stretches]
        at_once(*(partial(self._boot_remote, federation) for federation in missing))

    def _boot_remote(self, federation: Federation) -> None:
        cloud = federation.receiver.cloud
        replica = partial(federation.replica_of, self.tenant.network_id)
        wait_until(replica, READY_SECONDS, f"a replica at {cloud.cloud_id}", poll_seconds=0.3)
        stretch = self.stretches[cloud.cloud_id] = Stretch.of(federation, self.tenant, self.local)
        stretch.boot_remote(f"{self.tenant.name}-{cloud.name}")
        stretch.remote.admit()

    def admit_all(self) -> None:
        """Let its machines receive whatever comes, so that nothing which should not have come is hidden."""
        for tenant in (self.tenant, *(stretch.remote for stretch in self.stretches.values())):
            tenant.project.allow_ingress("0.0.0.0/0")

    def drop(self, cloud_id: str) -> None:
        """Take one peer out of the NetworkExpansion, and wait until its replica is gone."""
        stretch = self.stretches.pop(cloud_id)
        where = ("-n", self.tenant.name)
        patch_spec(
            self.hub.origin.cloud, "networkexpansion", self.tenant.name, {"peers": _named([*self.stretches])}, *where
        )
        stretch.remove_remotes()
        self._wait_gone(stretch.federation)

    def release(self) -> None:
        """Delete the peers' machines and the NetworkExpansion, so that the replicas go."""
        at_once(*(stretch.remove_remotes for stretch in self.stretches.values()))
        self.stretches.clear()
        self.delete_expansion()

    def withdraw(self) -> None:
        """Release it, and wait until all replicas are gone; the origin's network stays."""
        self.release()
        for federation in self.hub.federations:
            self._wait_gone(federation)
        self.hub.origin.cloud.delete_namespace(self.tenant.name)

    def delete_expansion(self) -> None:
        """Delete the NetworkExpansion, as the tenant does."""
        where = ("-n", self.tenant.name, self.tenant.name)
        self.hub.origin.cloud.kubectl("delete", "networkexpansion", *where, "--ignore-not-found", "--timeout=60s")

    def wait_for_ping(self) -> None:
        """Wait until each machine reaches each other one."""
        wait_for_pings(self.machines, 60)

    def _wait_gone(self, federation: Federation) -> None:
        where = f"the replica at {federation.receiver.cloud.cloud_id} to be deleted"
        wait_until(lambda: federation.replica_of(self.tenant.network_id) is None, 90, where, poll_seconds=0.5)


@contextmanager
def three_clouds(peers: Federation) -> Iterator[Hub]:
    """The third cloud, installed and peered with A for the duration of the block; all is removed and compared.

    Fails unless all traffic on the WAN was protected, and none of it between B and C if they are no peers.
    """
    lab = peers.lab
    with further_cloud(peers) as spoke:
        cloud = spoke.b.cloud
        with lab.wan.capture(cloud.gateway) as capture:
            both = (peers.b.cloud, cloud)
            before = dict(zip(both, at_once(*(partial(take, each) for each in both)), strict=True))
            spoke.introduce()
            hub = Hub(peers, spoke, capture)
            yield hub
            spoke.settle()
            spoke.remove_peers()
            # Numbers that a switch has given to peers stay: B's has one for C if they were peers.
            if hub.receivers_are_peers:
                del before[peers.b.cloud]
            require_unchanged(before)
        summary = capture.summary()
        assert summary.esp > 0
        summary.require_protected()
        if not hub.receivers_are_peers:
            hub.require_apart()


def frames_between(capture: Capture, one: Cloud, other: Cloud, *, long_esp: bool = False) -> int:
    """The number of captured IPv4 packets between the WANs of two clouds: whatever they are, or ESP that is long."""
    ends = {one.site.wan, other.site.wan}
    found = 0
    for path in capture.paths:
        for frame in read_pcap(path):
            if frame[12:14] == b"\x08\x00" and (not long_esp or _is_long_esp(frame)):
                addresses = IPv4Address(frame[26:30]), IPv4Address(frame[30:34])
                found += {network for network in ends for address in addresses if address in network} == ends
    return found


def _is_long_esp(frame: bytes) -> bool:
    return frame[23] == IPPROTO_ESP and int.from_bytes(frame[16:18]) >= LONG_BYTES


@contextmanager
def at_origin(hub: Hub, name: str, cidr: str) -> Iterator[Everywhere]:
    """A network of A with a machine there, which may be stretched within the block; everything is removed."""
    with ExitStack() as undo:
        tenant = Tenant.create(hub.origin.cloud, name, cidr)
        undo.callback(tenant.delete)
        local = tenant.boot(f"{name}-a")
        undo.callback(local.delete)
        network = Everywhere(hub, tenant, local)
        undo.callback(network.withdraw)
        yield network


@contextmanager
def everywhere(hub: Hub, name: str, cidr: str, topology: str | None = None) -> Iterator[Everywhere]:
    """A network of A that is stretched to both peers, with a machine in each cloud that all reach each other."""
    with at_origin(hub, name, cidr) as network:
        network.request(topology)
        network.wait_expanded()
        network.boot_remotes()
        network.wait_for_ping()
        yield network


def all_hear_all(run: BroadcastRun, machines: Sequence[Machine], since: Mapping[str, Heard] | None = None) -> bool:
    """Whether each machine has received something of each other one, sent after `since`."""
    heard = run.heard()
    return all(
        heard[one.name].last_from(other) > (since[other.name].sent if since else 0)
        for one, other in permutations(machines, 2)
    )


def require_complete(run: BroadcastRun, machines: Sequence[Machine], since: Mapping[str, Heard] | None = None) -> None:
    """Wait for broadcasts of each machine at each other one; fail if one is missing, comes twice or comes back.

    Those that are sent after `since`, otherwise from the first one that a machine has received on: the programs do not
    start at the same time.
    """
    pairs = list(permutations(machines, 2))

    def arrived() -> list[list[int]]:
        heard = run.heard()
        return [_numbers(heard[one.name], other, since[other.name].sent if since else 0) for one, other in pairs]

    wait_until(lambda: min(map(len, arrived())) > BROADCASTS, 60, f"{BROADCASTS} broadcasts of each machine")
    for (one, other), numbers in zip(pairs, arrived(), strict=True):
        first = since[other.name].sent + 1 if since else numbers[0]
        assert numbers[:BROADCASTS] == list(range(first, first + BROADCASTS)), f"{other.name} to {one.name}"
    require_nothing_twice(run)


def require_nothing_twice(run: BroadcastRun) -> None:
    """Fail if anything has arrived more than once until now, or at the machine that has sent it."""
    assert {name: of.more_than_once for name, of in run.heard().items() if of.more_than_once} == {}


def _numbers(heard: Heard, sender: Machine, after: int) -> list[int]:
    return sorted(number for source, number in heard.seen if source == sender.address and number > after)


def _named(peers: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": peer} for peer in peers]
