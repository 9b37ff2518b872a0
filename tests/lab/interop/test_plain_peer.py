"""A peer that is built by docs/protocol.md from plain tools becomes Ready and carries traffic, in both roles."""

import ast
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.interop.cloud import PLAIN, PlainCloud
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, wait_for_account, wait_ready
from tests.testbed.install.installation import Installation, new_psk
from tests.testbed.node.node import Place
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.ping import ping
from tests.testbed.workload.tenant import Tenant, join_project, leave_project, mtu_and_pools

PEER = "cloud-c"
NAMESPACE = f"isthmus-peer-{PEER}"
MTU = 1416
AGREEMENT = Path(__file__).parent / "peer.yaml"
PYTHON = "/usr/bin/python3"
TCP = Path(__file__).parents[2] / "testbed" / "node" / "guest" / "tcp.py"


@dataclass
class Joined:
    """One network with a machine of cloud A and one of the plain peer, which have reached each other."""

    link: str
    device: str
    network_id: str
    machine: Machine
    plain: Place
    plain_address: str


@pytest.fixture(scope="module")
def a(federation: Federation) -> Installation:
    """Isthmus in cloud A."""
    return federation.a


@pytest.fixture(scope="module")
def plain(federation: Federation, a: Installation) -> Iterator[PlainCloud]:
    """The plain peer, agreed with and connected; nothing of it is left after, and on the wire was nothing in clear."""
    cloud = PlainCloud(federation.lab)
    try:
        cloud.start()
        with federation.lab.wan.capture(cloud.node) as capture, agreed(a, cloud):
            yield cloud
        summary = capture.summary()
        assert summary.esp > 0
        summary.require_protected()
    finally:
        cloud.stop()


@contextmanager
def agreed(a: Installation, plain: PlainCloud) -> Iterator[None]:
    """Peer both clouds as their administrators do, and delete the peers afterwards."""
    psk = new_psk()
    a.cloud.kubectl("apply", "-f", str(AGREEMENT))
    a.set_psk(PEER, psk)
    a.set_peer_kubeconfig(PEER, plain.hand_over())
    plain.gateway("block")
    plain.control.publish_agreement()
    plain.open_tunnel(psk)
    wait_for_account(a.cloud, PEER)
    plain.receive(a.kubeconfig_for(PEER))
    try:
        wait_ready(a.cloud, "cloudpeer", PEER)
        yield
    finally:
        a.cloud.kubectl("annotate", "cloudpeer", PEER, "isthmus.cloud/forget=true")
        a.cloud.kubectl("delete", "-f", str(AGREEMENT), "--timeout=60s")
        for namespace in ("isthmus-system", "isthmus-ipsec"):
            a.cloud.kubectl("delete", "secret", "-n", namespace, f"peer-{PEER}")
        wait_until(lambda: not connections(a), 30, "A's gateway node to remove the tunnel")


def connections(a: Installation) -> list[dict[str, Any]]:
    """Connections to the plain peer as A's gateway nodes report them."""
    nodes = objects(a.cloud, "gatewaynodes")
    return [c for node in nodes for c in node["status"].get("connections", []) if c["cloudID"] == PEER]


@pytest.fixture(scope="module")
def received(plain: PlainCloud, a: Installation) -> Iterator[Joined]:
    """A network of cloud A that the plain peer accepts."""
    tenant = Tenant.create(a.cloud, "plain", "10.70.0.0/24")
    before = mtu_and_pools(a.cloud, tenant.network_id)
    tenant.admit()
    machine = tenant.boot("plain-a")
    request(a, tenant)
    link = f"{a.cloud.cloud_id}.{tenant.network_id}"
    theirs = wait_until(lambda: plain.control.peer_links().get(link, {}), 30, "A's offer")
    offer = theirs["spec"]["offer"]
    (subnet,) = offer["subnets"]
    place = plain.stretch("web", offer["tunnelID"], "receiver", subnet["gatewayIP"], subnet["first"])
    plain.control.answer(theirs, "Accepted")
    yield Joined(link, "vx-web", tenant.network_id, machine, place, subnet["first"])
    a.cloud.kubectl("delete", "networkexpansion", "-n", tenant.name, tenant.name, "--timeout=60s")
    assert mtu_and_pools(a.cloud, tenant.network_id) == before
    theirs = plain.control.peer_links()[link]
    assert theirs["spec"]["state"] == "Withdrawn"
    plain.cut("web")
    plain.control.answer(theirs, "Released")
    wait_until(lambda: link not in plain.control.peer_links(), 30, "A to delete its link")
    plain.control.delete(link)
    machine.delete()
    a.cloud.kubectl("delete", "namespace", tenant.name)
    tenant.delete()


