"""The controller with its own account on a real API server, read by its peer with the credential that it created.

OpenStack and the other cloud's API are fakes here; everything between them is real.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.adapters.peers import RemotePeers
from isthmus.cli.handover import hand_over
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.errors import NotFound
from isthmus.model.facts.openstack import AllowedTraffic, Network, Port
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.testbed.kubernetes.cluster import ControlPlane

from .realcloud import as_administrator, remove_everything

TIMEOUT_SECONDS = 180.0


@dataclass
class RealCloud:
    """Cloud A has a real Kubernetes API, cloud B a fake one; B reads A with a peer's credential."""

    plane: ControlPlane
    a: FakeCloud
    b: FakeCloud
    administrator: KubernetesCluster

    def until(self, what: Callable[[], bool]) -> None:
        """Run both clouds until the condition holds."""
        ends_at = time.monotonic() + TIMEOUT_SECONDS
        while not what():
            assert time.monotonic() < ends_at, [self.plane.kubectl("get", "isthmus", "-A", "-o", "wide")]
            for cloud in (self.a, self.b):
                cloud.play_agent()
                cloud.cycle()
            time.sleep(0.2)

    def ready(self, obj: CloudPeer | NetworkExpansion | None) -> bool:
        return obj is not None and reason(obj) == "Ready"

    def hand_over_credential(self) -> None:
        """Create the credential for cloud B as the documented command does, and store it in cloud B."""
        kubeconfig = hand_over(self.administrator, self.b.cloud_id, self.plane.server_at("127.0.0.1"), 1).kubeconfig
        metadata = {"name": f"peer-{self.a.cloud_id}", "namespace": names.SYSTEM_NAMESPACE}
        data = {names.KUBECONFIG_KEY: base64.b64encode(kubeconfig.encode()).decode()}
        self.b.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


@pytest.fixture(scope="module")
def real(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    directory = tmp_path_factory.mktemp("controller")
    remove_everything(installed)
    a, b = FakeFederation().clouds
    for cloud in (a, b):
        cloud.settings = cloud.settings.model_copy(update={"remote_ports_per_network": 10})
    administrator = as_administrator(a, installed, directory)
    readers = RemotePeers(b.cloud_id, 0.5)
    b.restart(replace(b.backends, peers=readers))
    a.agree(b)
    b.agree(a)
    yield RealCloud(installed, a, b, administrator)
    readers.stop()
    remove_everything(installed)
    installed.kubectl("delete", "node", f"gw-{a.cloud_id}")


def test_lifecycle_on_a_real_api_server(real: RealCloud) -> None:
    a, b, cluster = real.a, real.b, real.administrator
    real.until(lambda: _has_account(real))
    assert reason(b.peer("cloud-a")) in {"InvalidKubeconfig", "NotReadYet"}
    real.hand_over_credential()
    real.until(lambda: real.ready(a.peer("cloud-b")) and real.ready(b.peer("cloud-a")))

    _, network, subnet = a.tenant()
    a.expand(network.id, "cloud-b")
    real.until(lambda: real.ready(a.expansion()) and _knows_what_is_installed(a))
    table = real.plane.kubectl("get", "networkexpansions,cloudpeers,attachments,expansionlinks,peerlinks", "-A")
    assert table.count("True") >= 5
    for what in ("networkexpansion/web", "cloudpeer/cloud-b"):
        where = ["-n", "shop"] if what.startswith("network") else []
        for condition in ("Ready", "Progressing=False"):
            real.plane.kubectl("wait", what, *where, f"--for=condition={condition}", "--timeout=60s")

    match_groups(real, network)

    versions = _versions(real)
    written = a.neutron.writes
    for _ in range(3):
        assert a.cycle(resync=True).actions == 0
        assert b.cycle(resync=True).actions == 0
    assert (_versions(real), a.neutron.writes) == (versions, written)

    cluster.delete(NetworkExpansion, "web", "shop")
    for cloud in (a, b):
        for port in list(cloud.neutron.ports.values()):
            if port.device_owner == "compute:nova":
                cloud.neutron.delete_port(port.id)
    for group in [g for g in b.neutron.security_groups.values() if not names.is_carried_group(g.description)]:
        del b.neutron.security_groups[group.id]  # its user's, for which the project would be kept
    real.until(lambda: a.expansion() is None and not b.attachments() and not a.links() and not b.links())
    assert cluster.list_objects(Attachment) == []
    assert (a.neutron.networks, a.neutron.subnets) == ({network.id: network}, {subnet.id: subnet})
    assert b.neutron.networks == {}

    cluster.delete(CloudPeer, "cloud-b")
    real.until(lambda: cluster.get(CloudPeer, "cloud-b") is None)
    assert cluster.get_manifest("v1", "Namespace", "isthmus-peer-cloud-b") is None


def match_groups(real: RealCloud, network: Network) -> None:
    """Boot a machine in each cloud, and have each count as a member of a group of the other one; then carry groups."""
    a, b = real.a, real.b
    expansion = a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"security_groups": "ByName", "default_group": "Joined"})
    a.kubectl.apply(NetworkExpansion(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec))
    (replica,) = b.neutron.networks.values()
    machines, groups = [], []
    for cloud, local in ((a, network), (b, replica)):
        held = [cloud.neutron.create_group(local.project_id, name) for name in ("default", "w\u00e9b & co")]
        machines.append(cloud.neutron.boot(local.id, local.project_id))
        cloud.neutron.join(machines[-1].id, *held)
        groups.append(tuple(sorted(group.id for group in held)))

    def is_member(cloud: FakeCloud, machine: Port, expected: tuple[str, ...]) -> bool:
        return expected in {port.groups for port in cloud.neutron.ports.values() if port.mac == machine.mac}

    real.until(lambda: is_member(a, machines[1], groups[0]) and is_member(b, machines[0], groups[1]))

    carried, at_b = a.neutron.create_group(network.project_id, "carried"), b.neutron.security_groups
    rules = (
        AllowedTraffic("ingress", 4, 6, 22, 22, "192.0.2.0/24"),
        AllowedTraffic("ingress", 6, remote_group=carried.id),
    )
    a.neutron.security_groups.allow(carried.id, *rules)
    a.neutron.join(machines[0].id, *(a.neutron.security_groups[id_] for id_ in groups[0]), carried)
    spec = spec.model_copy(update={"security_groups": "Carried"})
    a.kubectl.apply(NetworkExpansion(metadata=ObjectMeta(name="web", namespace="shop"), spec=spec))
    real.until(lambda: [len(g.rules or ()) for g in at_b.values() if names.is_carried_group(g.description)] == [4])
    real.until(lambda: a.cycle(resync=True).actions + b.cycle(resync=True).actions == 0)


