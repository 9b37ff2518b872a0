"""Two or more clouds on fakes, each with the real controller; agents are simulated by the statuses that they write."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from isthmus.controller.backends import Backends
from isthmus.controller.inputs import list_everything
from isthmus.controller.loop import Controller, Outcome
from isthmus.model import names
from isthmus.model.api.objects import Condition, ObjectMeta, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentStatus
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.gatewaynode import (
    GatewayConnection,
    GatewayNode,
    GatewayNodeStatus,
    InForceStatus,
    TunnelAddress,
)
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.networkexpansion import (
    GatewayChoice,
    NetworkExpansion,
    NetworkExpansionSpec,
    PeerReference,
    Topology,
)
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.errors import ExternalError
from isthmus.model.facts.openstack import Network, Range, Subnet
from isthmus.model.facts.peer import PeerView
from isthmus.model.node.inforce import Nat
from isthmus.model.reasons import Reason
from isthmus.model.settings import ControllerSettings
from isthmus.ports import Cluster, NetworkCloud, Observer
from isthmus.telemetry.metrics import Metrics

from .cluster import FakeCluster
from .gateways import FakeGateway, entry_of
from .leases import FakeLeases
from .networkcloud import FakeNetworkCloud
from .peers import FakePeerReader
from .store import Store

GRACE_SECONDS = 300.0


class FakeClock:
    """A clock that only tests advance."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def monotonic_seconds(self) -> float:
        return self.moment.timestamp()

    def move(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class PeersWithOutages(FakePeerReader):
    """The peers' published links; reads can be made to fail."""

    unreachable = False
    not_read_yet = False
    """No peer was read yet, as in a process that has just started."""

    def views(self) -> Mapping[str, PeerView]:
        return {} if self.not_read_yet else super().views()

    def _read(self, cloud_id: str, last: PeerView) -> PeerView:
        if self.unreachable:
            return replace(last, reachable=False, complete=False, reason=Reason.PEER_UNREACHABLE, message="no answer")
        return super()._read(cloud_id, last)


class ListedOnce:
    """A watch that lists everything at its start, and then reports nothing: tests run cycles explicitly."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def start(self, observer: Observer) -> None:
        try:
            list_everything(self._cluster, observer)
        except ExternalError as error:
            observer.failed("Node", error)

    def stop(self) -> None: ...


class FakeCloud:
    """One cloud of the federation."""

    def __init__(self, cloud_id: str, gateway_network: str, clock: FakeClock, stores: dict[str, Store]) -> None:
        self.cloud_id = cloud_id
        self.gateway_cidr = f"{gateway_network}.0/24"
        self.gateway_address = f"{gateway_network}.11"
        self.gateway_cidr_v6 = f"2001:db8:{cloud_id[-1]}::/64"
        self.addresses: tuple[TunnelAddress, ...] = (TunnelAddress(address=self.gateway_address, mtu=1500),)
        self.store = stores.setdefault(cloud_id, Store())
        self.kubectl = FakeCluster(self.store, "kubectl")
        self.agent = FakeCluster(self.store, f"isthmus-agent-gw-{cloud_id}")
        self.leases = FakeLeases()
        self.neutron = FakeNetworkCloud(base_mac=f"fa:16:{ord(cloud_id[-1]):02x}")
        self.settings = ControllerSettings(
            cloud_id=cloud_id,
            gateway_cidrs=(self.gateway_cidr, self.gateway_cidr_v6),
            absence_grace_seconds=GRACE_SECONDS,
        )
        self.peers = PeersWithOutages(cloud_id, stores)
        cluster = FakeCluster(self.store)
        self.backends = Backends(
            cluster=cluster,
            leases=self.leases,
            cloud=self.neutron,
            peers=self.peers,
            watch=ListedOnce(cluster),
            clock=clock,
            metrics=Metrics(),
        )
        self.controller = Controller(self.settings, self.backends)
        self.more_gateways: list[FakeGateway] = []
        self.carried_mtus: dict[str, int] = {}
        """By cloud ID, what the agent has found out that the path to each gateway of that peer carries."""
        self.nat: Nat | None = None
        """What charon on its gateway node finds."""
        for namespace in (names.SYSTEM_NAMESPACE, names.IPSEC_NAMESPACE):
            self.namespace(namespace)
        labels = {names.GATEWAY_LABEL: "true"}
        self.kubectl.apply_manifest(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"gw-{cloud_id}", "labels": labels}}
        )

    def namespace(self, name: str, annotations: Mapping[str, str] | None = None) -> None:
        """Apply a namespace as its administrator does."""
        metadata = {"name": name, "annotations": dict(annotations or {})}
        self.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def restart(self, backends: Backends | None = None) -> None:
        """Replace the controller with a new one without any state."""
        self.controller = Controller(self.settings, backends or self.backends)

    def with_cloud(self, cloud: NetworkCloud) -> Backends:
        """The same backends with another OpenStack."""
        return replace(self.backends, cloud=cloud)

    def cycle(self, *, resync: bool = True) -> Outcome:
        """Run one cycle of the controller."""
        return self.controller.cycle(resync=resync)

    def agree(self, peer: FakeCloud, **spec: object) -> None:
        """Apply policy, CloudPeer and credential for a peer, as an administrator does."""
        self.kubectl.apply(IPsecPolicy(metadata=ObjectMeta(name="strong")))
        self.kubectl.apply(self.cloud_peer(peer, **spec))
        self.credential(peer)

    def forget(self, peer: FakeCloud) -> None:
        """Delete what `agree` applied, once the CloudPeer is gone."""
        self.kubectl.delete(IPsecPolicy, "strong")
        self.kubectl.delete_manifest("v1", "Secret", f"peer-{peer.cloud_id}", names.SYSTEM_NAMESPACE)

    def cloud_peer(self, peer: FakeCloud, **spec: object) -> CloudPeer:
        """A CloudPeer that has its cloud ID as name."""
        wire = {
            "cloudID": peer.cloud_id,
            "api": {"kubeconfigSecretRef": {"name": f"peer-{peer.cloud_id}"}},
            "gatewayCIDRs": [peer.gateway_cidr],
            "ipsec": {"policyRef": {"name": "strong"}, "authSecretRef": {"name": f"peer-{peer.cloud_id}"}},
        }
        return CloudPeer.from_wire({"metadata": {"name": peer.cloud_id}, "spec": wire | spec})

    def credential(self, peer: FakeCloud) -> None:
        """Store the kubeconfig that the peer handed over."""
        data = {names.KUBECONFIG_KEY: base64.b64encode(b"kubeconfig").decode()}
        metadata = {"name": f"peer-{peer.cloud_id}", "namespace": names.SYSTEM_NAMESPACE}
        self.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    def tenant(self, namespace: str = "shop", cidr: str = "10.20.0.0/24") -> tuple[str, Network, Subnet]:
        """A project with a network, and a namespace that is bound to it."""
        domain = self.neutron.find_domain("tenants") or self.neutron.create_domain("tenants", "")
        project = self.neutron.create_project(domain.id, namespace, "")
        self.namespace(namespace, {names.PROJECT_ANNOTATION: project.id})
        network = self.neutron.create_network(project.id, "web", 1450, "")
        base = cidr.rpartition(".")[0]
        subnet = self.neutron.create_subnet(
            network.id, project.id, "web-v4", cidr, f"{base}.1", [Range(f"{base}.2", f"{base}.254")], True, [], [], ""
        )
        return project.id, network, subnet

    def expand(
        self,
        network_id: str,
        *peers: str,
        namespace: str = "shop",
        name: str = "web",
        gateway: GatewayChoice = "Origin",
        topology: Topology = "Hybrid",
    ) -> None:
        """Apply a tenant's NetworkExpansion."""
        references = tuple(PeerReference(name=p, gateway=gateway) for p in peers)
        spec = NetworkExpansionSpec(network_id=network_id, peers=references, topology=topology)
        self.kubectl.apply(NetworkExpansion(metadata=ObjectMeta(name=name, namespace=namespace), spec=spec))

    def expansion(self, namespace: str = "shop", name: str = "web") -> NetworkExpansion | None:
        """The current NetworkExpansion."""
        return self.kubectl.get(NetworkExpansion, name, namespace)

    def peer(self, name: str) -> CloudPeer:
        """The current CloudPeer."""
        found = self.kubectl.get(CloudPeer, name)
        assert found is not None
        return found

    def attachments(self) -> list[Attachment]:
        return self.kubectl.list_objects(Attachment)

    def links(self) -> list[ExpansionLink]:
        return self.kubectl.list_objects(ExpansionLink)

    def member_links(self) -> list[MemberLink]:
        """What this cloud publishes to other receivers."""
        return self.kubectl.list_objects(MemberLink)

    def add_gateway(self, name: str, address: str) -> FakeGateway:
        """A further gateway node with an agent."""
        labels = {names.GATEWAY_LABEL: "true"}
        self.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        gateway = FakeGateway(name, address, FakeCluster(self.store, f"{names.AGENT}-{name}"), self)
        self.more_gateways.append(gateway)
        return gateway

    def play_agent(self) -> None:
        """Write the agents' statuses: everything that can be up is up."""
        for gateway in self.more_gateways:
            gateway.play()
        self._play_gateway_node()
        for attachment in self.attachments():
            spec = attachment.spec
            plugged = spec.active_node == f"gw-{self.cloud_id}"
            for port in spec.ports if plugged else ():
                self.neutron.serve(port.port_id)
            nodes = (entry_of(f"gw-{self.cloud_id}", attachment),) if plugged else ()
            status = AttachmentStatus(nodes=nodes)
            self.agent.apply_status(attachment.model_copy(update={"status": status}))

    def _play_gateway_node(self) -> None:
        node = self.kubectl.get(GatewayNode, f"gw-{self.cloud_id}")
        if node is None:
            return
        connections = tuple(
            GatewayConnection(
                cloud_id=link.spec.peer_cloud_id,
                gateway=gateway.name,
                address=gateway.address,
                up=True,
                ike="Established",
                esp="Installed",
                in_force=InForceStatus(nat=self.nat) if self.nat is not None else None,
                bfd="Up",
                carried_mtu=self.carried_mtus.get(link.spec.peer_cloud_id),
            )
            for link in self.kubectl.list_objects(PeerLink)
            if link.status.peer
            for gateway in link.status.peer.spec.gateways
        )
        status = GatewayNodeStatus(
            conditions=(
                Condition(type="Ready", status="True", reason="Ready", last_transition_time="2026-01-01T00:00:00Z"),
            ),
            addresses=self.addresses,
            neutron_host=f"host-{self.cloud_id}",
            connections=connections,
        )
        self.agent.apply_status(node.model_copy(update={"status": status}))


class FakeFederation:
    """Clouds `cloud-a`, `cloud-b`, ... that can read each other."""

    def __init__(self, *letters: str) -> None:
        self.clock = FakeClock()
        self.stores: dict[str, Store] = {}
        self.clouds = [
            FakeCloud(f"cloud-{letter}", f"192.0.{index}", self.clock, self.stores)
            for index, letter in enumerate(letters or ("a", "b"), start=2)
        ]

    def agree(self) -> None:
        """Peer every pair of clouds."""
        for cloud in self.clouds:
            for peer in self.clouds:
                if peer is not cloud:
                    cloud.agree(peer)

    def settle(self, max_rounds: int = 40) -> int:
        """Run all agents and controllers until a round changes nothing; return the number of rounds."""
        for rounds in range(1, max_rounds + 1):
            before = self.writes()
            for cloud in self.clouds:
                cloud.play_agent()
                cloud.cycle()
            if self.writes() == before:
                return rounds
        raise AssertionError(f"not settled after {max_rounds} rounds")

    def writes(self) -> int:
        """Number of changes in all clouds."""
        return sum(cloud.store.writes + cloud.neutron.writes for cloud in self.clouds)


def reason(
    obj: CloudPeer | NetworkExpansion | Attachment | ExpansionLink | ExpansionApproval | None, type_: str = "Ready"
) -> str | None:
    """Reason of a condition, or None without that condition."""
    assert obj is not None
    condition = condition_of(obj.status.conditions, type_)
    return condition.reason if condition else None
