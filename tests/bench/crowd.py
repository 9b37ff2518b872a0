"""A network of thousands of ports that is stretched to one peer, and what one port more costs there.

The machines are the origin's; the receiver has a remote port for each. Both controllers are the real ones, and so is
what the adapters make of objects; what the fakes of Kubernetes and Neutron do has no part in the CPU time.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any, Final, cast

from isthmus.adapters.kubernetes import wire
from isthmus.adapters.peers.budget import Budget
from isthmus.adapters.peers.collection import PortSlices
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.facts.openstack import NetworkQuota, Port
from isthmus.ports import T, is_effect
from tests.bench.watched import Published, event
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.many import Counted

_CIDR: Final = "10.20.0.0/16"
_FIRST_ADDRESS: Final = IPv4Address("10.20.1.0")  # outside of the pools, which slices are cut from
_SEED: Final = 0x9E3779B97F4A7C15F39CC0605CEDC834
_SUMMARY_SECONDS: Final = 5.0
_UNLIMITED: Final = NetworkQuota(-1, -1, -1)
_NEVER: Final = float("inf")


@dataclass(frozen=True)
class Change:
    """What one port more costs; times are CPU time in seconds."""

    published: tuple[str, ...]
    """Kinds of the objects that the origin changes for its peer."""
    wire_bytes: int
    """Of the events by which the origin's API server sends them to the peer."""
    origin_seconds: float
    """From Neutron's first sign of the port until all is written."""
    origin_bytes: int
    """Of objects in the requests to the origin's own API server."""
    receiver_seconds: float
    """From these events until all is written, in Neutron, too."""
    receiver_bytes: int
    receiver_effects: int
    """Requests that change something in the receiver's Neutron."""


class Crowd:
    """The network, of which the origin publishes so many ports."""

    def __init__(self, ports: int) -> None:
        federation = FakeFederation()
        self._clock = federation.clock
        self._a, self._b = federation.clouds
        self._b.settings = self._b.settings.model_copy(update={"remote_ports_per_network": 10_000})
        self._b.neutron.set_quota(self._b.neutron.own_project_id(), _UNLIMITED)
        self._origin, self._receiver = _Side(self._a), _Side(self._b)
        federation.agree()
        self._project_id, network, _ = self._a.tenant(cidr=_CIDR)
        self._network_id = network.id
        self._a.neutron.set_quota(self._project_id, _UNLIMITED)
        self._a.neutron.ports |= {port.id: port for port in self._machines(ports - len(self._a.neutron.ports))}
        self._a.expand(network.id, self._b.cloud_id)
        federation.settle()
        if reason(self._a.expansion()) != "Ready":
            raise RuntimeError(f"the network is not stretched: {self._a.expansion()}")
        self._published = Published(self._a, self._b)
        self._view = self._b.peers.views()[self._a.cloud_id]
        self._slices = PortSlices(Budget())
        self._follow_changes_alone()

    def attachment(self) -> Attachment:
        """The origin's."""
        (found,) = self._a.attachments()
        return found

    def largest_slice(self) -> int:
        """Bytes of an event that has the largest slice."""
        return max(len(event(each)) for each in self._published.all(PortSlice.registration.kind))

    def add(self) -> Change:
        """A machine more at the origin, until its remote port is there."""
        self._a.neutron.boot(self._network_id, self._project_id)
        self._clock.move(_SUMMARY_SECONDS)
        remote_ports = self._remote_ports()
        origin = self._origin.measured(self._learn_from_neutron)
        changed = self._published.changed()
        events = [event(each) for each in changed]
        receiver = self._receiver.measured(lambda: self._learn_from_peer(events))
        if self._remote_ports() != remote_ports + 1:
            raise RuntimeError(f"{self._remote_ports()} remote ports, there were {remote_ports}")
        return Change(
            published=tuple(str(each["kind"]) for each in changed),
            wire_bytes=sum(map(len, events)),
            origin_seconds=origin.seconds,
            origin_bytes=origin.bytes,
            receiver_seconds=receiver.seconds,
            receiver_bytes=receiver.bytes,
            receiver_effects=receiver.effects,
        )

    def _machines(self, count: int) -> Iterator[Port]:
        for number in range(count):
            id_ = str(uuid.UUID(int=(number + 1) * _SEED % 2**128))
            mac = f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
            addresses = (str(_FIRST_ADDRESS + number),)
            owner = "compute:nova"
            yield Port(id_, "", self._network_id, self._project_id, mac, addresses, owner, "ACTIVE", "compute-1")

    def _remote_ports(self) -> int:
        return sum(port.device_owner == names.REMOTE_DEVICE_OWNER for port in self._b.neutron.ports.values())

    def _follow_changes_alone(self) -> None:
        """As between two rounds in which everything is listed again; and the peer's slices are held as they are."""
        engine = self._a.controller.engine
        engine._facts.feed._part_at = _NEVER
        engine.follow_openstack()
        self._slices.put(self._published.all(PortSlice.registration.kind))
        self._have_slices()
        for cloud in (self._a, self._b):
            if cloud.controller.drain().actions:
                raise RuntimeError(f"{cloud.cloud_id} is not at rest")

    def _learn_from_neutron(self) -> None:
        self._a.controller.engine.follow_openstack()
        self._a.controller.drain()

    def _learn_from_peer(self, events: Sequence[bytes]) -> None:
        self._slices.put(json.loads(event)["object"] for event in events)
        self._have_slices()
        self._b.controller.drain()

    def _have_slices(self) -> None:
        """Have the receiver's controller know the slices that were read."""
        view = replace(self._view, port_slices=self._slices.by_link)
        self._b.controller.engine.state.set_views({self._a.cloud_id: view})


@dataclass(frozen=True)
class _Work:
    """CPU time in seconds, bytes written into Kubernetes, and requests that change something in Neutron."""

    seconds: float
    bytes: int
    effects: int


class _Side:
    """One cloud's controller, and what it has to do with Kubernetes and Neutron."""

    def __init__(self, cloud: FakeCloud) -> None:
        self._cluster, self._neutron = _Encoding(FakeCluster(cloud.store)), Counted(cloud.neutron)
        backends = replace(cloud.backends, cluster=cast(Any, self._cluster), cloud=cast(Any, self._neutron))
        cloud.restart(backends)

    def measured(self, work: Callable[[], None]) -> _Work:
        """What the controller does meanwhile."""
        self._cluster.bytes = 0
        self._neutron.calls.clear()
        in_fakes, began = self._in_fakes(), time.thread_time()
        work()
        seconds = time.thread_time() - began - (self._in_fakes() - in_fakes)
        effects = sum(count for name, count in self._neutron.calls.items() if is_effect(name))
        return _Work(seconds, self._cluster.bytes, effects)

    def _in_fakes(self) -> float:
        return self._cluster.fake.cpu_seconds + self._neutron.cpu_seconds


class _Encoding:
    """A cluster to which objects go as the adapter writes them, and from which they come back as it reads them."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.fake = Counted(cluster)
        self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fake, name)

    def apply(self, obj: T) -> T:
        """As `adapters.kubernetes.KubernetesCluster` does it."""
        manifest = obj.to_manifest()
        self.bytes += len(wire.apply_patch(manifest))
        return type(obj).from_wire(self.fake.apply_manifest(manifest))
