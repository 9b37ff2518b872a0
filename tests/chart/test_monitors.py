"""PodMonitors, whose targets Prometheus derives from pods and their declared ports."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.chart.helm import VALUES, documents, only

CHOICES = yaml.safe_load((VALUES / "choices.yaml").read_text())


def _endpoint(component: str) -> dict[str, Any]:
    (endpoint,) = only(documents(CHOICES), "PodMonitor", f"isthmus-{component}")["spec"]["podMetricsEndpoints"]
    found: dict[str, Any] = endpoint
    return found


def _relabelled(endpoint: dict[str, Any], labels: dict[str, str]) -> dict[str, str]:
    """As Prometheus does it: the whole value has to match."""
    for rule in endpoint["relabelings"]:
        (source,) = rule["sourceLabels"]
        if found := re.fullmatch(rule.get("regex", "(.*)"), labels[source]):
            replacement = rule.get("replacement", "$1").replace("$1", found[1])
            labels = {**labels, rule["targetLabel"]: replacement}
    return labels


def test_controller_is_found_by_the_port_that_it_declares() -> None:
    pod = only(documents(CHOICES), "Deployment", "isthmus-controller")["spec"]["template"]
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert _endpoint("controller")["port"] == port["name"]
    assert port["containerPort"] == CHOICES["metrics"]["controllerPort"]


@pytest.mark.parametrize(
    ("pod", "target"), [("192.0.2.11", "192.0.2.11:19091"), ("2001:db8::11", "[2001:db8::11]:19091")]
)
def test_agent_is_found_though_it_declares_no_port(pod: str, target: str) -> None:
    endpoint = _endpoint("agent")
    assert {"port", "portNumber", "targetPort"} & set(endpoint) == set()
    discovered = {"__address__": pod, "__meta_kubernetes_pod_ip": pod, "__meta_kubernetes_pod_node_name": "gw-a1"}
    labels = _relabelled(endpoint, discovered)
    assert (labels["__address__"], labels["node"]) == (target, "gw-a1")


@pytest.mark.parametrize(("component", "kind"), [("controller", "Deployment"), ("agent", "DaemonSet")])
def test_monitor_selects_the_pods_in_its_namespace(component: str, kind: str) -> None:
    monitor = only(documents(CHOICES), "PodMonitor", f"isthmus-{component}")
    workload = only(documents(CHOICES), kind, f"isthmus-{component}")
    assert monitor["metadata"]["namespace"] == workload["metadata"]["namespace"]
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
