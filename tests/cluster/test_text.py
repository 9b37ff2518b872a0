"""Text of others on a real API server: it comes back as it was sent, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.model.api.objects import Condition, ObjectMeta
from isthmus.model.api.v1alpha1.networkexpansion import (
    NetworkExpansion,
    NetworkExpansionSpec,
    NetworkExpansionStatus,
    PeerReference,
)
from isthmus.model.errors import Invalid
from isthmus.model.text import printable
from tests.contract.samples import NETWORK_ID, condition
from tests.testbed.kubernetes.cluster import ControlPlane, KubectlError

# Whatever a Neutron with utf8mb4 stores, and more: control characters, lone surrogates, noncharacters.
TEXT = st.text(st.characters(categories=None), max_size=255)
ODD = ["web\x80", "web\ufffe", "web\x85x", "\u2028", "\u202e", "\x7f", "🧑‍🚀", "e\u0301", '"\\', "- a: &b *c", "\ud83d"]


@pytest.fixture(scope="module")
def cluster(installed: ControlPlane) -> KubernetesCluster:
    cluster = KubernetesCluster(str(installed.kubeconfig), "isthmus-controller")
    cluster.apply(_expansion())
    return cluster


@pytest.mark.parametrize("text", ODD)
def test_odd_text_comes_back_as_sent(cluster: KubernetesCluster, text: str) -> None:
    _comes_back(cluster, text)


@given(TEXT)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_as_sent(cluster: KubernetesCluster, text: str) -> None:
    _comes_back(cluster, text)


@given(TEXT)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_client_sends_is_not_folded(cluster: KubernetesCluster, text: str) -> None:
    """Annotations may have any character: what our patterns do not let through is escaped all the same."""
    text = text.encode(errors="ignore").decode().replace("\0", "")
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "text", "annotations": {"text": text}}}
    assert cluster.apply_manifest(manifest)["metadata"]["annotations"]["text"] == text


@pytest.mark.parametrize("character", ["\x80", "\x85", "\u2028", "\u202e", "\u2066", "\ufffe"])
def test_definitions_reject_what_is_not_printable(installed: ControlPlane, character: str) -> None:
    patch = json.dumps({"status": {"networkName": f"web{character}"}})
    with pytest.raises(KubectlError, match="networkName"):
        installed.kubectl(
            "patch", "netexp", "text", "-n", "default", "--subresource=status", "--type=merge", "-p", patch
        )


def test_a_rejected_field_does_not_keep_the_rest_from_being_written(cluster: KubernetesCluster) -> None:
    bad = Condition.model_construct(**condition().model_dump() | {"type": "Progressing", "reason": "not a reason"})
    status = NetworkExpansionStatus.model_construct(conditions=(condition(), bad), network_name="x" * 256, mtu=1400)
    with pytest.raises(Invalid, match="networkName"):
        cluster.apply_status(_expansion(status))
    stored = cluster.get(NetworkExpansion, "text", "default")
    assert stored is not None
    assert (stored.status.mtu, stored.status.network_name) == (1400, None)
    assert [c.type for c in stored.status.conditions] == ["Ready"]


def _comes_back(cluster: KubernetesCluster, text: str) -> None:
    sent = NetworkExpansionStatus(
        conditions=(condition().model_copy(update={"message": printable(text)}),), network_name=text
    )
    stored = cluster.apply_status(_expansion(sent)).status
    assert (stored.network_name, stored.conditions[0].message) == (printable(text), printable(text))
    assert cluster.apply_status(_expansion(stored)).status == stored


def _expansion(status: NetworkExpansionStatus | None = None) -> NetworkExpansion:
    fields: dict[str, Any] = {"status": status} if status else {}
    return NetworkExpansion.model_construct(
        metadata=ObjectMeta(name="text", namespace="default"),
        spec=NetworkExpansionSpec(network_id=NETWORK_ID, peers=(PeerReference(name="cloud-b"),)),
        **fields,
    )
