"""The pods: rights on the node, what they can reach, and which settings they get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.cli.configuration import load
from isthmus.model.settings import AgentSettings, ControllerSettings
from tests.chart.helm import MINIMAL, VALUES, Document, documents, only

PODS = {
    "controller": ("Deployment", "isthmus-controller", "isthmus-system"),
    "agent": ("DaemonSet", "isthmus-agent", "isthmus-gateway"),
    "charon": ("DaemonSet", "isthmus-charon", "isthmus-gateway"),
    "guard": ("Job", "isthmus-uninstall-guard", "isthmus-system"),
}
RESTRICTED = {"controller", "guard", "test"}
# Every right on the node; everything else is dropped.
CAPABILITIES = {"agent": ["NET_ADMIN", "NET_RAW"], "charon": ["NET_ADMIN", "NET_BIND_SERVICE"]}
# Every directory of the node, and whether it is read-only.
HOST_PATHS = {
    "agent": {"/run/openvswitch": True, "/run/isthmus": True},
    "charon": {"/run/isthmus": False},
}


def _pod(component: str, values: Any = MINIMAL) -> Document:
    found = documents(values)
    if component == "test":
        spec: Document = only(found, "Pod", "isthmus-test")["spec"]
    else:
        spec = only(found, *PODS[component])["spec"]["template"]["spec"]
    return spec


def _container(component: str, values: Any = MINIMAL) -> Document:
    (one,) = _pod(component, values)["containers"]
    container: Document = one
    return container


every_pod = pytest.mark.parametrize("component", [*PODS, "test"])


@every_pod
def test_rights_on_the_node(component: str) -> None:
    pod, container = _pod(component), _container(component)
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert "privileged" not in security
    assert security["capabilities"]["drop"] == ["ALL"]
    assert security["capabilities"].get("add", []) == CAPABILITIES.get(component, [])
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.get("hostNetwork", False) == (component in CAPABILITIES)
    assert {"hostPID", "hostIPC", "initContainers", "shareProcessNamespace"} & set(pod) == set()


@pytest.mark.parametrize("component", sorted(RESTRICTED))
def test_pods_without_host_network_are_restricted(component: str) -> None:
    security = _pod(component)["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["runAsGroup"]) == (True, 65532, 65532)


@every_pod
def test_directories_of_the_node(component: str) -> None:
    mounts = {mount["name"]: mount.get("readOnly", False) for mount in _container(component)["volumeMounts"]}
    volumes = [volume for volume in _pod(component)["volumes"] if "hostPath" in volume]
    assert {v["hostPath"]["path"]: mounts[v["name"]] for v in volumes} == HOST_PATHS.get(component, {})


@every_pod
def test_every_container_has_requests_and_a_limit_of_memory(component: str) -> None:
    resources = _container(component)["resources"]
    assert {"cpu", "memory"} <= set(resources["requests"])
    assert "memory" in resources["limits"]
    assert "cpu" not in resources["limits"]


@every_pod
def test_no_service_becomes_a_variable(component: str) -> None:
    assert _pod(component)["enableServiceLinks"] is False


def test_charon_has_no_token() -> None:
    assert _pod("charon")["automountServiceAccountToken"] is False
    assert only(documents(), "ServiceAccount", "isthmus-charon")["automountServiceAccountToken"] is False


def test_charon_is_left_alone_by_upgrades() -> None:
    daemon = only(documents(), *PODS["charon"])["spec"]
    assert daemon["updateStrategy"] == {"type": "OnDelete"}
    assert "annotations" not in daemon["template"]["metadata"]


def test_an_update_of_the_controller_that_fails_leaves_the_old_one() -> None:
    strategy = only(documents(), *PODS["controller"])["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}


def test_an_update_of_agents_that_fails_leaves_the_old_ones() -> None:
    """A pod with a port of the host is not scheduled where another one has it."""
    strategy = only(documents(), *PODS["agent"])["spec"]["updateStrategy"]["rollingUpdate"]
    assert strategy == {"maxUnavailable": 0, "maxSurge": 1}
    assert "ports" not in _container("agent")


def test_namespaces_of_pods_in_the_host_network_admit_them() -> None:
    labels = only(documents(), "Namespace", "isthmus-gateway")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_namespace_of_the_agents_account_admits_no_such_pods_where_none_is_wanted() -> None:
    native = documents(yaml.safe_load((VALUES / "native.yaml").read_text()))
    labels = only(native, "Namespace", "isthmus-gateway")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_keys_outlive_the_release() -> None:
    assert only(documents(), "Namespace", "isthmus-ipsec")["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep"
    }


@pytest.mark.parametrize(("component", "host"), [("controller", None), ("agent", "127.0.0.1")])
def test_probes_ask_the_process_itself(component: str, host: str | None) -> None:
    container = _container(component)
    port = only(documents(), "ConfigMap", f"isthmus-{component}")["data"]["config.yaml"]
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked.get("host")) == (path, host)
        assert asked["port"] == yaml.safe_load(port)["metrics_port"]


def test_images_follow_registry_tag_and_digest() -> None:
    choices = yaml.safe_load((VALUES / "choices.yaml").read_text())
    registry = "registry.example.org:5000/isthmus"
    assert _container("agent", choices)["image"] == f"{registry}/isthmus-agent:1.2.3"
    assert _container("charon", choices)["image"].startswith(f"{registry}/isthmus-charon@sha256:0123")
    assert _container("controller")["image"] == "registry.example.org/isthmus/isthmus-controller:0.1.0"


def test_a_change_of_settings_replaces_the_pods_that_read_them() -> None:
    changed = {**MINIMAL, "settings": {"log_level": "DEBUG"}}
    for component in ("controller", "agent"):
        before, after = (only(documents(v), *PODS[component])["spec"]["template"] for v in (MINIMAL, changed))
        assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
    before, after = (only(documents(v), *PODS["charon"])["spec"]["template"] for v in (MINIMAL, changed))
    assert before == after


def _variables(component: str, values: Any) -> dict[str, str]:
    """With what Kubernetes would fill in."""
    filled = {"spec.nodeName": "gw-a1", "status.podIP": "10.0.0.7", "status.hostIP": "192.0.2.11"}
    return {
        variable["name"]: variable.get("value") or filled[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        for variable in _container(component, values).get("env", [])
    }


@pytest.mark.parametrize("name", ["minimal", "choices"])
def test_processes_accept_their_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = yaml.safe_load((VALUES / f"{name}.yaml").read_text())
    settings: dict[str, Any] = {}
    kinds: dict[str, type[ControllerSettings] | type[AgentSettings]]
    kinds = {"controller": ControllerSettings, "agent": AgentSettings}
    for component, kind in kinds.items():
        file = tmp_path / f"{component}.yaml"
        file.write_text(only(documents(values), "ConfigMap", f"isthmus-{component}")["data"]["config.yaml"])
        with monkeypatch.context() as context:
            context.setenv("ISTHMUS_CONFIG", str(file))
            for variable, value in _variables(component, values).items():
                context.setenv(variable, value)
            settings[component] = load(kind)
    assert settings["controller"].cloud_id == settings["agent"].cloud_id == values["cloud"]["id"]
    assert settings["controller"].metrics_address == "10.0.0.7"
    assert settings["agent"].metrics_address == ("192.0.2.11" if name == "choices" else "127.0.0.1")
    assert settings["agent"].node_name == "gw-a1"
    assert settings["agent"].vici_socket == "/run/isthmus/charon.vici"
