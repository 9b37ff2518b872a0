"""After everything else: no secret of the agreement or of the operators is anywhere where it is not needed."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.pods import places
from tests.pods.federation import PodFederation
from tests.pods.places import Found, Searched
from tests.pods.planted import Forms, forms, planted
from tests.testbed.node.node import Place

# What needs the secret itself, and is left out. Secrets in the API and the memory of processes are not searched at all.
NEEDED: Final = {
    r"host: .*/lab\.json": "the testbed's own record, from which it makes the operators' credentials",
    r"host: .*/isthmus-b/clouds\.yaml": "credential of the native controller",
    r"host: .*/kube/etcd/.*": "the API servers store Secrets there",
    r"cp-a: /run/kubelet/root/pods/[^/]+/volumes/kubernetes\.io~secret/.*": "Secret that the controller's pod mounts",
}
CANARY: Final = "canary"


@pytest.fixture(scope="module")
def looked_for(peers: PodFederation) -> Forms:
    """The secrets, and a canary that is no secret."""
    return forms({**planted(peers), CANARY: f"canary-{secrets.token_hex(16)}"})


@pytest.fixture(scope="module")
def canaries(peers: PodFederation, looked_for: Forms) -> Iterator[set[str]]:
    """Places where the canary is planted, in different forms."""
    plain, encoded = looked_for[CANARY][0].decode(), base64.b64encode(b"x" + looked_for[CANARY][0]).decode()
    with ExitStack() as undo:
        found = set()
        control, gateway = peers.in_pods.workers.both
        nodes: list[tuple[str, Place, tuple[str, ...]]] = [
            (control.name, control.place, ("/run/canary", "/var/log/canary")),
            (gateway.name, gateway.place, ("/run/canary", "/var/log/canary")),
            (peers.b.cloud.gateway.name, peers.b.cloud.gateway, ("/run/canary",)),
        ]
        for name, place, paths in nodes:
            for path in paths:
                place.run(["tee", path], input=f"log: {encoded}\n")
                undo.callback(place.run, ["rm", path])
            place.spawn(["bash", "-c", f"exec -a {plain} sleep 600"], "canary", env={"CANARY": encoded})
            undo.callback(place.stop, "canary")
            found |= {f"{name}: {each}" for each in (*paths, "command line of sleep", "environment of sleep")}
        file = peers.lab.directory / "canary.log"
        file.write_text(plain)
        undo.callback(file.unlink)
        for side in peers.both:
            manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "canary"}, "data": {"x": plain}}
            side.cloud.kubectl("apply", "-f", "-", input=json.dumps(manifest))
            undo.callback(side.cloud.kubectl, "delete", "configmap", "canary")
            found.add(f"{side.cloud.cloud_id}: ConfigMap default/canary")
        yield found | {f"host: {file}"}


@pytest.fixture(scope="module")
def searched(peers: PodFederation, canaries: set[str], looked_for: Forms) -> list[Searched]:
    """All nodes and this machine, with the canary in place."""
    assert canaries
    return list(places.on_nodes(peers, looked_for))


@pytest.fixture(scope="module")
def everywhere(
    peers: PodFederation, searched: list[Searched], looked_for: Forms, tmp_path_factory: pytest.TempPathFactory
) -> Found:
    """All that was found."""
    directory: Path = tmp_path_factory.mktemp("gathered")
    return set().union(places.shown(peers, directory, looked_for), *(each.found for each in searched))


def test_search_finds_what_is_planted(everywhere: Found, canaries: set[str]) -> None:
    assert canaries - {place for place, name in everywhere if name == CANARY} == set()


def test_search_reads_everything(searched: list[Searched]) -> None:
    assert [path for each in searched for path in each.unread] == []
    assert [each for each in searched if not each.files or not each.processes] == []


def test_no_secret_is_where_it_is_not_needed(everywhere: Found) -> None:
    left_out = re.compile("|".join(NEEDED))
    assert sorted(found for found in everywhere if found[1] != CANARY and not left_out.fullmatch(found[0])) == []


@pytest.mark.parametrize("needed", NEEDED, ids=NEEDED.values())
def test_what_is_left_out_has_a_secret(everywhere: Found, needed: str) -> None:
    assert [place for place, name in everywhere if name != CANARY and re.fullmatch(needed, place)]
