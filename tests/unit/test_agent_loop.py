"""The agent's loop against a node and a cluster in memory: its effects, their order, and what it keeps."""

from __future__ import annotations

import threading

import pytest

from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.flows import Traffic
from isthmus.model.node.switch import Ports
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import NODE, OWN, PEER, PSK, RED, attachment, peer


@pytest.fixture
def harness() -> AgentHarness:
    return AgentHarness()


def test_fences_are_added_first_and_removed_last(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    tunnel = names.tunnel_port(PEER, "gw-b1")
    fences = ["add_blocks", "replace_table"]
    added = ["ensure_bridge", "apply", "replace_table of devices", "set_numbers", "replace"]
    assert harness.node.effects == [*fences, f"load {tunnel}", *added]
    assert harness.node.keys[tunnel] == PSK
    harness.node.effects.clear()
    harness.delete(attachment())
    harness.delete(peer())
    harness.settle()
    fences = ["remove_blocks", "remove_table"]
    removed = ["remove_table of devices", "replace", "apply", "remove_bridge"]
    assert harness.node.effects == [*removed, f"unload {tunnel}", *fences]
    assert (harness.node.ports, harness.node.blocks, harness.node.bridge_exists) == (Ports(), frozenset(), False)
    assert harness.node.firewall == harness.node.clamps == Ruleset()


def test_status_is_written_once_when_everything_is_up(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    status = harness.get(GatewayNode, NODE).status
    assert {c.type: c.status for c in status.conditions} == {
        "Ready": "True",
        "Progressing": "False",
        "Degraded": "False",
        "PeersConfigured": "True",
        "Fenced": "True",
    }
    assert status.peers_up == "1/1"
    assert status.observed_generation == harness.get(GatewayNode, NODE).metadata.generation
    (connection,) = status.connections
    assert (connection.up, connection.ike, connection.esp, connection.bfd) == (True, "Established", "Installed", "Up")
    assert status.neutron_host == "host-1"
    (entry,) = harness.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert (entry.node, entry.plugged, entry.observed_generation) == (NODE, True, 1)
    assert [(k.cloud_id, k.up) for k in entry.links] == [(PEER, True)]
    writes, effects = harness.store.writes, list(harness.node.effects)
    harness.settle()
    harness.new_agent()
    harness.settle()
    assert (harness.store.writes, harness.node.effects) == (writes, effects)


def test_nothing_is_removed_before_the_first_read(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    effects = list(harness.node.effects)
    harness.store.down = True
    harness.new_agent()
    harness.settle()
    assert harness.node.effects == effects
    assert harness.node.ports.tunnels


def test_node_is_still_reconciled_without_the_api(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    harness.store.down = True
    harness.node.restart_switch()
    harness.settle(2)
    assert harness.node.flows


def test_restarted_charon_is_reconfigured(harness: AgentHarness) -> None:
    harness.settle()
    harness.node.restart_charon()
    harness.settle(3)
    assert set(harness.node.negotiated) == {names.tunnel_port(PEER, "gw-b1")}
    assert len(harness.node.associations) == 4, "SAs of the old charon are removed from the kernel"


def test_without_charon_no_tunnel_is_added_and_existing_ones_are_kept(harness: AgentHarness) -> None:
    harness.node.charon_answers = False
    harness.kubectl.apply(attachment())
    harness.settle()
    assert harness.node.ports.tunnels == frozenset()
    condition = harness.ready()
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "CharonUnavailable")
    harness.node.charon_answers = True
    harness.settle()
    tunnels, blocks, flows = harness.node.ports.tunnels, harness.node.blocks, harness.node.flows
    assert tunnels
    harness.node.charon_answers = False
    harness.settle()
    assert (harness.node.ports.tunnels, harness.node.blocks, harness.node.flows) == (tunnels, blocks, flows)


def test_changed_key_is_loaded(harness: AgentHarness) -> None:
    harness.settle()
    other = b"another-key-another-key-another-key"
    harness.set_key(other)
    harness.settle()
    assert set(harness.node.keys.values()) == {other}


def test_missing_key_is_reported_until_it_exists(harness: AgentHarness) -> None:
    harness.kubectl.delete_manifest("v1", "Secret", "psk-b", names.IPSEC_NAMESPACE)
    harness.settle()
    status = harness.get(GatewayNode, NODE).status
    condition = condition_of(status.conditions, "PeersConfigured")
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "KeyNotFound")
    assert [(c.up, c.reason) for c in status.connections] == [(False, "KeyNotFound")]
    harness.set_key(PSK)
    harness.intents.refresh()
    harness.iterate()
    assert harness.node.ports.tunnels


def test_leftover_and_modified_ports_are_removed(harness: AgentHarness) -> None:
    harness.settle()
    harness.node.leftovers = frozenset({"istmodified"})
    harness.settle(1)
    assert harness.node.leftovers == frozenset()


def test_unresponsive_peer_is_down(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    harness.node.peer_answers = False
    harness.node.negotiated.clear()
    harness.settle()
    (entry,) = harness.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [(k.up, k.reason) for k in entry.links] == [(False, "ProbeUnanswered")]
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.reason) == (False, "IKENotEstablished")
    assert harness.node.ports.tunnels, "the tunnel of an unresponsive peer is kept"
    assert entry.links[0].message.endswith("; nothing of this network arrives from the peer")


def test_peer_that_answers_no_probe_but_sends_is_told_apart(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    numbers = harness.node.numbers
    key = (numbers.networks[names.patch_in_cloud_bridge(f"{OWN}.{RED}")], numbers.members[PEER])
    harness.node.received[key] = Traffic(5, 7500)
    harness.node.peer_answers = False
    harness.settle()
    (entry,) = harness.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [(link.up, link.reason) for link in entry.links] == [(False, "ProbeUnanswered")]
    assert entry.links[0].message.endswith("; packets of this network arrive from the peer")
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.reason) == (False, "BFDDown")
    assert connection.message.endswith("although packets of networks arrive from the peer")


def test_differing_key_is_reported(harness: AgentHarness) -> None:
    harness.node.peer_key = b"another-key-another-key-another-key"
    harness.settle()
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.reason) == (False, "AuthenticationFailed")
    assert connection.message == (
        "a gateway rejected the other's IKE authentication: the pre-shared keys differ (here Secret "
        "isthmus-ipsec/psk-b), or the identities do (ours is gw-a1.cloud-a, we expect gw-b1.cloud-b), or the peer's "
        "gateway has not loaded a connection for us yet"
    )
    assert PSK.decode() not in connection.message
    harness.set_key(harness.node.peer_key)
    harness.settle()
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert connection.reason != "AuthenticationFailed"


def test_missing_tunnel_address_removes_nothing(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    effects, address = list(harness.node.effects), harness.node.address
    harness.node.address = None
    harness.settle()
    ready = harness.ready()
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "NoTunnelAddress")
    assert [a.address for a in harness.get(GatewayNode, NODE).status.addresses] == ["192.0.2.11"]
    harness.node.address = address
    harness.settle()
    ready = harness.ready()
    assert ready is not None
    assert ready.status == "True"
    assert harness.node.effects == effects


def test_links_are_reported_by_their_probes_while_observation_fails(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    harness.node.address = None
    harness.settle()
    (entry,) = harness.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [k.up for k in entry.links] == [True]
    harness.node.peer_answers = False
    harness.settle()
    (entry,) = harness.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [(k.up, k.reason) for k in entry.links] == [(False, "ProbeUnanswered")]


def test_terminating_peer_is_disconnected_immediately(harness: AgentHarness) -> None:
    """Whatever the controller still has to do for it, and may fail to do."""
    harness.kubectl.apply(attachment())
    harness.settle()
    held = harness.kubectl.get(CloudPeer, peer().metadata.name)
    assert held is not None
    harness.kubectl.set_finalizers(held, [names.FINALIZER])
    harness.delete(peer())
    harness.settle()
    assert harness.node.ports.tunnels == frozenset()
    assert harness.node.loaded == {}


def test_status_entry_is_removed_when_the_node_is_not_involved_any_more(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    moved = attachment(active="gw-a2")
    moved = moved.model_copy(update={"spec": moved.spec.model_copy(update={"ports": ()})})
    harness.kubectl.apply(moved)
    harness.settle()
    assert harness.get(Attachment, f"{OWN}.{RED}").status.nodes == ()
    assert harness.node.ports.patches == frozenset()


def test_lost_associations_are_reported_and_negotiated_again(harness: AgentHarness) -> None:
    """charon lists them as installed, which is not enough to report that they are."""
    harness.kubectl.apply(attachment())
    harness.settle()
    blocks, associations = harness.node.blocks, len(harness.node.associations)
    harness.node.peer_answers = False
    harness.node.flush_xfrm()
    harness.settle(1)
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.esp, connection.reason) == (False, "Missing", "SAsMissingInKernel")
    harness.node.peer_answers = True
    harness.settle()
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.esp, connection.reason) == (True, "Installed", "Up")
    assert (harness.node.blocks, len(harness.node.associations)) == (blocks, associations)


def test_node_without_nftables_works_and_says_so(harness: AgentHarness) -> None:
    harness.node.has_nftables = False
    harness.kubectl.apply(attachment())
    harness.settle()
    status = harness.get(GatewayNode, NODE).status
    assert [c.up for c in status.connections] == [True]
    for type_, expected in (("Ready", ("True", "Ready")), ("Fenced", ("False", "NftablesUnsupported"))):
        condition = condition_of(status.conditions, type_)
        assert condition is not None
        assert (condition.status, condition.reason) == expected
    harness.node.has_nftables = True
    harness.settle()
    condition = condition_of(harness.get(GatewayNode, NODE).status.conditions, "Fenced")
    assert condition is not None
    assert condition.status == "True"


def test_loop_stops_on_request(harness: AgentHarness) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=harness.agent.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
