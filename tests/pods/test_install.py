"""From nothing: `helm install` into an empty cluster, then what its notes ask for."""

from __future__ import annotations

import time
from typing import Final

from tests.pods.federation import PodFederation
from tests.pods.installation import PodInstallation, is_ready, restart_count
from tests.testbed.host.process import wait_until
from tests.testbed.workload.tenant import reachable_stretch

# A process that cannot live without them would have ended several times.
_CRASH_SECONDS: Final = 15


def test_notes_ask_for_what_is_missing(release: PodInstallation) -> None:
    assert "kubectl create secret generic -n isthmus-system isthmus-openstack --from-file=clouds.yaml" in release.notes
    assert "kubectl label node NODE isthmus.cloud/gateway=true" in release.notes


def test_nothing_crashes_before_it_is_given(release: PodInstallation) -> None:
    """The controller runs, and is not ready without a credential; agents and charon have no node yet."""
    wait_until(lambda: [pod["status"]["phase"] for pod in release.pods("controller")] == ["Running"], 180, "its pod")
    time.sleep(_CRASH_SECONDS)
    (pod,) = release.pods("controller")
    assert (restart_count(pod), is_ready(pod)) == (0, False)
    assert release.pods("agent") + release.pods("charon") == []


def test_a_network_is_stretched_to_a_cloud_without_pods(peers: PodFederation) -> None:
    """Machines reach each other, and nothing but protected traffic is on the WAN.

    Without an inventory of the node meanwhile: the older nft of the node crashes on the table that the agent's wrote.
    """
    with peers.lab.wan.capture() as capture, reachable_stretch(peers, "pods", "10.20.0.0/24") as stretch:
        assert stretch.wait_for_ping().all_answered
        assert all(exchange.intact for exchange in stretch.exchange())
    summary = capture.summary()
    assert summary.esp > 0
    summary.require_protected()


def test_helm_test_passes(peers: PodFederation) -> None:
    assert "Succeeded" in peers.in_pods.release.helm("test", "isthmus", "--timeout", "100s")
