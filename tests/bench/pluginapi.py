"""Elapsed time of `kubectl isthmus status` and `diagnose` with the real kubectl and a real API server.

No controller and no agent runs: the statuses are those that a controller on fakes has written.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.model import names
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.bench.result import Result, at_most
from tests.cluster.pluginfile import Plugin
from tests.fakes.kubectl import active_lease, documents, stretched
from tests.testbed.assets import ensure
from tests.testbed.host import netns
from tests.testbed.kubernetes.cluster import ControlPlane

NETWORKS: Final = 1_000
_STATUS_SECONDS, _DIAGNOSE_SECONDS = 1.0, 5.0
_SAMPLES: Final = 5
_THREADS: Final = 4
_NODE: Final = "gw-cloud-a"
_DEPLOY: Final = Path(__file__).parents[2] / "deploy"
_KINDS: Final = {kind.__name__: kind for kind in (GatewayNode, CloudPeer, PeerLink, NetworkExpansion, Attachment)}


def measure(networks: int = NETWORKS) -> list[Result]:
    """The least of some runs of each verb."""
    with tempfile.TemporaryDirectory() as path, netns.anonymous():
        directory = Path(path)
        plane = ControlPlane(ensure("kubernetes"), directory / "kubernetes")
        try:
            plane.start()
            plane.kubectl("apply", "--server-side", "-k", str(_DEPLOY))
            plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            _fill(plane, networks)
            plugin = Plugin.install(directory / "plugin", plane.kubeconfig)
            status = _least(plane, plugin, "status", f"{networks} of {networks} ready")
            diagnosis = _least(plane, plugin, "diagnose", "cloud-b: all is well")
        finally:
            plane.stop()
    return [
        at_most(f"kubectl isthmus status, {networks:,} networks", status, "s", _STATUS_SECONDS),
        at_most(f"kubectl isthmus diagnose, {networks:,} networks", diagnosis, "s", _DIAGNOSE_SECONDS),
    ]


def _least(plane: ControlPlane, plugin: Plugin, verb: str, expected: str) -> float:
    return min(_run(plane, plugin, verb, expected) for _ in range(_SAMPLES))


def _run(plane: ControlPlane, plugin: Plugin, verb: str, expected: str) -> float:
    for process in (names.CONTROLLER, names.agent_lease(_NODE)):
        plane.kubectl("apply", "-f", "-", input=json.dumps(active_lease(process)))
    began = time.monotonic()
    done = plugin.run(verb)
    seconds = time.monotonic() - began
    assert (done.returncode, expected in done.stdout) == (0, True), done
    return seconds


def _fill(plane: ControlPlane, networks: int) -> None:
    """Apply the objects of a cloud with so many stretched networks, with their statuses."""
    objects = [_parsed(item) for item in _items(networks)]
    for namespace in {each.metadata.namespace for each in objects} - {None, names.SYSTEM_NAMESPACE}:
        plane.kubectl("create", "namespace", str(namespace))
    administrator = KubernetesCluster(str(plane.kubeconfig), "bench")

    def apply(each: CustomObject) -> None:
        administrator.apply(each)
        administrator.apply_status(each)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(apply, objects))


def _parsed(item: dict[str, Any]) -> CustomObject:
    """Without what the API server of the fakes has set."""
    metadata = {key: item["metadata"][key] for key in ("name", "namespace") if key in item["metadata"]}
    return _KINDS[item["kind"]].from_wire(item | {"metadata": metadata})


def _items(networks: int) -> Iterator[dict[str, Any]]:
    for item in documents(stretched().clouds[0]):
        if item["kind"] not in {"NetworkExpansion", "Attachment"}:
            yield item
            continue
        spec = item["spec"]
        network_id = spec["networkID"] if item["kind"] == "NetworkExpansion" else spec["origin"]["networkID"]
        for number in range(networks):
            renamed = json.loads(json.dumps(item).replace(network_id, f"{network_id[:24]}{number:012x}"))
            if item["kind"] == "NetworkExpansion":
                renamed["metadata"]["name"] += f"-{number}"
            yield renamed
