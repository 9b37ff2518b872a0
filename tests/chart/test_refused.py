"""Values that are refused, and with what words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.chart.helm import MINIMAL, HelmError, template

DIGEST = "sha256:0123"


def _with(path: str, value: object) -> dict[str, Any]:
    """The minimal values with one changed."""
    values: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(MINIMAL)))
    *parents, last = path.split(".")
    place = values
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        # the schema: where, and what is allowed
        ("controler", {}, "additional properties 'controler' not allowed"),
        ("controller.replica", 1, "additional properties 'replica' not allowed"),
        ("cloud.id", "Cloud_A", "'/cloud/id': 'Cloud_A' does not match pattern"),
        ("cloud.id", "a" * 41, "'/cloud/id': maxLength: got 41, want 40"),
        ("cloud.gatewayCIDRs", ["192.0.2.300/24"], "'/cloud/gatewayCIDRs/0': '192.0.2.300/24' does not match pattern"),
        ("cloud.gatewayCIDRs", "192.0.2.0/24", "'/cloud/gatewayCIDRs': got string, want array"),
        ("settings.resync_second", 10, "additional properties 'resync_second' not allowed"),
        ("settings.resync_seconds", 0, "'/settings/resync_seconds': exclusiveMinimum: got 0, want 0"),
        ("settings.log_level", "LOUD", "'/settings/log_level': value must be one of 'DEBUG', 'INFO'"),
        ("settings.cloud_id", "cloud-b", "additional properties 'cloud_id' not allowed"),
        ("controller.replicas", 0, "'/controller/replicas': minimum: got 0, want 1"),
        ("controller.resources", {"limits": {"memory": "much"}}, "'/controller/resources/limits/memory'"),
        ("agent.tolerations", [{"operator": "Always"}], "'/agent/tolerations/0/operator'"),
        ("agent.openvswitch.runDirectory", "openvswitch", "'/agent/openvswitch/runDirectory': 'openvswitch' does not"),
        ("charon.updateStrategy", "Never", "'/charon/updateStrategy': value must be one of 'OnDelete'"),
        ("image.digests.agent", DIGEST, "'/image/digests/agent': 'sha256:0123' does not match pattern"),
        ("image.registry", "https://registry.example.org/", "'/image/registry'"),
        ("metrics.agentPort", 80, "'/metrics/agentPort': minimum: got 80, want 1,024"),
        ("metrics.agentAddress", "everywhere", "'/metrics/agentAddress': value must be one of 'localhost', 'node'"),
        (
            "metrics.rules",
            {"disabled": ["IsthmusNothing"]},
            "'/metrics/rules/disabled/0': 'IsthmusNothing' does not match",
        ),
        (
            "metrics.rules",
            {"thresholds": {"loopSeconds": 1}},
            "'/metrics/rules/thresholds/loopSeconds': minimum: got 1",
        ),
        ("metrics.rules", {"thresholds": {"loop": 60}}, "additional properties 'loop' not allowed"),
        ("metrics.runbooks", 'docs"', "'/metrics/runbooks'"),
        # the templates: what a schema cannot say
        ("cloud.id", "", "cloud.id: required: this cloud's name in the federation"),
        ("cloud.gatewayCIDRs", [], "cloud.gatewayCIDRs: required: networks that contain"),
        (
            "cloud.gatewayCIDRs",
            ["192.0.2.0/24", "198.51.100.11/24"],
            "cloud.gatewayCIDRs: 198.51.100.11/24 is an address, and not a network: write 198.51.100.0/24, or "
            "198.51.100.11/32 for this address alone",
        ),
        ("cloud.gatewayCIDRs", ["255.255.255.255/1"], "255.255.255.255/1 is an address, and not a network: write 128."),
        ("cloud.gatewayCIDRs", ["2001:DB8::/64"], "'/cloud/gatewayCIDRs/0': '2001:DB8::/64' does not match"),
        ("image.registry", "", "image.registry: required: registry and path of the images"),
        ("agent.enabled", False, "charon.enabled: nothing configures charon where agent.enabled is false"),
        ("metrics.podMonitor.enabled", True, "metrics.podMonitor.enabled: Prometheus cannot reach agents"),
        (
            "metrics",
            {"agentAddress": "node", "podMonitor": {"enabled": True}},
            "networkPolicy.metricsFrom: empty, so that Prometheus cannot reach the controller",
        ),
    ],
)
def test_value_is_refused_with_its_path(path: str, value: object, words: str) -> None:
    assert words in _refusal(_with(path, value))


@pytest.mark.parametrize("threshold", ["loopSeconds", "reconcileSeconds"])
def test_threshold_that_contradicts_a_setting_is_refused(threshold: str) -> None:
    values = _with("settings.resync_seconds", 120.5)
    values["metrics"] = {"rules": {"enabled": True, "thresholds": {threshold: 120}}}
    words = _refusal(values)
    assert f"metrics.rules.thresholds.{threshold}: 120 s, so that alerts fire between two comparisons" in words
    assert "settings.resync_seconds makes 120.5 s apart" in words
    values["metrics"]["rules"]["thresholds"] = {threshold: 121}
    template(yaml.safe_dump(values))


@pytest.mark.parametrize(
    "cidr", ["0.0.0.0/0", "128.0.0.0/1", "192.0.2.128/25", "192.0.2.11/32", "223.255.255.254/31", "2001:db8::/64"]
)
def test_network_without_host_bits_is_accepted(cidr: str) -> None:
    template(yaml.safe_dump(_with("cloud.gatewayCIDRs", [cidr])))


@pytest.mark.parametrize("cidr", ["0.0.0.0/8", "127.0.0.0/8", "127.0.0.1/32", "224.0.0.0/3", "240.0.0.0/4"])
def test_network_that_no_gateway_can_be_in_is_refused(cidr: str) -> None:
    assert f"cloud.gatewayCIDRs: {cidr} has no address" in _refusal(_with("cloud.gatewayCIDRs", [cidr]))


def test_another_namespace_is_refused() -> None:
    words = _refusal(MINIMAL, namespace="default")
    assert "namespace default: Isthmus must be installed in namespace isthmus-system" in words


def test_older_kubernetes_is_refused() -> None:
    assert "chart requires kubeVersion: >=1.31.0-0" in _refusal(MINIMAL, kubernetes="1.30.9")


def test_every_refused_value_is_reported() -> None:
    values = _with("cloud.id", "Cloud_A") | {"controler": {}}
    words = _refusal(values)
    assert "/cloud/id" in words
    assert "controler" in words


def _refusal(values: Mapping[str, Any], **options: str) -> str:
    with pytest.raises(HelmError) as refused:
        template(yaml.safe_dump(dict(values)), **options)
    return str(refused.value)
