"""`helm uninstall` is refused while Isthmus is in use, and leaves nothing otherwise."""

from __future__ import annotations

import pytest

from tests.chart.helm import HelmError
from tests.pods.federation import PodFederation
from tests.pods.losses import require_no_loss
from tests.testbed.cloud import nodes
from tests.testbed.install.installation import IPSEC, SYSTEM
from tests.testbed.inventory import Inventory, difference_once_settled
from tests.testbed.workload.tenant import reachable_stretch

OURS = "app.kubernetes.io/part-of=isthmus"


def test_uninstall_is_refused_while_a_network_is_stretched(peers: PodFederation) -> None:
    pods = peers.in_pods
    with reachable_stretch(peers, "refused", "10.30.0.0/24") as stretch:
        before = pods.uids()

        def refuse() -> None:
            in_use = "Isthmus is in use: CloudPeer cloud-b; NetworkExpansion refused/refused"
            with pytest.raises(HelmError, match=in_use):
                pods.release.uninstall("--timeout", "100s")

        require_no_loss(stretch, refuse, "`helm uninstall` is refused")
        assert pods.uids() == before


def test_uninstall_leaves_nothing(peers: PodFederation, untouched: Inventory) -> None:
    """With the steps of docs/install.md: definitions and namespaces are the administrator's to delete."""
    pods, kubectl = peers.in_pods, peers.in_pods.cloud.kubectl
    peers.remove_peers()
    pods.release.uninstall("--wait", "--timeout", "100s")
    kubectl("delete", "crd", "-l", OURS, "--timeout=180s")
    kubectl("delete", "namespace", SYSTEM, IPSEC, "--timeout=180s")
    nodes.label(pods.cloud, pods.cloud.gateway, is_gateway=False)
    assert difference_once_settled(untouched, pods.cloud) == ""
