"""The demo's manifests are valid and fit together, and its command line names what it does not know."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.testbed.topology import SITES, THIRD_SITE

DEMO = Path(__file__).parents[2] / "demo"
KINDS: Mapping[str, type[CustomObject]] = {
    kind.registration.kind: kind for kind in (CloudPeer, IPsecPolicy, NetworkExpansion)
}
VALUES = {"network_id": "6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11", "project_id": "3f0a2f0c9d1e4b7f8a6b5c4d3e2f1a0b"}
WANS = {site.cloud_id: str(site.wan) for site in (*SITES.values(), THIRD_SITE)}
FILES = sorted(DEMO.glob("cloud-*/*.yaml"))


def manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Template(path.read_text()).substitute(VALUES))
    return found


def cloud_peers() -> Iterator[tuple[str, CloudPeer]]:
    """With the ID of the cloud that each is written in."""
    for path in FILES:
        document = manifest(path)
        if document["kind"] == "CloudPeer":
            yield path.parent.name, CloudPeer.from_wire(document)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_manifest_is_valid(path: Path) -> None:
    """Nothing in it is unknown, or not what its field takes."""
    document = manifest(path)
    if document["kind"] != "Namespace":
        found = KINDS[document["kind"]].from_wire(document)
        assert found.model_dump(mode="json", by_alias=True, exclude_unset=True)["spec"] == document["spec"]


def test_any_two_clouds_know_each_other_by_their_networks() -> None:
    assert {(here, peer.spec.cloud_id) for here, peer in cloud_peers()} == {
        (here, there) for here in WANS for there in WANS if here != there
    }
    for _, peer in cloud_peers():
        assert [str(network) for network in peer.spec.gateway_cidrs] == [WANS[peer.spec.cloud_id]]


def test_all_clouds_have_the_same_policy() -> None:
    policies = [manifest(DEMO / cloud_id / "policy.yaml") for cloud_id in WANS]
    assert policies[0] == policies[1] == policies[2]


def test_receivers_reach_each_other_directly() -> None:
    ends = {("cloud-b", "cloud-c"), ("cloud-c", "cloud-b")}
    between = [peer for here, peer in cloud_peers() if (here, peer.spec.cloud_id) in ends]
    assert [peer.spec.agreement.members for peer in between] == ["Direct", "Direct"]


def test_hybrid_expansion_differs_by_topology_and_peers_only() -> None:
    pair, hybrid = (
        NetworkExpansion.from_wire(manifest(DEMO / "cloud-a" / file)) for file in ("expansion.yaml", "hybrid.yaml")
    )
    assert hybrid.metadata == pair.metadata
    assert [peer.name for peer in hybrid.spec.peers] == ["cloud-b", "cloud-c"]
    assert hybrid.spec.model_copy(update={"peers": pair.spec.peers}) == pair.spec


def test_unknown_topology_is_named() -> None:
    """Before anything is started."""
    command = [sys.executable, "-m", "demo", "--topology", "ring"]
    done = subprocess.run(command, cwd=DEMO.parent, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "argument --topology: invalid choice: 'ring'" in done.stderr


def test_unknown_topology_is_named_before_assets_are_built() -> None:
    command = ["make", "demo", "TOPOLOGY=ring", "PYTHON=false"]
    done = subprocess.run(command, cwd=DEMO.parent, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "TOPOLOGY is hybrid or not given, not 'ring'" in done.stderr
    assert "Error" not in done.stderr, "a command has run"