@pytest.fixture(scope="module")
def offered(plain: PlainCloud, a: Installation) -> Iterator[Joined]:
    """A network of the plain peer that cloud A accepts."""
    network_id = str(uuid.uuid4())
    subnet = {"id": str(uuid.uuid4()), "cidr": "10.71.0.0/24", "gatewayIP": "10.71.0.1"}
    subnet |= {"first": "10.71.0.128", "last": "10.71.0.191"}
    project = {"id": uuid.uuid4().hex, "name": "elsewhere"}
    tunnel_id = 0x108000  # the first of the second cloud's
    offer = {"tunnelID": tunnel_id, "project": project, "networkName": "back", "subnets": [subnet]}
    link = plain.control.offer(network_id, offer)
    place = plain.stretch("back", tunnel_id, "origin", subnet["gatewayIP"], "10.71.0.9")
    answer = wait_until(lambda: answer_to(plain, link, "Accepted"), 60, "A's answer")
    (replica,) = replicas_of(a.cloud, link)
    member = join_project(a.cloud, replica.project_id, "elsewhere-at-a")
    tenant = Tenant(a.cloud, member, replica, "10.71.0.0/24")
    tenant.admit()
    machine = tenant.boot("back-a")
    yield Joined(link, "vx-back", str(replica.id), machine, place, "10.71.0.9")
    machine.delete()
    leave_project(a.cloud, member)
    plain.control.withdraw(link)
    wait_until(lambda: answer_to(plain, link, "Released"), 30, "A to release the network")
    plain.cut("back")
    plain.control.delete(link)
    wait_until(lambda: link not in plain.control.peer_links(), 30, "A to delete its link")
    wait_until(lambda: not replicas_of(a.cloud, link), 60, "A to remove the replica")
    assert answer["reason"] == "Accepted"


def request(a: Installation, tenant: Tenant) -> None:
    """Apply what A's administrator and tenant write to stretch the network to the plain peer."""
    annotations = f"{{isthmus.cloud/project-id: {tenant.project.id}}}"
    a.cloud.kubectl(
        "apply",
        "-f",
        "-",
        input=f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {tenant.name}, annotations: {annotations}}}
---
apiVersion: isthmus.cloud/v1alpha1
kind: NetworkExpansion
metadata: {{name: {tenant.name}, namespace: {tenant.name}}}
spec: {{networkID: {tenant.network_id}, peers: [{{name: {PEER}}}]}}
""",
    )


def answer_to(plain: PlainCloud, link: str, verdict: str) -> dict[str, Any]:
    """A's answer to an offer of the plain peer, if it is this verdict."""
    theirs = plain.control.peer_links().get(link, {"spec": {}})
    answer: dict[str, Any] = theirs["spec"].get("answer", {})
    return answer if answer.get("verdict") == verdict else {}


def replicas_of(cloud: Cloud, link: str) -> list[Any]:
    """The replica of a network of the plain peer, or none."""
    return [n for n in cloud.openstack().network.networks() if n.description.startswith(f"isthmus {link} ")]


def reaches_both_ways(network: Joined) -> None:
    """Pings, the largest packet and TCP, each begun by either machine."""
    machine, address = network.machine, str(network.machine.address)
    wait_until(lambda: machine.ping(network.plain_address, count=1).all_answered, 30, "a reply of the plain peer")
    wait_until(lambda: ping(network.plain, address, 1, 1).all_answered, 30, "a reply of cloud A's machine")
    assert machine.ping(network.plain_address).all_answered
    assert ping(network.plain, address, 5, 0.1, size=MTU, df=True).all_answered
    assert exchange(machine.place, address, network.plain, network.plain_address)
    assert exchange(network.plain, network.plain_address, machine.place, address)


def came_back(plain: PlainCloud, network: Joined) -> bool:
    """Whether A has sent a probe of the plain peer back."""
    return any("came back" in line for line in plain.responses("probe", network.device))


def exchange(server: Place, server_address: str, client: Place, client_address: str) -> bool:
    """Whether a payload of 1 MiB went to the server and came back unchanged."""
    name = f"tcp-{client_address}"
    server.log(name).unlink(missing_ok=True)
    server.spawn([PYTHON, TCP, "serve", server_address, "7777"], name)
    sent = client.run([PYTHON, str(TCP), "send", server_address, "7777", str(1 << 20)], timeout_seconds=120)
    here, echoed = sent.stdout.split()
    wait_until(lambda: not server.alive(name), 30, f"end of {name}")
    return here == echoed == server.log(name).read_text().strip()


def test_plain_peer_shares_no_code_with_us() -> None:
    files = list(PLAIN.glob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names, file


def test_cloud_peer_is_ready(plain: PlainCloud, a: Installation) -> None:
    (connection,) = connections(a)
    assert (connection["ike"], connection["esp"], connection["bfd"]) == ("Established", "Installed", "Up")
    assert condition(a.cloud, "cloudpeer", PEER)["status"] == "True"
    # Its session follows ours by a packet.
    wait_until(lambda: plain.responses("bfd", "vx-bfd")[-1] == "bfd up", 60, "the plain peer's BFD session")


def test_network_of_ours_is_ready_and_carries_traffic(plain: PlainCloud, a: Installation, received: Joined) -> None:
    wait_ready(a.cloud, "networkexpansion", "plain", "plain")
    reaches_both_ways(received)
    wait_until(lambda: came_back(plain, received), 60, "a probe of the plain peer to come back")


def test_network_of_the_plain_peer_is_ready_and_carries_traffic(
    plain: PlainCloud, a: Installation, offered: Joined
) -> None:
    wait_ready(a.cloud, "expansionlink", offered.link, NAMESPACE)
    assert a.cloud.openstack().network.get_network(offered.network_id).mtu == MTU
    reaches_both_ways(offered)
    wait_until(lambda: came_back(plain, offered), 60, "a probe of the plain peer to come back")
