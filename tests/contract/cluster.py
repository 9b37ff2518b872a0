"""Contract of ports.Cluster."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment, NodeObservation
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import Conflict, NotFound
from isthmus.model.names import FINALIZER, SYSTEM_NAMESPACE
from isthmus.ports import Cluster, Manifest

from .samples import attachment, cloud_peer, condition, gateway_node

ClientOf = Callable[[str], Cluster]
"""A client of the same API server under the name of a field manager."""


def namespace_manifest(name: str) -> Manifest:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


class ClusterContract:
    """Subclasses provide the fixture `client_of`."""

    @pytest.fixture
    def cluster(self, client_of: ClientOf) -> Cluster:
        cluster = client_of("isthmus-controller")
        cluster.apply_manifest(namespace_manifest(SYSTEM_NAMESPACE))
        return cluster

    def test_applied_object_is_stored(self, cluster: Cluster) -> None:
        created = cluster.apply(cloud_peer("applied"))
        assert created.metadata.generation == 1
        assert created.metadata.uid
        assert cluster.get(CloudPeer, "applied") == created
        assert created in cluster.list_objects(CloudPeer)

    def test_absent_object_is_none(self, cluster: Cluster) -> None:
        assert cluster.get(CloudPeer, "absent") is None
        assert cluster.get_manifest("v1", "Secret", "absent", SYSTEM_NAMESPACE) is None
        cluster.delete(CloudPeer, "absent")
        cluster.delete_manifest("v1", "Namespace", "absent")

    def test_reapplying_an_equal_object_writes_nothing(self, cluster: Cluster) -> None:
        first = cluster.apply(cloud_peer("same"))
        assert cluster.apply(cloud_peer("same")).metadata.resource_version == first.metadata.resource_version

    def test_only_a_changed_spec_is_a_new_generation(self, cluster: Cluster) -> None:
        cluster.apply(cloud_peer("generations"))
        seen = cluster.apply_status(_with_condition(cloud_peer("generations")))
        assert seen.metadata.generation == 1
        changed = cluster.apply(cloud_peer("generations", gateway_cidrs=("203.0.113.0/24",)))
        assert changed.metadata.generation == 2
        assert changed.spec.gateway_cidrs == ("203.0.113.0/24",)
        assert changed.status.conditions == seen.status.conditions

    def test_reapplying_an_equal_status_writes_nothing(self, cluster: Cluster) -> None:
        cluster.apply(cloud_peer("status"))
        first = cluster.apply_status(_with_condition(cloud_peer("status")))
        second = cluster.apply_status(_with_condition(cloud_peer("status")))
        assert first.metadata.resource_version == second.metadata.resource_version

    def test_status_of_an_absent_object_is_not_found(self, cluster: Cluster) -> None:
        with pytest.raises(NotFound):
            cluster.apply_status(_with_condition(cloud_peer("gone")))

    def test_each_manager_owns_its_entries_of_a_status(self, client_of: ClientOf, cluster: Cluster) -> None:
        cluster.apply(attachment("shared"))
        for node in ("gw-1", "gw-2"):
            mine = attachment("shared", (NodeObservation(node=node, plugged=True),))
            client_of(f"isthmus-agent-{node}").apply_status(mine)
        seen = cluster.apply_status(attachment("shared", (), condition()))
        assert [n.node for n in seen.status.nodes] == ["gw-1", "gw-2"]
        client_of("isthmus-agent-gw-1").apply_status(attachment("shared"))
        left = cluster.get(Attachment, seen.metadata.name, SYSTEM_NAMESPACE)
        assert left is not None
        assert [n.node for n in left.status.nodes] == ["gw-2"]
        assert [c.type for c in left.status.conditions] == ["Ready"]

    def test_object_without_spec_can_be_created_and_have_a_status(self, client_of: ClientOf, cluster: Cluster) -> None:
        cluster.apply(gateway_node("gw-status"))
        node = gateway_node("gw-status")
        status = node.status.model_copy(update={"conditions": (condition(),), "neutron_host": "gw-status"})
        agent = client_of("isthmus-agent-gw-status")
        agent.apply_status(node.model_copy(update={"status": status}))
        cluster.apply(gateway_node("gw-status"))
        seen = cluster.get(GatewayNode, "gw-status")
        assert seen is not None
        assert seen.status.neutron_host == "gw-status"

    def test_finalizer_keeps_a_deleted_object(self, cluster: Cluster) -> None:
        created = cluster.apply(cloud_peer("held"))
        cluster.set_finalizers(created, [FINALIZER])
        cluster.delete(CloudPeer, "held")
        held = cluster.get(CloudPeer, "held")
        assert held is not None
        assert held.metadata.deletion_timestamp
        assert held.metadata.finalizers == (FINALIZER,)
        assert held.metadata.generation == 2, "deleting is a new generation"
        cluster.set_finalizers(held, [])
        assert cluster.get(CloudPeer, "held") is None

    def test_object_that_was_created_again_is_not_deleted(self, cluster: Cluster) -> None:
        old = cluster.apply(cloud_peer("again"))
        cluster.delete(CloudPeer, "again", uid=old.metadata.uid)
        assert cluster.get(CloudPeer, "again") is None
        cluster.delete(CloudPeer, "again", uid=old.metadata.uid)
        new = cluster.apply(cloud_peer("again"))
        with pytest.raises(Conflict):
            cluster.delete(CloudPeer, "again", uid=old.metadata.uid)
        assert cluster.get(CloudPeer, "again") == new

    def test_namespace_that_was_created_again_is_not_deleted(self, cluster: Cluster) -> None:
        cluster.apply_manifest(namespace_manifest("stays"))
        with pytest.raises(Conflict):
            cluster.delete_manifest("v1", "Namespace", "stays", uid="00000000-0000-4000-8000-000000000000")
        found = cluster.get_manifest("v1", "Namespace", "stays")
        assert found is not None
        assert "deletionTimestamp" not in found["metadata"]

    def test_setting_finalizers_of_an_old_version_is_a_conflict(self, cluster: Cluster) -> None:
        old = cluster.apply(cloud_peer("old"))
        cluster.apply(cloud_peer("old", gateway_cidrs=("203.0.113.0/24",)))
        with pytest.raises(Conflict):
            cluster.set_finalizers(old, [FINALIZER])

    def test_conditions_are_replaced_and_the_rest_of_the_status_stays(self, cluster: Cluster) -> None:
        cluster.apply(attachment("unclear"))
        node = NodeObservation(node="gw-1", plugged=True)
        stored = cluster.apply_status(attachment("unclear", (node,), condition()))
        place = Attachment, stored.metadata.name, SYSTEM_NAMESPACE
        wanted = condition().model_dump(by_alias=True) | {"status": "False", "reason": "NotUnderstood"}
        cluster.set_conditions(*place, [wanted], stored.metadata.resource_version)
        with pytest.raises(Conflict):
            cluster.set_conditions(*place, [wanted], stored.metadata.resource_version)
        seen = cluster.get(*place)
        assert seen is not None
        assert [(c.type, c.status, c.reason) for c in seen.status.conditions] == [("Ready", "False", "NotUnderstood")]
        assert (seen.status.nodes, seen.metadata.generation) == ((node,), stored.metadata.generation)
        again = cluster.apply_status(attachment("unclear", (node,), condition()))
        assert again.status.conditions == stored.status.conditions
        with pytest.raises(NotFound):
            cluster.set_conditions(Attachment, "absent", SYSTEM_NAMESPACE, [wanted], None)

    def test_applying_a_spec_keeps_the_finalizers_of_others(self, client_of: ClientOf, cluster: Cluster) -> None:
        kubectl = client_of("kubectl")
        cluster.set_finalizers(kubectl.apply(cloud_peer("edited")), [FINALIZER])
        edited = kubectl.apply(cloud_peer("edited", gateway_cidrs=("203.0.113.0/24",)))
        assert edited.metadata.finalizers == (FINALIZER,)

    def test_labels_no_longer_applied_are_removed(self, client_of: ClientOf, cluster: Cluster) -> None:
        kubectl = client_of("kubectl")
        kubectl.apply_manifest(_labelled("labels", theirs="1"))
        assert cluster.apply_manifest(_labelled("labels", ours="1", more="1"))["metadata"]["labels"].keys() >= {
            "theirs",
            "ours",
            "more",
        }
        left = cluster.apply_manifest(_labelled("labels", ours="1"))["metadata"]["labels"]
        assert "more" not in left
        assert left["theirs"] == "1"

    def test_creating_in_an_absent_namespace_is_not_found(self, cluster: Cluster) -> None:
        stray: Manifest = {"apiVersion": "v1", "kind": "ServiceAccount"}
        with pytest.raises(NotFound):
            cluster.apply_manifest(stray | {"metadata": {"name": "stray", "namespace": "absent"}})

    def test_namespace_deletion_waits_for_finalizers_inside(self, cluster: Cluster) -> None:
        cluster.apply_manifest(namespace_manifest("going"))
        held = attachment("going")
        held = held.model_copy(update={"metadata": held.metadata.model_copy(update={"namespace": "going"})})
        cluster.set_finalizers(cluster.apply(held), [FINALIZER])
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "in", "namespace": "going"}}
        cluster.apply_manifest(account)
        cluster.delete_manifest("v1", "Namespace", "going")
        _eventually(lambda: cluster.get_manifest("v1", "ServiceAccount", "in", "going") is None)
        assert cluster.get_manifest("v1", "Namespace", "going") is not None
        with pytest.raises(Conflict):
            cluster.apply_manifest(account)
        _eventually(lambda: _deleted(cluster, held))
        left = cluster.get(Attachment, held.metadata.name, "going")
        assert left is not None
        cluster.set_finalizers(left, [])
        _eventually(lambda: cluster.get_manifest("v1", "Namespace", "going") is None)

    def test_objects_are_listed_by_namespace(self, cluster: Cluster) -> None:
        for name in ("one", "other"):
            cluster.apply_manifest(namespace_manifest(name))
            obj = attachment("listed")
            cluster.apply(obj.model_copy(update={"metadata": obj.metadata.model_copy(update={"namespace": name})}))
        assert [a.metadata.namespace for a in cluster.list_objects(Attachment, "one")] == ["one"]
        assert {a.metadata.namespace for a in cluster.list_objects(Attachment)} >= {"one", "other"}


def _with_condition(peer: CloudPeer) -> CloudPeer:
    return peer.model_copy(update={"status": peer.status.model_copy(update={"conditions": (condition(),)})})


def _labelled(name: str, **labels: str) -> Manifest:
    manifest = namespace_manifest(name)
    manifest["metadata"]["labels"] = labels
    return manifest


def _deleted(cluster: Cluster, obj: CustomObject) -> bool:
    seen = cluster.get(type(obj), obj.metadata.name, obj.metadata.namespace)
    return seen is not None and seen.metadata.deletion_timestamp is not None


def _eventually(true: Callable[[], bool], timeout_seconds: float = 30) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not true():
        assert time.monotonic() < deadline, "not seen in time"
        time.sleep(0.1)
