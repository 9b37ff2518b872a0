"""Probes: nothing outside of a process has its container restarted, and a process that hangs is."""

from __future__ import annotations

import time
from functools import partial

import pytest

from isthmus.telemetry.health import Health
from tests.pods.federation import PodFederation
from tests.pods.installation import PodInstallation
from tests.pods.processes import our_processes
from tests.testbed.host.process import wait_until
from tests.testbed.install.installation import RESYNC_SECONDS
from tests.testbed.workload.tenant import Stretch

# Eight minutes of waiting for what must not happen.
pytestmark = pytest.mark.long
# The chart's liveness probe: 6 failures, 10 s apart.
_PROBE_SECONDS = 60


def test_no_container_is_restarted_while_the_api_server_is_away(peers: PodFederation, stretched: Stretch) -> None:
    pods = peers.in_pods
    before = pods.uids(), pods.restarts()
    pods.cloud.kube.stop_serving()
    try:
        time.sleep(Health(RESYNC_SECONDS).live_seconds + _PROBE_SECONDS + 10)
    finally:
        pods.cloud.kube.serve_again()
    assert stretched.wait_for_ping().all_answered
    for worker in pods.workers.both:
        worker.wait_ready()
    assert (pods.uids(), pods.restarts()) == before
    peers.wait_for_peers()


def test_processes_that_hang_are_restarted_once(peers: PodFederation, stretched: Stretch) -> None:
    pods = peers.in_pods
    before, restarts = pods.uids(), pods.restarts()
    for component in ("agent", "controller"):
        stop(pods, component)
    for component in ("agent", "controller"):
        restarted = partial(restarts_exceed, pods, component, restarts[component])
        wait_until(restarted, 150, f"restart of the {component}", poll_seconds=1)
    expected = {**restarts, "agent": restarts["agent"] + 1, "controller": restarts["controller"] + 1}
    assert pods.restarts() == expected
    # A second one would come after the same time again.
    time.sleep(_PROBE_SECONDS + 20)
    assert (pods.uids(), pods.restarts()) == (before, expected)
    assert stretched.wait_for_ping().all_answered


def restarts_exceed(pods: PodInstallation, component: str, number: int) -> bool:
    """Whether the component's container was restarted more often than this."""
    return pods.restarts_now(component) > number


def stop(pods: PodInstallation, component: str) -> None:
    """Stop every process of the component's pod with SIGSTOP, as if all of its threads hung."""
    place = pods.worker(component).place
    for process in our_processes(place, pods.pod(component)):
        place.run(["kill", "-STOP", str(process.pid)])
