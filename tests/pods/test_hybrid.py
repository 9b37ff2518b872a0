"""A cloud whose charon can do ML-KEM and one whose charon cannot: each says why the fallback is in use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from tests.pods.federation import PodFederation
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until

_POLICY: Final = "strong"


def _patch(cloud: Cloud, proposals: list[str] | None) -> None:
    patch = json.dumps({"spec": {"ike": {"proposals": proposals}}})
    cloud.kubectl("patch", "ipsecpolicy", _POLICY, "--type", "merge", "-p", patch)


def _get(cloud: Cloud, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cloud.kubectl("get", *what, "-o", "json"))
    return found


def _condition(cloud: Cloud, peer: str, type_: str) -> Condition | None:
    return condition_of(CloudPeer.from_wire(_get(cloud, "cloudpeer", peer)).status.conditions, type_)


@pytest.fixture
def preferred(peers: PodFederation) -> Iterator[PodFederation]:
    """Both policies without a list of IKE proposals, so that hybrid key exchange is preferred."""
    clouds = (peers.a.cloud, peers.b.cloud)
    before = [_get(cloud, "ipsecpolicy", _POLICY)["spec"]["ike"]["proposals"] for cloud in clouds]
    for cloud in clouds:
        _patch(cloud, None)
    yield peers
    for cloud, proposals in zip(clouds, before, strict=True):
        _patch(cloud, proposals)


def test_each_cloud_says_why_the_fallback_is_in_use(preferred: PodFederation) -> None:
    a, b = preferred.a.cloud, preferred.b.cloud
    for cloud, peer, reason in ((a, "cloud-b", "HybridNotOfferedByPeer"), (b, "cloud-a", "HybridNotSupported")):

        def says(cloud: Cloud = cloud, peer: str = peer, reason: str = reason) -> bool:
            found = _condition(cloud, peer, "HybridKeyExchange")
            return found is not None and (found.status, found.reason) == ("False", reason)

        wait_until(says, 60, f"{reason} in {peer}'s CloudPeer")
        found = _condition(cloud, peer, "HybridKeyExchange")
        assert found is not None
        assert "use ecp384 alone" in found.message
        ready = _condition(cloud, peer, "Ready")
        assert ready is not None
        assert ready.status == "True", "the fallback is no fault"
        (node,) = _get(cloud, "gatewaynodes")["items"]
        assert ("mlkem768" in node["status"]["keyExchanges"]) == (cloud is a)
