"""From an uplink in a GatewayNode to what the peer reads, and to the MTU of networks."""

from __future__ import annotations

import pytest

from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Stretched

PUBLIC = "203.0.113.1"


@pytest.fixture
def stretched() -> Stretched:
    """The gateway networks of each cloud in the other's CloudPeer, with the public address of A."""
    stretched = Stretched()
    a, b = stretched.a, stretched.b
    b.kubectl.apply(b.cloud_peer(a, gatewayCIDRs=[a.gateway_cidr, f"{PUBLIC}/32"]))
    stretched.federation.settle()
    return stretched


def set_uplinks(cloud: FakeCloud, *uplinks: dict[str, object]) -> None:
    """As `kubectl apply` does."""
    cloud.kubectl.apply_manifest(
        {
            "apiVersion": "isthmus.cloud/v1alpha1",
            "kind": "GatewayNode",
            "metadata": {"name": f"gw-{cloud.cloud_id}"},
            "spec": {"uplinks": list(uplinks)},
        }
    )


def mtus(stretched: Stretched) -> set[int]:
    networks = (*stretched.a.neutron.networks.values(), *stretched.b.neutron.networks.values())
    return {network.mtu for network in networks}


def test_an_uplink_is_published_and_lowers_the_mtu_until_it_is_removed(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    assert mtus(stretched) == {1416}
    set_uplinks(a, {"publicAddress": PUBLIC, "reachable": False})
    stretched.federation.settle()
    (gateway,) = b.peer("cloud-a").status.gateways
    assert (gateway.address, gateway.nat, gateway.ike_port) == (PUBLIC, "Behind", None)
    assert mtus(stretched) == {1388}
    assert reason(a.expansion()) == "Ready"

    set_uplinks(a)
    stretched.federation.settle()
    (gateway,) = b.peer("cloud-a").status.gateways
    assert (gateway.address, gateway.nat) == (a.gateway_address, None)
    assert mtus(stretched) == {1416}


def test_a_forwarded_port_is_published(stretched: Stretched) -> None:
    set_uplinks(stretched.a, {"publicAddress": PUBLIC, "ikePort": 4501})
    stretched.federation.settle()
    (gateway,) = stretched.b.peer("cloud-a").status.gateways
    assert (gateway.address, gateway.nat, gateway.ike_port) == (PUBLIC, "Forwarded", 4501)


def test_a_public_address_that_the_peer_has_not_agreed_on_changes_nothing(stretched: Stretched) -> None:
    set_uplinks(stretched.a, {"publicAddress": "203.0.113.2"})
    stretched.federation.settle()
    peer = stretched.b.peer("cloud-a")
    assert reason(peer) == "GatewayRefused"
    assert [gateway.nat for gateway in peer.status.gateways] == [None]
    assert mtus(stretched) == {1388}, "A has it already"


def test_a_nat_that_charon_finds_is_published_as_long_as_nothing_else_is_known(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b

    def seen() -> tuple[str, str | None]:
        stretched.federation.settle()
        (gateway,) = b.peer("cloud-a").status.gateways
        return gateway.address, gateway.nat

    a.nat = "Local"
    assert seen() == (a.gateway_address, "Behind")
    assert mtus(stretched) == {1388}
    a.nat = None
    assert seen() == (a.gateway_address, "Behind"), "while the connection is down"
    a.nat = "Remote"
    assert seen() == (a.gateway_address, None)
    a.nat = None
    assert seen() == (a.gateway_address, None)
    assert mtus(stretched) == {1416}
    a.nat = "Both"
    set_uplinks(a, {"publicAddress": PUBLIC})
    assert seen() == (PUBLIC, "Forwarded"), "what is declared has precedence"


def test_the_controller_leaves_the_spec_to_the_administrator(stretched: Stretched) -> None:
    a = stretched.a
    node = a.kubectl.get(GatewayNode, f"gw-{a.cloud_id}")
    assert node is not None
    assert node.spec is None
    set_uplinks(a, {"publicAddress": PUBLIC})
    stretched.federation.settle()
    node = a.kubectl.get(GatewayNode, f"gw-{a.cloud_id}")
    assert node is not None
    assert node.spec is not None
    assert [uplink.public_address for uplink in node.spec.uplinks] == [PUBLIC]
    (link,) = a.kubectl.list_objects(PeerLink)
    assert [gateway.address for gateway in link.spec.gateways] == [PUBLIC]
