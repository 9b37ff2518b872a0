"""What `kubectl isthmus restart` concludes from pods, nodes and connections."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.plugin.core.documents import Document
from isthmus.plugin.core.resources import cloud
from isthmus.plugin.core.restart import image, replacing
from isthmus.plugin.core.restart.image import Image, Pull
from isthmus.plugin.core.restart.workloads import COMPONENTS, Machine, Pod, Rollout
from tests.fakes.workloads import REFERENCE, daemonset, gateway, node, pod

CHARON = COMPONENTS["charon"]


def test_node_has_taken_over() -> None:
    gateways = {"gw-a1": cloud([gateway(peers=("cloud-b", "cloud-c"))]).nodes[0]}
    earlier = replacing.before("gw-a1", [Pod.parse(pod("one"))], gateways)

    def missing(pods: list[Document], found: dict[str, Any]) -> str:
        return replacing.missing(earlier, map(Pod.parse, pods), {"gw-a1": cloud([found]).nodes[0]})

    both = gateway(peers=("cloud-b", "cloud-c", "cloud-d"))
    assert missing([pod("one", ending=True), pod("two")], both) == "the previous pod has not ended"
    assert missing([pod("three", "gw-a2")], both) == "no other pod was created"
    assert missing([pod("two", ready=False)], both) == "pod isthmus-charon-two is not ready"
    assert missing([pod("two")], gateway(peers=("cloud-b",))) == "not connected to gw-cloud-c of cloud-c"
    assert missing([pod("two")], both) == ""
    assert replacing.missing(earlier, [Pod.parse(pod("two"))], {}) == "there is no GatewayNode gw-a1"


def test_connections_that_were_down_are_not_waited_for() -> None:
    gateways = {"gw-a1": cloud([gateway(up=False)]).nodes[0]}
    assert replacing.before("gw-a1", [], gateways).connections == frozenset()
    assert "gw-a1 has 1 connections that are down already" in "\n".join(replacing.question(CHARON, ["gw-a1"], gateways))


@pytest.mark.parametrize(
    ("policy", "images", "is_on"),
    [
        ("IfNotPresent", [REFERENCE], True),
        ("IfNotPresent", [REFERENCE + "-other"], False),
        ("Never", [REFERENCE], True),
        ("Always", [REFERENCE], False),
    ],
)
def test_image_on_a_node(policy: str, images: list[str], is_on: bool) -> None:
    wanted = Image.parse(daemonset("isthmus-charon", policy))
    assert wanted.is_on(Machine.parse(node("gw-a1", *images))) == is_on


def test_pulling_pod_belongs_to_no_daemonset() -> None:
    made = image.pod(CHARON, Image.parse(daemonset("isthmus-charon")), "gw-a1")
    assert "app.kubernetes.io/name" not in made["metadata"]["labels"]
    assert made["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert (made["spec"]["nodeName"], made["spec"]["containers"][0]["image"]) == ("gw-a1", REFERENCE)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({}, Pull.WAITING),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, Pull.WAITING),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}, Pull.WAITING),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ErrImageNeverPull"}}}]}, Pull.FAILED),
        ({"containerStatuses": [{"state": {"terminated": {"reason": "Error"}}, "imageID": "x"}]}, Pull.DONE),
    ],
)
def test_states_of_a_pull(status: dict[str, Any], state: Pull) -> None:
    assert image.pull({"status": status})[0] is state


def test_rollout_is_complete_with_the_current_template_only() -> None:
    status = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}
    item = {"kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": status}
    assert Rollout.parse(item).is_complete
    assert not Rollout.parse(item | {"metadata": {"generation": 2}}).is_complete
    assert not Rollout.parse(item | {"status": status | {"replicas": 2}}).is_complete
