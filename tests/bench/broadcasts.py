"""Copies of one broadcast on the access links of a sender and of the origin, by topology and number of clouds.

Counted on the flows that gateways render from what real controllers, on fakes, have agreed on; nothing is timed. A
gateway of a network of topology Hybrid sends to each receiver directly, as it does while all paths are up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.networkexpansion import Topology
from tests.bench.result import Result, exactly, reported
from tests.fakes.federation import FakeCloud, FakeFederation
from tests.flowinterpreter.clouds import Clouds, Gateway, Network
from tests.flowinterpreter.plans import Place, node_plan
from tests.kernel.frames import BROADCAST, frame, ipv4_udp

CLOUDS: Final = (3, 5)
_SENDER_MAC: Final = "fa:16:3e:00:00:b1"  # of a machine that nobody has published


def measure() -> list[Result]:
    """Counts of each topology."""
    return [result for clouds in CLOUDS for topology in get_args(Topology) for result in _of(topology, clouds)]


def _of(topology: Topology, count: int) -> list[Result]:
    federation = FakeFederation(*"abcdefgh"[:count])
    federation.agree()
    origin, *receivers = federation.clouds
    origin.expand(origin.tenant()[1].id, *(each.cloud_id for each in receivers), topology=topology)
    federation.settle()
    clouds, case = Clouds(_gateways(federation.clouds)), f"broadcast, {topology}, {count} clouds"
    of_origin, of_receiver = (_sent(clouds, sender, count) for sender in (origin, receivers[0]))
    return [
        exactly(f"{case}: copies that the origin sends", of_origin[origin.cloud_id], "frames", count - 1),
        exactly(f"{case}: copies that a receiver sends", of_receiver[receivers[0].cloud_id], "frames", count - 1),
        reported(f"{case}: copies of a receiver's that the origin hands on", of_receiver[origin.cloud_id], "frames"),
    ]


def _sent(clouds: Clouds, sender: FakeCloud, count: int) -> dict[str, int]:
    """Frames that entered tunnels, by cloud; raises RuntimeError unless each other cloud has got one."""
    broadcast = frame(BROADCAST, _SENDER_MAC, ipv4_udp("10.20.0.9", "10.20.0.255", 4000, 4000))
    journey = clouds.send(Network(sender.cloud_id, _attachment(sender).metadata.name), broadcast)
    if [*journey.copies.values()] != [1] * (count - 1):
        raise RuntimeError(f"a broadcast of {sender.cloud_id} has come to {journey.copies}")
    return journey.tunnelled


def _gateways(clouds: list[FakeCloud]) -> Iterator[Gateway]:
    places = [Place(cloud.cloud_id, f"gw-{cloud.cloud_id}", cloud.gateway_address) for cloud in clouds]
    for cloud, place in zip(clouds, places, strict=True):
        attachment = _attachment(cloud)
        origin = attachment.spec.origin.cloud_id
        direct = {
            (attachment.metadata.name, names.member(origin, path.number)): True for path in attachment.spec.direct_paths
        }
        yield Gateway(cloud.cloud_id, place.name, node_plan(place, places, (attachment,)), direct=direct)


def _attachment(cloud: FakeCloud) -> Attachment:
    (found,) = cloud.attachments()
    return found
