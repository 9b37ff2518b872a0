"""Keeps TCP's maximum segment size limited on our tunnel devices, also on those that were made again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import MappingProxyType

from isthmus.core.node.clamping import Clamp, clamps, on_paths, ruleset, shared_devices
from isthmus.core.node.inner import is_inner
from isthmus.core.node.plan import NodePlan
from isthmus.core.node.underlay import Underlay, underlays
from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError
from isthmus.model.names import tunnel_port
from isthmus.model.node.host import KernelChange
from isthmus.model.node.inforce import Nat
from isthmus.model.node.ipsec import IkeView
from isthmus.model.node.switch import BridgeView, TunnelPort
from isthmus.model.reasons import Reason
from isthmus.ports import Firewall, TunnelDevices

from .firewall import FirewallTable

_LOG = logging.getLogger(__name__)
_State = tuple[frozenset[Clamp], Mapping[str, int]]
_WITHOUT = "large segments of machines that do not know the MTU cross in fragments"


def carried_by_interfaces(plan: NodePlan, ike: IkeView | None = None) -> dict[TunnelPort, int]:
    """What the tunnels of the plan carry whole in bytes, by the MTU of the interface at our end of each.

    It depends on the IP version of the underlay, the mode of ESP, as planned, and on NAT. All ciphers that a policy may
    have cost the same.
    """
    states = ike.states if ike is not None else {}

    def carried(tunnel: TunnelPort, underlay: Underlay) -> int:
        found = states[tunnel.name].in_force.nat if tunnel.name in states else None
        return inner_mtu(
            underlay.mtu,
            tunnel.encapsulation.HEADER_BYTES,
            underlay=underlay.ip_version,
            tunnel_mode=is_inner(tunnel.ends),
            through_nat=_is_through_nat(tunnel, plan, found),
        )

    crossed = underlays(plan.ports.tunnels, plan.connections, plan.addresses)
    return {tunnel: carried(tunnel, underlay) for tunnel, underlay in crossed.items()}


def wanted_clamps(
    plan: NodePlan,
    bridge: BridgeView,
    carried_by_paths: Mapping[str, int] = MappingProxyType({}),
    ike: IkeView | None = None,
) -> frozenset[Clamp]:
    """By what the tunnels of the plan carry, from the addresses that the node has, and on paths where that is known."""
    by_interfaces = carried_by_interfaces(plan, ike)
    peers = {tunnel_port(cloud_id, g.name): cloud_id for cloud_id, found in plan.gateways.items() for g in found}
    return clamps(on_paths(by_interfaces, carried_by_paths, peers), gre_is_shared=bridge.gre_is_shared)


def _is_through_nat(tunnel: TunnelPort, plan: NodePlan, found: Nat | None) -> bool:
    """Whether ESP is in UDP: `found` is what charon says of the SAs, which the clouds may not have published yet.

    A NAT that they have published counts, whatever is in force: both give networks an MTU for it. It takes tunnel mode;
    where that is kept, and not planned for the moment, there may be one as long as charon does not say.
    """
    if found not in (None, "None"):
        return True
    if not is_inner(tunnel.ends) or tunnel.name in plan.without_nat:
        return False
    return found is None or tunnel.name not in plan.kept_connections


def left_alone(plan: NodePlan, bridge: BridgeView) -> frozenset[str]:
    """Devices of tunnels of the plan that tunnels of others have, too: nothing is changed on these."""
    return shared_devices(plan.ports.tunnels, gre_is_shared=bridge.gre_is_shared)


class Clamping:
    """Our table of family netdev. Whatever fails is logged, and tried again: without it no packet is lost.

    Only `notice` may be called on another thread.
    """

    def __init__(self, firewall: Firewall, devices: TunnelDevices) -> None:
        self._table = FirewallTable(firewall, _WITHOUT)
        self._devices = devices
        self._doubted = threading.Event()
        self._tried: _State | None = None
        self._in_force: _State | None = None
        """What was last written, or found as wanted; None if it is not known."""
        self._logged: Problem | None = None

    def notice(self, change: KernelChange) -> None:
        """The table may have been changed: the next `follow` reads it."""
        if KernelChange.FIREWALL in change:
            self._doubted.set()

    def forget(self) -> None:
        """The next `follow` reads the table, whatever has changed."""
        self._tried = None

    def follow(self, wanted: frozenset[Clamp], *, retry: bool = False) -> None:
        """Have exactly these, as far as their devices exist.

        The table is read only if anything is different, or may be: otherwise it costs a system call for each device.
        What has failed is tried again if anything is different, or with `retry`.
        """
        has_failed = self._table.problem is not None
        if self._tried != (wanted, self._indexes(wanted)) or (retry and has_failed):
            self._require(wanted)
        elif self._doubted.is_set():
            self._doubted.clear()
            if self._table.restore():
                _LOG.warning("restored the nftables table on the tunnel devices, which had been removed or changed")
            self._log_problem()

    def _require(self, wanted: frozenset[Clamp]) -> None:
        self._doubted.clear()
        indexes = self._indexes(wanted)
        if indexes is None:
            return
        self._tried = wanted, indexes
        self._table.require(ruleset(wanted, indexes))
        self._log_problem()
        if self._table.problem is None:
            self._in_force = self._tried

    def _indexes(self, wanted: frozenset[Clamp]) -> Mapping[str, int] | None:
        try:
            return self._devices.indexes(frozenset(clamp.device for clamp in wanted))
        except ExternalError as error:
            _LOG.debug("tunnel devices: %s", error)
            return None

    def _log_problem(self) -> None:
        problem = self._table.problem if self._is_needed() else None
        if problem is not None and problem != self._logged:
            if _has_chains(self._tried):
                _LOG.warning("the segment size of TCP is not limited: %s", problem.message)
            else:
                text = problem.message.removesuffix(f"; {_WITHOUT}")
                _LOG.warning("the nftables table on tunnel devices that are no longer ours may be left: %s", text)
        self._logged = problem

    def _is_needed(self) -> bool:
        """Whether it makes a difference that nftables fails: a node without it, and without tunnels, lacks nothing."""
        problem = self._table.problem
        is_missing = problem is not None and problem.reason == Reason.NFTABLES_UNSUPPORTED
        return not is_missing or _has_chains(self._tried) or _has_chains(self._in_force)


def _has_chains(state: _State | None) -> bool:
    return state is not None and bool(state[1])
