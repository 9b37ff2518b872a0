"""Faults as data: how each is injected and healed, and what `diagnose` names first in cloud A and in cloud B."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from isthmus.model.reasons import Reason
from isthmus.plugin.core.diagnosis.catalogue import ROWS, Code

from . import actions
from .actions import Place

Action = Callable[[Place], object]
Codes = tuple[str, ...]
WELL: Final[Codes] = ()


@dataclass(frozen=True)
class Fault:
    """One fault, or two at once."""

    name: str
    inject: Action
    heal: Action
    at_a: Codes = WELL
    """Codes that the first line in cloud A names, in order; none if all is well there."""
    at_b: Codes = WELL
    seconds: float = 120.0
    """How long it may take until both sides name it: a Lease is old after a minute, and IKE gives up slowly."""


def nothing(_: Place) -> None:
    """It heals by itself."""


def first_line(peer: str, codes: Codes) -> str:
    """What the first line has to be."""
    named = (f"{ROWS[code].code} at {ROWS[code].layer} ({ROWS[code].whose})" for code in codes)
    return f"{peer}: " + ("; ".join(named) or "all is well")


FAULTS: Final = (
    Fault(
        "controller of A killed",
        lambda place: place.a.stop_process("controller"),
        lambda place: place.a.start_controller(),
        at_a=(Code.CONTROLLER_NOT_ACTIVE,),
    ),
    Fault(
        "agent of A killed",
        lambda place: place.a.stop_process("agent"),
        lambda place: place.a.start_agent(),
        at_a=(Code.AGENT_NOT_RUNNING,),
    ),
    Fault(
        "charon of A killed",
        lambda place: place.a.cloud.gateway.charon.kill(),
        lambda place: place.a.cloud.gateway.charon.start(),
        at_a=(Reason.CHARON_UNAVAILABLE,),
    ),
    Fault(
        "charon of B killed",
        lambda place: place.b.cloud.gateway.charon.kill(),
        lambda place: place.b.cloud.gateway.charon.start(),
        at_b=(Reason.CHARON_UNAVAILABLE,),
    ),
    Fault(
        "API of B unreachable from A",
        lambda place: place.wan.cut_api("b"),
        lambda place: place.wan.restore_api("b"),
        at_a=(Reason.PEER_UNREACHABLE,),
    ),
    Fault(
        "API of A unreachable from B",
        lambda place: place.wan.cut_api("a"),
        lambda place: place.wan.restore_api("a"),
        at_b=(Reason.PEER_UNREACHABLE,),
    ),
    Fault(
        "kubeconfig at A trusts another authority",
        actions.trust_another_authority,
        actions.restore_kubeconfig,
        at_a=(Code.PEER_CERTIFICATE_NOT_TRUSTED,),
    ),
    Fault(
        "token at A is not valid",
        actions.spoil_token,
        actions.restore_kubeconfig,
        at_a=(Reason.PEER_FORBIDDEN,),
    ),
    Fault(
        "Secret with the kubeconfig deleted at A",
        actions.delete_kubeconfig,
        actions.restore_kubeconfig,
        at_a=(Reason.KUBECONFIG_NOT_FOUND,),
    ),
    Fault(
        "another tunnel port at B",
        lambda place: actions.change_peer(place.b, tunnel={"port": 24789}),
        lambda place: actions.change_peer(place.b, tunnel={"port": 14789}),
        at_a=(Reason.TUNNEL_PORTS_DIFFER,),
        at_b=(Reason.TUNNEL_PORTS_DIFFER,),
    ),
    Fault(
        "no proposal of B is one of A's",
        lambda place: actions.change_proposal(place.b, "aes256gcm16-prfsha512-ecp521"),
        lambda place: actions.change_proposal(place.b, "aes256gcm16-prfsha384-ecp384"),
        at_a=(Reason.NO_COMMON_PROPOSAL,),
        at_b=(Reason.NO_COMMON_PROPOSAL,),
    ),
    Fault(
        "gateway of B outside of what A allows",
        lambda place: actions.change_peer(place.a, gatewayCIDRs=["203.0.113.0/24"]),
        lambda place: actions.change_peer(place.a, gatewayCIDRs=[str(place.b.cloud.site.wan)]),
        at_a=(Reason.GATEWAY_REFUSED,),
        at_b=(Code.IKE_NOT_COMPLETED,),
    ),
    Fault(
        "everything between the gateways dropped",
        lambda place: place.wan.drop_between_gateways(),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.PEER_GATEWAY_UNREACHABLE,),
        at_b=(Code.PEER_GATEWAY_UNREACHABLE,),
        seconds=240,
    ),
    Fault(
        "UDP port 500 dropped, and both charons restarted",
        lambda place: actions.drop_ike(place),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.IKE_NOT_RECEIVED,),
        at_b=(Code.IKE_NOT_RECEIVED,),
        seconds=240,
    ),
    Fault(
        "UDP port 500 dropped from A to B, and both charons restarted",
        lambda place: actions.drop_ike(place, source="a"),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.IKE_NOT_COMPLETED,),
        at_b=(Code.IKE_NOT_RECEIVED,),
        seconds=240,
    ),
    Fault(
        "UDP port 500 dropped from B to A, and both charons restarted",
        lambda place: actions.drop_ike(place, source="b"),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.IKE_NOT_RECEIVED,),
        at_b=(Code.IKE_NOT_COMPLETED,),
        seconds=240,
    ),
    Fault(
        "another key at B, and both charons restarted",
        actions.change_key,
        actions.restore_key,
        at_a=(Reason.AUTHENTICATION_FAILED,),
        at_b=(Reason.AUTHENTICATION_FAILED,),
        seconds=240,
    ),
    Fault(
        "Secret with the key deleted at A",
        actions.delete_key,
        actions.restore_key,
        at_a=(Reason.KEY_NOT_FOUND,),
        at_b=(Code.IKE_NOT_COMPLETED,),
        seconds=240,
    ),
    Fault(
        "further ESP SAs not negotiated (CREATE_CHILD_SA dropped), and both charons restarted without SAs",
        actions.drop_further_children,
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Reason.ESP_NOT_INSTALLED,),
        at_b=(Reason.ESP_NOT_INSTALLED,),
        seconds=240,
    ),
    Fault(
        "ESP dropped from B to A",
        lambda place: place.wan.drop_between_gateways("meta l4proto esp", source="b"),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.ESP_NOT_RECEIVED,),
        at_b=(Code.ESP_NOT_RECEIVED_BY_PEER,),
    ),
    Fault(
        "ESP dropped from A to B",
        lambda place: place.wan.drop_between_gateways("meta l4proto esp", source="a"),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.ESP_NOT_RECEIVED_BY_PEER,),
        at_b=(Code.ESP_NOT_RECEIVED,),
    ),
    Fault(
        "ESP dropped in both directions",
        lambda place: place.wan.drop_between_gateways("meta l4proto esp"),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.ESP_NOT_RECEIVED,),
        at_b=(Code.ESP_NOT_RECEIVED,),
    ),
    Fault(
        "ovs-vswitchd of B killed",
        actions.kill_switch_of_b,
        actions.start_switch_of_b,
        at_a=(Reason.BFD_DOWN,),
        at_b=(Code.GATEWAY_NODE_UNAVAILABLE,),
    ),
    Fault(
        "BFD switched off at B, whose agent is killed",
        actions.disable_bfd_of_b,
        actions.start_agent_of_b,
        at_a=(Reason.BFD_DOWN,),
        at_b=(Code.AGENT_NOT_RUNNING,),
    ),
    Fault(
        "flows that reflect probes deleted at B, whose agent is killed",
        actions.delete_flows_of_b,
        actions.start_agent_of_b,
        at_a=(Reason.PROBE_UNANSWERED,),
        at_b=(Code.AGENT_NOT_RUNNING,),
    ),
    Fault(
        "network disabled in Neutron of A",
        lambda place: actions.enable_network(place, enabled=False),
        lambda place: actions.enable_network(place, enabled=True),
        at_a=(Reason.NETWORK_DISABLED,),
    ),
    Fault(
        "replica disabled in Neutron of B",
        lambda place: actions.enable_replica(place, enabled=False),
        lambda place: actions.enable_replica(place, enabled=True),
        at_b=(Reason.NETWORK_DISABLED,),
    ),
    Fault(
        "password in the clouds file of A not valid",
        actions.spoil_password,
        actions.restore_clouds_file,
        at_a=(Code.OPENSTACK_UNAVAILABLE,),
    ),
    Fault(
        "clouds file of A missing, and the controller restarted",
        actions.start_without_clouds_file,
        actions.restore_clouds_file,
        at_a=(Code.OPENSTACK_UNAVAILABLE,),
    ),
    Fault(
        "ESP packets of more than 640 bytes dropped, too few for any network",
        lambda place: place.wan.drop_between_gateways("meta l4proto esp meta length > 640"),
        lambda place: place.wan.pass_between_gateways(),
        at_a=(Code.LONG_FRAMES_LOST,),
        at_b=(Code.LONG_FRAMES_LOST,),
    ),
    Fault(
        "two at once: API of B unreachable from A, ESP dropped from B to A",
        actions.cut_api_and_esp,
        actions.restore_api_and_esp,
        at_a=(Reason.PEER_UNREACHABLE, Code.ESP_NOT_RECEIVED),
        at_b=(Code.ESP_NOT_RECEIVED_BY_PEER,),
    ),
    Fault(
        "two at once: password in the clouds file of A not valid, long ESP packets dropped",
        actions.spoil_password_and_lose_long_packets,
        actions.restore_password_and_long_packets,
        at_a=(Code.OPENSTACK_UNAVAILABLE, Code.LONG_FRAMES_LOST),
        at_b=(Code.LONG_FRAMES_LOST,),
    ),
    Fault(
        "flows of br-cloud deleted at A, which its agent restores",
        lambda place: place.a.cloud.gateway.run("ovs-ofctl -O OpenFlow15 del-flows br-cloud"),
        nothing,
    ),
    Fault(
        "XFRM policies and states flushed at B, which its agent restores",
        lambda place: place.b.cloud.gateway.run("ip xfrm policy flush; ip xfrm state flush"),
        nothing,
    ),
)