def test_network_of_the_peer_is_approved_and_revoked(real: RealCloud) -> None:
    a, b, cluster = real.a, real.b, real.administrator
    a.agree(b, agreement={"acceptance": "Manual"})
    real.until(lambda: _has_account(real))
    real.hand_over_credential()
    real.until(lambda: real.ready(a.peer("cloud-b")) and real.ready(b.peer("cloud-a")))
    untouched = a.neutron.contents()

    _, network, _ = b.tenant()
    b.expand(network.id, "cloud-a")
    name, home = names.link_name("cloud-b", network.id), names.peer_namespace("cloud-b")
    real.until(lambda: reason(b.expansion()) == "AwaitingApproval")
    assert "AwaitingApproval" in real.plane.kubectl("get", "expansionlinks", "-n", home)
    assert "AwaitingApproval" in real.plane.kubectl("events", "--for", f"expansionlink/{name}", "-n", home)

    real.until(lambda: a.peer("cloud-b").status.networks_awaiting == 1)
    assert [(n.name, n.network_name) for n in a.peer("cloud-b").status.awaiting] == [(name, "web")]
    header, row = real.plane.kubectl("get", "cloudpeer", "cloud-b").splitlines()
    assert row[header.index("AWAITING") :].split()[0] == "1"
    versions = _versions(real)
    for _ in range(3):
        assert a.cycle(resync=True).actions == 0
    assert _versions(real) == versions, "what waits is written once"

    cluster.apply(_approval(name, home, "Accept"))
    real.until(lambda: real.ready(b.expansion()))
    real.until(lambda: a.peer("cloud-b").status.networks_awaiting == 0)
    assert a.peer("cloud-b").status.awaiting == ()
    cluster.apply(_approval(name, home, "Refuse"))
    real.until(lambda: reason(b.expansion()) == "RefusedByAdministrator" and not a.attachments())
    real.until(lambda: reason(cluster.get(ExpansionApproval, name, home)) == "DecisionInForce")
    assert a.neutron.contents() == untouched

    b.kubectl.delete(NetworkExpansion, "web", "shop")
    real.until(lambda: not a.links() and not b.links())


def _approval(name: str, namespace: str, decision: str) -> ExpansionApproval:
    metadata = ObjectMeta(name=name, namespace=namespace)
    return ExpansionApproval.model_validate({"metadata": metadata, "spec": {"decision": decision}})


def _knows_what_is_installed(cloud: FakeCloud) -> bool:
    """The last that a peer's answer says: its node works by the whole of its Attachment."""
    seen = [link.status.peer for link in cloud.links()]
    answers = [peer.spec.answer for peer in seen if peer is not None]
    return all(answer is not None and answer.installed_generation is not None for answer in answers)


def _has_account(real: RealCloud) -> bool:
    try:
        return bool(hand_over(real.administrator, real.b.cloud_id, "https://127.0.0.1:6443", 1).kubeconfig)
    except NotFound:
        return False


def _versions(real: RealCloud) -> list[str]:
    """Names and versions of all our objects, and of those created for the peer."""
    path = '{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}'
    found: list[str] = []
    # By namespace: those of other modules may still be terminating.
    for where in (["-A"], ["-n", names.peer_namespace("cloud-b")], ["-n", names.SYSTEM_NAMESPACE]):
        kinds = "isthmus" if where == ["-A"] else "serviceaccounts,secrets,roles,rolebindings,events"
        found += real.plane.kubectl("get", kinds, *where, "-o", f"jsonpath={path}").splitlines()
    return sorted(found)
