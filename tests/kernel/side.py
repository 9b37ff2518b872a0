"""A complete agent on a real switch, charon and kernel, with a fake cluster."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Protocol

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.linux.devices import KernelTunnelDevices
from isthmus.adapters.linux.inner import InnerDevice
from isthmus.adapters.linux.monitor import NetlinkMonitor
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.ping import IcmpPing
from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.agent.backends import Backends
from isthmus.agent.kubernetes import KubernetesIntents, KubernetesReports
from isthmus.agent.loop import Agent
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.errors import Unavailable
from isthmus.model.node.firewall import DEVICE_FAMILY
from isthmus.model.settings import AgentSettings
from isthmus.ports import Observer, is_effect
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.outages import KUBERNETES, Outages
from tests.fakes.agent_harness import report_attachments
from tests.fakes.cluster import FakeCluster
from tests.fakes.leases import FakeLeases
from tests.fakes.nodeobjects import published_spec
from tests.fakes.store import Store
from tests.kernel.node import Node, Pair
from tests.kernel.openvswitch import Machine, Switch, inside

NETWORK = "0a9af7a5-9cbb-4d3c-8d4e-000000000001"
LINK = f"cloud-a.{NETWORK}"
TUNNEL_ID = 0x100000
PSK = b"0123456789abcdef0123456789abcdef"
RESYNC_SECONDS = 2
_API_TIMEOUT_SECONDS = 10


class Published(Protocol):
    """A cloud as its peer knows it, whatever runs there."""

    name: str

    @property
    def gateway(self) -> dict[str, Any]: ...


class Counting:
    """A port that records its effects."""

    def __init__(self, port: Any, effects: list[str]) -> None:
        self._port, self._effects = port, effects

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not is_effect(name):
            return method

        def effect(*args: Any) -> Any:
            self._effects.append(f"{name} {args}")
            return method(*args)

        return effect


class Hanging:
    """A Kubernetes API whose calls hang, as behind a firewall that drops its packets, while it is not `available`."""

    def __init__(self, cluster: Any, available: threading.Event) -> None:
        self._cluster, self._available = cluster, available

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cluster, name)

        def call(*args: Any) -> Any:
            if not self._available.wait(_API_TIMEOUT_SECONDS):
                raise Unavailable("the API server does not respond")
            return method(*args)

        return call


class Wakeable:
    """Both watches of an agent: wakes it, and lists Attachments, when `Side` says so."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wake: Callable[[], None] = lambda: None
        self._observer: Observer | None = None

    def start(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def observe(self, observer: Observer) -> None:
        self._observer = observer
        self.wake()

    def stop(self) -> None:
        self._wake, self._observer = lambda: None, None

    def wake(self) -> None:
        if self._observer is not None:
            report_attachments(self._store, self._observer)
        self._wake()


class Stream:
    """`ports.ObjectWatch` of Attachments."""

    def __init__(self, watch: Wakeable) -> None:
        self.start, self._watch = watch.observe, watch

    def stop(self) -> None:
        self._watch.stop()


@dataclass
class Side:
    """One cloud: its cluster, its gateway node, its agent."""

    name: str
    node: Node
    switch: Switch
    machine: Machine
    resync_seconds: float = RESYNC_SECONDS
    store: Store = field(default_factory=Store)
    effects: list[str] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    published: dict[str, Any] = field(default_factory=dict)
    """What its cloud publishes of its gateway besides, or instead of the node's address."""

    def __post_init__(self) -> None:
        self.watch = Wakeable(self.store)
        self.kubectl, self.controller = FakeCluster(self.store, "kubectl"), FakeCluster(self.store)
        self.peer = "b" if self.name == "a" else "a"
        self.api = threading.Event()
        self.api.set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start an agent in the node's network namespace."""
        self._stop = threading.Event()
        settings = AgentSettings(
            node_name=f"gw-{self.name}",
            cloud_id=f"cloud-{self.name}",
            gateway_cidrs=(str(ip_network(self.node.address)),),
            resync_seconds=self.resync_seconds,
        )
        database = OvsdbDatabase(self.switch.socket, 300)
        cluster, clock, outages = self.agents_cluster(), SystemClock(), Outages()
        outage = outages[KUBERNETES]
        reports = KubernetesReports(cluster, settings.node_name, clock, outage, settings.resync_seconds)
        backends = Backends(
            leases=FakeLeases(),
            intents=KubernetesIntents(
                cluster, self.watch, Stream(self.watch), settings, clock, outage, reports, Metrics()
            ),
            reports=reports,
            netlink=RtNetlink(),
            inner=Counting(InnerDevice(), self.effects),
            monitor=NetlinkMonitor(names.NFTABLES_TABLE),
            xfrm=Counting(NetlinkXfrm(), self.effects),
            firewall=Counting(Nft(), self.effects),
            clamping=Counting(Nft(DEVICE_FAMILY), self.effects),
            devices=Counting(KernelTunnelDevices(), self.effects),
            ike=Counting(self.node.new_ike(), self.effects),
            ovsdb=Counting(database, self.effects),
            openflow=Counting(OvsOfctl(self.switch.socket), self.effects),
            probe=PacketProbe(),
            ping=IcmpPing(),
            clock=clock,
            metrics=self.metrics,
            outages=outages,
        )
        agent = Agent(settings, backends)

        def run_agent() -> None:
            inside(self.switch.netns, lambda: agent.run(self._stop))
            database.close()

        self._thread = threading.Thread(target=run_agent)
        self._thread.start()

    def agents_cluster(self) -> Any:
        """The cluster as the agent uses it."""
        return Hanging(Counting(FakeCluster(self.store, f"{names.AGENT}-gw-{self.name}"), self.effects), self.api)

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def gateway(self) -> dict[str, Any]:
        """Its gateway as its cloud publishes it."""
        return {"name": f"gw-{self.name}", "address": self.node.address} | self.published

    def introduce(self, other: Published, mode: str = "Transport", kind: str = "VXLAN") -> None:
        """Apply what administrator and controller write for a peer."""
        cloud, peer = f"cloud-{self.name}", f"cloud-{other.name}"
        for namespace in (names.SYSTEM_NAMESPACE, names.IPSEC_NAMESPACE, names.peer_namespace(peer)):
            self.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.set_key(PSK)
        self.kubectl.apply(IPsecPolicy.from_wire({"metadata": {"name": "strong"}, "spec": {}}))
        self.kubectl.apply(
            CloudPeer.from_wire(
                {
                    "metadata": {"name": peer},
                    "spec": {
                        "cloudID": peer,
                        "api": {"kubeconfigSecretRef": {"name": "unused"}},
                        "gatewayCIDRs": [str(ip_network(other.gateway["address"]))],
                        "ipsec": {"policyRef": {"name": "strong"}, "authSecretRef": {"name": "psk"}},
                    },
                }
            )
        )
        specs = [
            published_spec(cloud, peer, self.gateway, encapsulation=kind, mode=mode),
            published_spec(peer, cloud, other.gateway, encapsulation=kind, mode=mode),
        ]
        link = PeerLink.from_wire(
            {
                "metadata": {"name": cloud, "namespace": names.peer_namespace(peer)},
                "spec": specs[0],
                "status": {
                    "peer": {"uid": "u", "generation": 1, "firstSeen": "2026-01-01T00:00:00Z", "spec": specs[1]}
                },
            }
        )
        self.controller.apply(link)
        self.controller.apply_status(link)
        self.kubectl.apply_manifest(
            {"apiVersion": "isthmus.cloud/v1alpha1", "kind": "GatewayNode", "metadata": {"name": f"gw-{self.name}"}}
        )
        self.watch.wake()

    def set_key(self, key: bytes) -> None:
        """Store the pre-shared key."""
        self.store_secret({"psk": base64.b64encode(key).decode()})

    def store_secret(self, data: dict[str, str]) -> None:
        """Store what IKE with the peer needs."""
        secret = {"name": "psk", "namespace": names.IPSEC_NAMESPACE}
        self.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "data": data})
        self.watch.wake()

    def attach(self, other: Published) -> None:
        """Apply what the controller writes for a stretched network."""
        self.controller.apply(
            Attachment.from_wire(
                {
                    "metadata": {"name": LINK, "namespace": names.SYSTEM_NAMESPACE},
                    "spec": {
                        "origin": {"cloudID": "cloud-a", "networkID": NETWORK},
                        "role": "Origin" if self.name == "a" else "Receiver",
                        "activeNode": f"gw-{self.name}",
                        "ports": [{"node": f"gw-{self.name}", "portID": NETWORK, "mac": "fa:16:3e:00:00:01"}],
                        "links": [
                            {
                                "cloudID": f"cloud-{other.name}",
                                "tunnelID": TUNNEL_ID,
                                "gateway": other.gateway,
                            }
                        ],
                    },
                }
            )
        )
        self.watch.wake()

    def withdraw(self) -> None:
        """Delete the network and the peer."""
        for kind, name, namespace in (
            (Attachment, LINK, names.SYSTEM_NAMESPACE),
            (CloudPeer, f"cloud-{self.peer}", None),
        ):
            self.kubectl.delete(kind, name, namespace)
        self.watch.wake()

    def connected(self) -> bool:
        found = self.kubectl.get(GatewayNode, f"gw-{self.name}")
        return found is not None and [c.up for c in found.status.connections] == [True]

    def network_connected(self) -> bool:
        found = self.kubectl.get(Attachment, LINK, names.SYSTEM_NAMESPACE)
        return found is not None and [k.up for entry in found.status.nodes for k in entry.links] == [True]


def pair_of(sides: tuple[Side, Side]) -> Pair:
    """Their nodes."""
    return Pair(sides[0].node, sides[1].node)
