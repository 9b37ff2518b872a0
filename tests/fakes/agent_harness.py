"""A gateway node's agent on in-memory backends that survive its restarts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from isthmus.agent.backends import Backends
from isthmus.agent.kubernetes import KubernetesIntents, KubernetesReports
from isthmus.agent.loop import Agent
from isthmus.model import names
from isthmus.model.api.objects import Condition, CustomObject, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import ExternalError
from isthmus.model.names import API_VERSION
from isthmus.model.settings import AgentSettings
from isthmus.ports import Cluster, Observer
from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.outages import KUBERNETES, Outages
from tests.fakes.charon import FakeIke
from tests.fakes.cluster import FakeCluster
from tests.fakes.effects import with_effects
from tests.fakes.firewall import FakeClampTable, FakeFirewall, FakeTunnelDevices
from tests.fakes.leases import FakeLeases
from tests.fakes.node import FakeInner, FakeMonitor, FakeNetlink, FakeNode, FakePing, FakeProbe, FakeXfrm
from tests.fakes.nodeobjects import NODE, OWN, PEER, PSK, attachment, inputs, peerlink
from tests.fakes.store import Key, Manifest, Store
from tests.fakes.switch import FakeOpenFlow, FakeOvsdb

_HISTORY = ("effects", "listener", "callers", "changed_cookies")
SETTINGS = AgentSettings(node_name=NODE, cloud_id=OWN, gateway_cidrs=("192.0.2.0/24",))


class ManualClock:
    """A clock that only tests advance."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic_seconds(self) -> float:
        return self.seconds


class NoWatch:
    """A watch without events: tests run iterations explicitly."""

    def start(self, wake: Callable[[], None]) -> None:
        pass

    def stop(self) -> None:
        pass


def report_attachments(store: Store, observer: Observer) -> None:
    """What a watch of Attachments reports, as a complete list."""
    try:
        observer.listed("Attachment", FakeCluster(store).list_manifests(API_VERSION, "Attachment"))
    except ExternalError as error:
        observer.failed("Attachment", error)


class ListedOnce:
    """A watch that lists Attachments at its start, and then reports nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(self, observer: Observer) -> None:
        report_attachments(self._store, observer)

    def stop(self) -> None:
        pass


class AgentHarness:
    """A cluster, a node and an agent that a test can restart."""

    def __init__(self) -> None:
        self.store = Store()
        self.node = FakeNode()
        self.clock = ManualClock()
        self.leases = FakeLeases()
        kubectl, controller = FakeCluster(self.store, "kubectl"), FakeCluster(self.store)
        self.kubectl = kubectl
        for namespace in (names.SYSTEM_NAMESPACE, names.IPSEC_NAMESPACE, names.peer_namespace(PEER)):
            kubectl.apply_manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.set_key(PSK)
        everything = inputs()
        for obj in (*everything.peers, *everything.policies):
            kubectl.apply(obj)
        controller.apply(peerlink())
        controller.apply_status(peerlink())
        kubectl.apply_manifest(
            {"apiVersion": "isthmus.cloud/v1alpha1", "kind": "GatewayNode", "metadata": {"name": NODE}}
        )
        self.agent = self.new_agent()

    def set_key(self, key: bytes) -> None:
        self.kubectl.apply_manifest(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "psk-b", "namespace": names.IPSEC_NAMESPACE},
                "data": {"psk": base64.b64encode(key).decode()},
            }
        )

    def cluster(self) -> FakeCluster:
        """The cluster as the agent uses it."""
        return FakeCluster(self.store, f"{names.AGENT}-{NODE}")

    def backends(self, cluster: Cluster | None = None) -> Backends:
        node, outages = self.node, Outages()
        cluster, outage = cluster or self.cluster(), outages[KUBERNETES]
        self.metrics = Metrics()
        seconds = self.clock.monotonic_seconds
        self.health = Health(SETTINGS.resync_seconds, seconds, seconds)
        self.reports = KubernetesReports(cluster, NODE, self.clock, outage, SETTINGS.resync_seconds, self.health)
        watches = NoWatch(), ListedOnce(self.store)
        self.intents = KubernetesIntents(
            cluster, *watches, SETTINGS, self.clock, outage, self.reports, self.metrics, self.health
        )
        return Backends(
            leases=self.leases,
            intents=self.intents,
            reports=self.reports,
            netlink=FakeNetlink(node),
            inner=FakeInner(node),
            monitor=FakeMonitor(node),
            xfrm=FakeXfrm(node),
            firewall=FakeFirewall(node),
            clamping=FakeClampTable(node),
            devices=FakeTunnelDevices(node),
            ike=FakeIke(node),
            ovsdb=FakeOvsdb(node),
            openflow=FakeOpenFlow(node),
            probe=FakeProbe(node),
            ping=FakePing(node),
            clock=self.clock,
            metrics=self.metrics,
            outages=outages,
            health=self.health,
        )

    def counted_backends(self, count: Callable[[], None]) -> Backends:
        """The same backends; `count` is called after each effect."""
        plain = self.backends(with_effects(self.cluster(), count))
        return replace(
            plain,
            xfrm=with_effects(plain.xfrm, count),
            firewall=with_effects(plain.firewall, count),
            clamping=with_effects(plain.clamping, count),
            devices=with_effects(plain.devices, count),
            ike=with_effects(plain.ike, count),
            inner=with_effects(plain.inner, count),
            ovsdb=with_effects(plain.ovsdb, count),
            openflow=with_effects(plain.openflow, count),
        )

    def start_with_mtu(self, mtu: int) -> None:
        """Start an agent that has a network with this MTU in bytes."""
        network = attachment()
        self.kubectl.apply(network.model_copy(update={"spec": network.spec.model_copy(update={"mtu": mtu})}))
        self.new_agent()
        self.settle(3)

    def new_agent(self, backends: Backends | None = None) -> Agent:
        """Another agent's process. `backends` are the last ones that were made here."""
        self.agent = Agent(SETTINGS, backends or self.backends())
        return self.agent

    def iterate(self) -> None:
        """What the agent's threads do, one after another: read the inputs, one iteration, write the reports."""
        self.read()
        self.agent.iterate()
        self.reports.write()

    def read(self) -> None:
        """Read the inputs, those that are listed if that is due."""
        report_attachments(self.store, self.intents.attachments)
        self.intents.read_if_due()

    def settle(self, iterations: int = 8) -> None:
        """Run some iterations, each with a resync."""
        for _ in range(iterations):
            self.clock.seconds += 60
            self.iterate()
            self.agent.prober.probe_once()

    def outcome(self) -> tuple[dict[str, object], dict[Key, Manifest]]:
        """Everything on the node and in the cluster, without the history of effects."""
        node = {name: value for name, value in vars(self.node).items() if name not in _HISTORY}
        return node, self.store.contents()

    def get(self, kind: type[Any], name: str) -> Any:
        namespace = names.SYSTEM_NAMESPACE if kind is Attachment else None
        return FakeCluster(self.store).get(kind, name, namespace)

    def ready(self) -> Condition | None:
        return condition_of(self.get(GatewayNode, NODE).status.conditions, "Ready")

    def delete(self, obj: CustomObject) -> None:
        self.kubectl.delete(type(obj), obj.metadata.name, obj.metadata.namespace)
