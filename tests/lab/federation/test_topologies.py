"""Two receivers that are peers: frames between them go directly, and through the origin while that fails.

Last of this directory: from then on there is traffic between the two on the WAN.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.lab.federation.hub import Everywhere, Hub, everywhere, frames_between
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import MANIFESTS, condition, objects, patch_spec
from tests.testbed.install.spoke import Spoke
from tests.testbed.workload.broadcast import BroadcastRun

pytestmark = pytest.mark.stage("third")

CHANGED_SECONDS = 60
_PINGS = 100
_SOME_SECONDS = 2.0
DIRECT, THROUGH = "Direct", "ThroughOrigin"


class Receivers(Spoke):
    """Clouds B and C, which A has both as peers."""

    def __init__(self, hub: Hub) -> None:
        self.hub, pair = hub, hub.federations[0]
        super().__init__(pair, hub.spoke.b.cloud)
        self.a = self.origin = pair.b
        self.b = self.receiver = hub.spoke.b

    def introduce(self) -> None:
        """Peer both clouds, which have their policies already."""
        self.agree()
        self.apply("peer.yaml")
        self.wait_for_peers()

    def apply(self, file: str) -> None:
        """Apply a manifest of the demo, which is about B: at C as it is, and at B with C in its place."""
        manifest = (MANIFESTS / "cloud-a" / file).read_text()
        self.b.cloud.kubectl("apply", "-f", "-", input=manifest)
        b, c = self.lab.b.site, self.b.cloud.site
        manifest = manifest.replace(b.cloud_id, c.cloud_id).replace(str(b.wan), str(c.wan))
        self.a.cloud.kubectl("apply", "-f", "-", input=manifest)

    def end_agreement(self) -> None:
        """Revoke the agreement on both sides; both keep their policies."""
        for ours, theirs in ((self.a, self.b), (self.b, self.a)):
            with tempfile.TemporaryDirectory() as directory:
                ours.isthmus("revoke", theirs.cloud.cloud_id, "--yes", directory=directory)


@pytest.fixture(scope="module")
def receivers(hub: Hub) -> Iterator[Receivers]:
    """Clouds B and C as peers of each other."""
    found = Receivers(hub)
    hub.require_apart()
    hub.receivers_are_peers = True
    try:
        found.introduce()
        yield found
    finally:
        found.end_agreement()


@pytest.fixture(scope="module")
def hybrid(receivers: Receivers) -> Iterator[Everywhere]:
    """A network in all three clouds, in the default topology."""
    with everywhere(receivers.hub, "topology", "10.64.0.0/24") as network:
        yield network


def paths(cloud: Cloud, network: Everywhere) -> set[str | None]:
    """The paths that the active gateway node has chosen to other receivers of the network."""
    name = f"cloud-a.{network.tenant.network_id}"
    (found,) = [each for each in objects(cloud, "attachments") if each["metadata"]["name"] == name]
    nodes = found.get("status", {}).get("nodes", [])
    active = [node for node in nodes if node["node"] == found["spec"].get("activeNode")]
    return {member.get("path") for node in active for member in node.get("members", []) if member["up"]}


def wait_for_paths(receivers: Receivers, network: Everywhere, wanted: set[str | None], seconds: float) -> None:
    for side in receivers.both:
        chosen = partial(paths, side.cloud, network)
        wait_until(lambda: chosen() == wanted, seconds, f"{side.cloud.cloud_id} to choose {wanted}")  # noqa: B023


def change(hub: Hub, network: Everywhere, topology: str) -> None:
    name = network.tenant.name
    patch_spec(hub.origin.cloud, "networkexpansion", name, {"topology": topology}, "-n", name)


def test_receivers_that_are_peers_use_their_own_tunnel(receivers: Receivers, hybrid: Everywhere) -> None:
    wait_for_paths(receivers, hybrid, {DIRECT}, CHANGED_SECONDS)
    _, b, c = hybrid.machines
    with receivers.lab.wan.capture(receivers.b.cloud.gateway) as capture:
        assert b.ping(str(c.address), count=_PINGS, interval_seconds=0.02).all_answered
    assert frames_between(capture, *(side.cloud for side in receivers.both)) >= 2 * _PINGS
    assert b.tcp_exchange(c).intact
    hybrid.wait_for_ping()


def test_the_origin_hands_frames_on_while_the_direct_path_is_cut(
    receivers: Receivers, hybrid: Everywhere, record_property: Callable[[str, object], None]
) -> None:
    machines, wan = hybrid.machines, receivers.lab.wan
    _, b, c = machines
    wait_for_paths(receivers, hybrid, {DIRECT}, CHANGED_SECONDS)
    with BroadcastRun(machines, hybrid.broadcast) as run, b.start_ping(str(c.address)) as ping:
        time.sleep(_SOME_SECONDS)
        wan.drop_between(*(side.cloud.site.gateway_wan_address.ip for side in receivers.both))
        try:
            wait_for_paths(receivers, hybrid, {THROUGH}, CHANGED_SECONDS)
            assert c.ping(str(b.address)).all_answered
        finally:
            wan.pass_between()
        wait_for_paths(receivers, hybrid, {DIRECT}, CHANGED_SECONDS)
        time.sleep(_SOME_SECONDS)
        heard, result = run.heard(), ping.stop()
    silence = f"longest silence {result.longest_silence_seconds:.2f} s"
    record_property("direct path cut", f"{result.lost} of {result.transmitted} pings lost, {silence}")
    assert {name: of.more_than_once for name, of in heard.items() if of.more_than_once} == {}


def test_the_topology_is_changed_under_traffic(hub: Hub, receivers: Receivers, hybrid: Everywhere) -> None:
    machines, name = hybrid.machines, hybrid.tenant.name
    with BroadcastRun(machines, hybrid.broadcast) as run:
        for topology, wanted in (("Centralized", THROUGH), ("Decentralized", DIRECT), ("Hybrid", DIRECT)):
            change(hub, hybrid, topology)
            wait_for_paths(receivers, hybrid, {wanted}, CHANGED_SECONDS)
            hybrid.wait_for_ping()
            wanted_links = 0 if topology == "Centralized" else 1
            for side in receivers.both:
                listed = partial(objects, side.cloud, "memberlinks")
                wait_until(lambda: len(listed()) == wanted_links, CHANGED_SECONDS, "MemberLinks to follow")  # noqa: B023
        heard = run.heard()
    assert {name: of.more_than_once for name, of in heard.items() if of.more_than_once} == {}
    found = condition(hub.origin.cloud, "networkexpansion", name, name, "MembersConnected")
    assert found.get("status") == "True", json.dumps(found)
