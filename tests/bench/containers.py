"""Containers on real kubelets: from their start to the first complete look, and their memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.result import Result, at_most, reported
from tests.bench.startup import megabytes
from tests.pods.installation import METRICS_PORTS, NAMESPACES, Pod, PodInstallation
from tests.pods.processes import our_processes
from tests.testbed.host.process import wait_until

STARTS: Final = 3
_SECONDS: Final = 90
_PROGRAM: Final = Path(__file__).with_name("readiness.py")
_UNITS: Final = {"Ki": 1 / 1024, "Mi": 1.0, "Gi": 1024.0}


def starts(pods: PodInstallation) -> list[Result]:
    """Replace controller and agent a few times; a look is complete when /readyz is answered with 200."""
    return [
        reported(
            f"{component} in a pod: container's start to first complete look, median of {STARTS}",
            median(_start(pods, component) for _ in range(STARTS)),
            "s",
        )
        for component in METRICS_PORTS
    ]


def memory(pods: PodInstallation) -> Iterator[Result]:
    """Resident memory of each container, at most what the chart requests; and its peak, at most the chart's limit."""
    for component in NAMESPACES:
        pod = pods.pod(component)
        found = our_processes(pods.worker(component).place, pod)
        statuses = [pods.worker(component).place.run(["cat", f"/proc/{each.pid}/status"]).stdout for each in found]
        for field, which, limit in (("VmRSS", "resident memory", "requests"), ("VmHWM", "peak", "limits")):
            size = sum(megabytes(status, field) for status in statuses)
            yield at_most(f"{component} in a pod: {which} (chart: {limit})", size, "MiB", mebibytes(_of(pod, limit)))


def mebibytes(quantity: str) -> float:
    """An amount of memory as Kubernetes writes it."""
    return float(quantity[:-2]) * _UNITS[quantity[-2:]]


def _of(pod: Pod, which: str) -> str:
    (container,) = pod["spec"]["containers"]
    resources: dict[str, Any] = container["resources"]
    return str(resources[which]["memory"])


def _start(pods: PodInstallation, component: str) -> float:
    """Delete the pod, and measure the next one."""
    before = pods.pod(component)["metadata"]
    pods.cloud.kubectl("delete", "pod", "-n", before["namespace"], before["name"], "--wait=false")

    def successor() -> str:
        others = {str(pod["metadata"]["uid"]) for pod in pods.pods(component)} - {before["uid"]}
        return next(iter(others), "")

    uid = wait_until(successor, _SECONDS, f"another pod of the {component}", poll_seconds=0.05)
    argv = ["/usr/bin/python3", "-IS", str(_PROGRAM), uid, str(METRICS_PORTS[component]), str(_SECONDS)]
    seconds = float(pods.worker(component).place.run(argv, timeout_seconds=_SECONDS + 10).stdout)
    pods.pod(component)
    return seconds
