"""The commands of docs/operate.md, run as they are written by the administrators of two clouds that have agreed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.model import names
from tests.fakes.federation import FakeFederation
from tests.fakes.kubectl import active_lease
from tests.golden.commands import blocks_below
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import make_node
from .conftest import PUBLIC_ADDRESS, SECOND_ADDRESS
from .pairedclouds import Clouds, Side, agree, running, side_on

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operate.md").read_text()
NODE = "gw-a1"


@pytest.fixture(scope="module")
def clouds(
    installed: ControlPlane, second_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clouds]:
    directory = tmp_path_factory.mktemp("clouds")
    one, other = FakeFederation().clouds
    a = side_on(one, installed, directory / "a", installed.server_at(PUBLIC_ADDRESS))
    b = side_on(other, second_plane, directory / "b", second_plane.server_at(SECOND_ADDRESS))
    for side in (a, b):
        _provide_operator(side)
    with running(a, b) as both:
        agree(a, b)
        yield both
        for side, peer in ((a, "cloud-b"), (b, "cloud-a")):
            assert side.plugin.run("revoke", peer, "--yes").returncode == 0


def _provide_operator(side: Side) -> None:
    """`isthmus` in the PATH, as the Python package has it."""
    program = side.plugin.directory / "isthmus"
    operator = ROOT / "operator"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={operator} exec {sys.executable} -m isthmus.cli.main "$@"\n')
    program.chmod(0o755)


def _run(side: Side, script: str) -> str:
    """Run all commands of a block; one that fails ends it."""
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        env=side.plugin.environment,
        cwd=side.plugin.directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_commands_that_look(clouds: Clouds) -> None:
    (block,) = blocks_below(PAGE, "Look")
    _renew_lease_of_agent(clouds.a)
    shown = _run(clouds.a, block)
    assert shown.startswith("cloud-a: controller active")
    assert "cloud-b: all is well" in shown


def _renew_lease_of_agent(side: Side) -> None:
    """As the agent does, which a test plays here."""
    node = f"gw-{side.cloud.cloud_id}"
    side.plane.kubectl("apply", "-f", "-", input=json.dumps(active_lease(names.agent_lease(node), node)))


def test_node_is_drained(clouds: Clouds) -> None:
    plane = clouds.a.plane
    make_node(plane, NODE)
    (block,) = blocks_below(PAGE, "Maintenance of a gateway node")
    drain, look, end = block.splitlines()
    try:
        _run(clouds.a, end)
        wait_until(lambda: NODE in _gateway_nodes(plane), 60, "the GatewayNode")
        _run(clouds.a, drain)
        wait_until(lambda: NODE not in _gateway_nodes(plane), 60, "the end of the GatewayNode")
        _run(clouds.a, look)
        columns = plane.kubectl(
            "get", "crd", "attachments.isthmus.cloud", "-o", "jsonpath={..additionalPrinterColumns}"
        )
        assert '"name":"Node"' in columns
    finally:
        plane.kubectl("delete", "node", NODE)


def _gateway_nodes(plane: ControlPlane) -> list[str]:
    return plane.kubectl("get", "gatewaynodes", "-o", "name").replace("gatewaynode.isthmus.cloud/", "").split()


def test_key_is_replaced(clouds: Clouds) -> None:
    side = clouds.a
    before = side.secrets()[names.IPSEC_NAMESPACE]["psk"]
    (block,) = blocks_below(PAGE, "The pre-shared key")
    _run(side, block)
    after = side.secrets()[names.IPSEC_NAMESPACE]["psk"].strip()
    assert len(after) == 64
    assert after != before
    labels = ("get", "secret", "-n", names.IPSEC_NAMESPACE, "peer-cloud-b", "-o", "jsonpath={.metadata.labels}")
    assert names.PEER_LABEL in side.plane.kubectl(*labels), "revoke still finds it"


def test_credential_is_renewed(clouds: Clouds) -> None:
    """Before it ends; and after it was voided, for another account."""
    a, b = clouds.a, clouds.b
    make, store = blocks_below(PAGE, "The peer's credential")
    assert "revoke --credential cloud-b" in PAGE
    _renew(clouds, make, store)
    assert a.plugin.run("revoke", "--credential", "cloud-b", "--yes").returncode == 0
    b.wait("cloud-a", "Reachable=False")
    wait_until(lambda: _has_account(a), 60, "the account")
    _renew(clouds, make.replace("--renew", f"--server {a.server}"), store)
    b.wait("cloud-a", "Reachable")
    b.wait("cloud-a", "Ready")


def _renew(clouds: Clouds, make: str, store: str) -> None:
    """A makes a kubeconfig by that command, and B stores it by the other one."""
    before = clouds.b.secrets()[names.SYSTEM_NAMESPACE]["kubeconfig"]
    _run(clouds.a, make)
    made = (clouds.a.plugin.directory / "for-cloud-b.kubeconfig").read_text()
    (clouds.b.plugin.directory / "from-cloud-a.kubeconfig").write_text(made)
    _run(clouds.b, store)
    assert clouds.b.secrets()[names.SYSTEM_NAMESPACE]["kubeconfig"] == made != before


def _has_account(side: Side) -> bool:
    listed = side.objects("serviceaccounts", "-n", names.peer_namespace("cloud-b"))
    return any(item["metadata"]["name"] == names.PEER_ACCOUNT for item in listed)
