"""The node loop against a node and a cluster in memory: what it does, in which order, and what it leaves alone."""

from __future__ import annotations

import threading

import pytest

from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.node.switch import Ports
from tests.fakes.agentworld import World
from tests.fakes.nodeobjects import NODE, OWN, PEER, PSK, RED, attachment, peer


@pytest.fixture
def world() -> World:
    return World()


def test_block_policies_are_added_first_and_removed_last(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    tunnel = names.tunnel_port(PEER, "gw-b1")
    assert world.node.effects == ["add_blocks", f"load {tunnel}", "ensure_bridge", "apply", "replace"]
    assert world.node.keys[tunnel] == PSK
    world.node.effects.clear()
    world.delete(attachment())
    world.delete(peer())
    world.settle()
    assert world.node.effects == ["replace", "apply", "remove_bridge", f"unload {tunnel}", "remove_blocks"]
    assert (world.node.ports, world.node.blocks, world.node.bridge_exists) == (Ports(), frozenset(), False)


def test_status_is_written_once_when_everything_is_up(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    status = world.get(GatewayNode, NODE).status
    assert {c.type: c.status for c in status.conditions} == {
        "Ready": "True",
        "Progressing": "False",
        "PeersConfigured": "True",
    }
    assert status.peers_up == "1/1"
    assert status.observed_generation == world.get(GatewayNode, NODE).metadata.generation
    (connection,) = status.connections
    assert (connection.up, connection.ike, connection.esp, connection.bfd) == (True, "Established", "Installed", "Up")
    assert status.neutron_host == "host-1"
    (entry,) = world.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert (entry.node, entry.plugged, entry.observed_generation) == (NODE, True, 1)
    assert [(k.cloud_id, k.up) for k in entry.links] == [(PEER, True)]
    writes, effects = world.store.writes, list(world.node.effects)
    world.settle()
    world.new_agent()
    world.settle()
    assert (world.store.writes, world.node.effects) == (writes, effects)


def test_nothing_is_removed_before_the_first_read(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    effects = list(world.node.effects)
    world.store.down = True
    world.new_agent()
    world.settle()
    assert world.node.effects == effects
    assert world.node.ports.tunnels


def test_node_is_still_reconciled_without_the_api(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    world.store.down = True
    world.node.restart_switch()
    world.settle(2)
    assert world.node.flows is not None


def test_restarted_charon_is_reconfigured(world: World) -> None:
    world.settle()
    world.node.restart_charon()
    world.settle(3)
    assert set(world.node.negotiated) == {names.tunnel_port(PEER, "gw-b1")}
    assert len(world.node.associations) == 4, "what the old one left in the kernel is gone"


def test_without_charon_no_tunnel_is_added_and_existing_ones_are_kept(world: World) -> None:
    world.node.charon_answers = False
    world.people.apply(attachment())
    world.settle()
    assert world.node.ports.tunnels == frozenset()
    condition = world.ready()
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "CharonUnavailable")
    world.node.charon_answers = True
    world.settle()
    tunnels, blocks, flows = world.node.ports.tunnels, world.node.blocks, world.node.flows
    assert tunnels
    world.node.charon_answers = False
    world.settle()
    assert (world.node.ports.tunnels, world.node.blocks, world.node.flows) == (tunnels, blocks, flows)


def test_changed_key_is_loaded(world: World) -> None:
    world.settle()
    other = b"another-key-another-key-another-key"
    world.set_key(other)
    world.settle()
    assert set(world.node.keys.values()) == {other}


def test_missing_key_is_reported_until_it_exists(world: World) -> None:
    world.people.delete_manifest("v1", "Secret", "psk-b", names.IPSEC_NAMESPACE)
    world.settle()
    status = world.get(GatewayNode, NODE).status
    condition = condition_of(status.conditions, "PeersConfigured")
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "KeyNotFound")
    assert [(c.up, c.reason) for c in status.connections] == [(False, "KeyNotFound")]
    world.set_key(PSK)
    world.clock.seconds += 3
    world.agent.iterate()
    assert world.node.ports.tunnels


def test_leftover_and_modified_ports_are_removed(world: World) -> None:
    world.settle()
    world.node.leftovers = frozenset({"istbent"})
    world.settle(1)
    assert world.node.leftovers == frozenset()


def test_unresponsive_peer_is_down(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    world.node.peer_answers = False
    world.node.negotiated.clear()
    world.settle()
    (entry,) = world.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [(k.up, k.reason) for k in entry.links] == [(False, "ProbeUnanswered")]
    (connection,) = world.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.reason) == (False, "IKENotEstablished")
    assert world.node.ports.tunnels, "a silent peer is no reason to take its tunnel away"


def test_differing_key_is_reported(world: World) -> None:
    world.node.peer_key = b"another-key-another-key-another-key"
    world.settle()
    (connection,) = world.get(GatewayNode, NODE).status.connections
    assert (connection.up, connection.reason) == (False, "AuthenticationFailed")
    assert connection.message == (
        "a gateway rejected the other's IKE authentication: the pre-shared keys differ (here Secret "
        "isthmus-ipsec/psk-b), or the identities do (ours is gw-a1.cloud-a, we expect gw-b1.cloud-b), or the peer's "
        "gateway has not loaded a connection for us yet"
    )
    assert PSK.decode() not in connection.message
    world.set_key(world.node.peer_key)
    world.settle()
    (connection,) = world.get(GatewayNode, NODE).status.connections
    assert connection.reason != "AuthenticationFailed"


def test_missing_tunnel_address_removes_nothing(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    effects, address = list(world.node.effects), world.node.address
    world.node.address = None
    world.settle()
    ready = world.ready()
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "NoTunnelAddress")
    assert [a.address for a in world.get(GatewayNode, NODE).status.addresses] == ["192.0.2.11"]
    world.node.address = address
    world.settle()
    ready = world.ready()
    assert ready is not None
    assert ready.status == "True"
    assert world.node.effects == effects


def test_links_are_reported_by_their_probes_while_observation_fails(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    world.node.address = None
    world.settle()
    (entry,) = world.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [k.up for k in entry.links] == [True]
    world.node.peer_answers = False
    world.settle()
    (entry,) = world.get(Attachment, f"{OWN}.{RED}").status.nodes
    assert [(k.up, k.reason) for k in entry.links] == [(False, "ProbeUnanswered")]


def test_terminating_peer_is_disconnected_immediately(world: World) -> None:
    """Whatever the controller still has to do for it, and may be unable to do."""
    world.people.apply(attachment())
    world.settle()
    held = world.people.get(CloudPeer, peer().metadata.name)
    assert held is not None
    world.people.set_finalizers(held, [names.FINALIZER])
    world.delete(peer())
    world.settle()
    assert world.node.ports.tunnels == frozenset()
    assert world.node.loaded == {}


def test_status_entry_is_removed_when_the_node_is_not_involved_any_more(world: World) -> None:
    world.people.apply(attachment())
    world.settle()
    moved = attachment(active="gw-a2")
    moved = moved.model_copy(update={"spec": moved.spec.model_copy(update={"ports": ()})})
    world.people.apply(moved)
    world.settle()
    assert world.get(Attachment, f"{OWN}.{RED}").status.nodes == ()
    assert world.node.ports.patches == frozenset()


def test_loop_stops_on_request(world: World) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=world.agent.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
