"""`kubectl isthmus uninstall` in both clouds: Isthmus is installed once more, used, and removed while it is in use."""

from __future__ import annotations

from pathlib import Path

from tests.pods.administrator import Administrator
from tests.pods.federation import PodFederation
from tests.testbed.assets import locate
from tests.testbed.cloud import nodes
from tests.testbed.install.federation import MANIFESTS, objects
from tests.testbed.install.installation import IPSEC, SYSTEM
from tests.testbed.inventory import Inventory, difference_once_settled, take
from tests.testbed.workload.tenant import Stretch, Tenant

NAME = "uninstalled"
IN_USE = "networkexpansions,cloudpeers,attachments,expansionlinks,portslices,peerlinks"


def test_command_leaves_nothing(peers: PodFederation, untouched: Inventory, tmp_path: Path) -> None:
    """A waits for no machine in B. B waits for the one on its replica; its second attempt goes on."""
    a, b = peers.in_pods.cloud, peers.b.cloud
    of_b = take(b)
    first, second = (Administrator(cloud, locate(), _made(tmp_path / cloud.name)) for cloud in (a, b))
    _install_again(peers)
    tenant, stretch = _stretch(peers)
    removed = first.succeed("uninstall", "--yes", "--delete-keys")
    assert removed.splitlines()[-1] == "Nothing of Isthmus is left in this cluster."
    waiting = second.run("uninstall", "--yes", "--forget-unreachable", "--timeout", "30")
    assert (waiting.returncode, waiting.stdout) == (1, "")
    assert f"Attachment {SYSTEM}/{peers.link_name(tenant.network_id)}" in waiting.stderr
    assert "the replica is kept until these ports are deleted" in waiting.stderr
    stretch.remove_remotes()
    assert "  kubectl delete -k deploy/" in second.succeed("uninstall", "--yes", "--forget-unreachable")
    assert objects(b, IN_USE) == []
    _remove_what_is_not_ours(peers, tenant, stretch)
    assert difference_once_settled(untouched, a) == ""
    assert difference_once_settled(of_b, b) == ""


def _install_again(peers: PodFederation) -> None:
    peers.in_pods.install()
    peers.in_pods.start()
    peers.in_pods.wait_until_ready(180)
    peers.introduce()


def _stretch(peers: PodFederation) -> tuple[Tenant, Stretch]:
    """A network of cloud A with a machine on each side, which reach each other."""
    tenant = Tenant.create(peers.origin.cloud, NAME, "10.31.0.0/24")
    local = tenant.boot(f"{NAME}-{peers.origin.cloud.name}")
    peers.bind(NAME, tenant.project.id)
    peers.expand(NAME, NAME, tenant.network_id)
    peers.wait_expanded(NAME, NAME, tenant.network_id)
    stretch = Stretch.of(peers, tenant, local)
    stretch.boot_remote(f"{NAME}-{peers.receiver.cloud.name}")
    stretch.admit()
    assert stretch.wait_for_ping().all_answered
    return tenant, stretch


def _remove_what_is_not_ours(peers: PodFederation, tenant: Tenant, stretch: Stretch) -> None:
    """What tenant and administrators have made; cloud B keeps Isthmus, and so its keys and its policy."""
    a, b = peers.in_pods.cloud, peers.b.cloud
    stretch.local.delete()
    tenant.delete()
    a.kubectl("delete", "namespace", NAME)
    nodes.label(a, a.gateway, is_gateway=False)
    b.kubectl("delete", "-f", str(MANIFESTS / f"cloud-{b.name}" / "policy.yaml"), "--ignore-not-found")
    for namespace in (SYSTEM, IPSEC):
        b.kubectl("delete", "secret", "-n", namespace, f"peer-{a.cloud_id}", "--ignore-not-found")


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
