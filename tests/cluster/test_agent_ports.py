"""An agent's intents from a real API server and its reports to it, with the rights of the shipped role."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.agent.assembly import assemble
from isthmus.agent.backends import Backends
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment, NodeObservation
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayNodeStatus
from isthmus.model.names import GATEWAY_NAMESPACE, IPSEC_NAMESPACE, SYSTEM_NAMESPACE
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.report import NodeReport
from isthmus.model.settings import AgentSettings
from tests.contract.samples import attachment, cloud_peer, gateway_node
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import account_kubeconfig, make_node

NODE, PEER = "agent-gw", "agent-peer"
NAMES = ("agent-x", "agent-y")


@pytest.fixture
def backends(installed: ControlPlane, tmp_path: Path) -> Iterator[Backends]:
    """Of an agent that does not watch anything else; it is given as much time for a resync as possible."""
    make_node(installed, NODE)
    for obj in (cloud_peer(PEER), gateway_node(NODE), *map(attachment, NAMES)):
        installed.kubectl("apply", "-f", "-", input=json.dumps(obj.to_manifest()))
    kubeconfig = account_kubeconfig(installed, tmp_path, GATEWAY_NAMESPACE, names.AGENT, NODE)
    settings = AgentSettings(
        node_name=NODE,
        cloud_id="cloud-x",
        gateway_cidrs=("192.0.2.0/24",),
        kubeconfig=str(kubeconfig),
        resync_seconds=3600,
    )
    backends = assemble(settings)
    yield backends
    backends.intents.stop()
    backends.reports.stop()
    for thread in threading.enumerate():
        if thread.name == "watch":
            thread.join(60)
    installed.kubectl("delete", "cloudpeer", PEER)
    installed.kubectl("delete", "gatewaynode", NODE)
    installed.kubectl("delete", "attachment", "-n", SYSTEM_NAMESPACE, *(attachment(n).metadata.name for n in NAMES))


def test_changes_reach_the_agent_at_once_and_reports_the_cluster(installed: ControlPlane, backends: Backends) -> None:
    backends.intents.start(lambda: None)
    wait_until(backends.intents.latest, 60, "the first inputs")
    ours = {attachment(name).metadata.name for name in NAMES}
    assert ours <= _latest(backends).attachments.keys()
    time.sleep(3)  # the watches are open
    secret = cloud_peer(PEER).spec.ipsec.auth_secret_ref.name
    installed.kubectl("create", "secret", "generic", secret, "-n", IPSEC_NAMESPACE, "--from-literal=psk=" + "k" * 32)
    try:
        wait_until(lambda: secret in _latest(backends).keys, 30, "the key")
    finally:
        installed.kubectl("delete", "secret", secret, "-n", IPSEC_NAMESPACE)
    wait_until(lambda: secret not in _latest(backends).keys, 30, "the key to be gone")
    observations = {name: NodeObservation(node=NODE, plugged=True) for name in ours}
    before = _latest(backends)
    backends.reports.start()
    backends.reports.publish(NodeReport(GatewayNodeStatus(neutron_host="host-1"), None, observations))
    wait_until(lambda: _reported(installed) == (ours, "host-1"), 60, "the reports")
    backends.reports.publish(NodeReport(GatewayNodeStatus(neutron_host="host-1"), None, {}))
    wait_until(lambda: _reported(installed) == (set(), "host-1"), 60, "the entries to be withdrawn")
    assert _latest(backends) is before, "statuses alone are nothing to plan from"


def _latest(backends: Backends) -> NodeInputs:
    found = backends.intents.latest()
    assert found is not None
    return found


def _reported(plane: ControlPlane) -> tuple[set[str], str | None]:
    """The Attachments with an entry of this node, and what the GatewayNode says."""
    documents = json.loads(plane.kubectl("get", "attachments", "-n", SYSTEM_NAMESPACE, "-o", "json"))["items"]
    attachments = (Attachment.from_wire(document) for document in documents)
    node = GatewayNode.from_wire(json.loads(plane.kubectl("get", "gatewaynode", NODE, "-o", "json")))
    entries = {a.metadata.name for a in attachments if any(entry.node == NODE for entry in a.status.nodes)}
    return entries, node.status.neutron_host
