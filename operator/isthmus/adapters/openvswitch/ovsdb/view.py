"""Reads our ports from the database; a port counts as configured only if all its columns are as we set them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE, OWNER_KEY, PROBE_PORT
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import BridgeView, PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import ENCAPSULATIONS, TunnelEnds

from .numbers import read_numbers
from .rows import patch_ends, tunnel_interface

# Open vSwitch's default UDP ports (ovs-vswitchd.conf.db(5)).
_DEFAULT_UDP_PORTS = {"vxlan": 4789, "geneve": 6081, "lisp": 4341, "stt": 7471, "gtpu": 2152}


def read_view(tables: Mapping[str, Any], bfd_interval_milliseconds: int) -> BridgeView:
    """The view of the tables; the caller holds the lock that keeps them from changing."""
    bridges = {row.name: row for row in tables["Bridge"].rows.values()}
    owned = {(b.name, i.name): i for b in bridges.values() for i in _owned_interfaces(b)}
    tunnels = frozenset(_tunnels(owned, bfd_interval_milliseconds))
    patches = frozenset(_patches(owned))
    configured = {BRIDGE, PROBE_PORT, *(t.name for t in tunnels)}
    configured |= {name for p in patches for name in (p.integration_name, p.cloud_name)}
    root = next(iter(tables["Open_vSwitch"].rows.values()), None)
    return BridgeView(
        exists=_is_ours(bridges.get(BRIDGE)) and (BRIDGE, PROBE_PORT) in owned,
        ports=Ports(tunnels, patches),
        ofport={name: i.ofport[0] for (_, name), i in owned.items() if i.ofport and i.ofport[0] > 0},
        bfd_up={t.name: owned[BRIDGE, t.name].bfd_status.get("state") == "up" for t in tunnels},
        foreign_tunnel_udp_ports=frozenset(_foreign_udp_ports(tables)),
        leftovers=frozenset(name for _, name in owned if name not in configured),
        errors={name: i.error[0] for (_, name), i in owned.items() if i.error},
        hostname=root.external_ids.get("hostname") if root else None,
        openvswitch_version=next(iter(root.ovs_version), "") if root else "",
        numbers=read_numbers(bridges[BRIDGE]) if _is_ours(bridges.get(BRIDGE)) else Numbers(),
    )


def _is_ours(bridge: Any) -> bool:
    return bridge is not None and OWNER_KEY in bridge.external_ids and list(bridge.fail_mode) == ["secure"]


def _owned_interfaces(bridge: Any) -> Iterator[Any]:
    for port in bridge.ports:
        if OWNER_KEY in port.external_ids:
            yield from port.interfaces


def _tunnels(owned: Mapping[tuple[str, str], Any], bfd_interval_milliseconds: int) -> Iterator[TunnelPort]:
    for (bridge, name), row in owned.items():
        if bridge != BRIDGE or row.type not in ENCAPSULATIONS:
            continue
        options = dict(row.options)
        encapsulation = ENCAPSULATIONS[row.type].from_options(options)
        if encapsulation is None:
            continue
        ends = TunnelEnds(options.get("local_ip", ""), options.get("remote_ip", ""))
        tunnel = TunnelPort(name, encapsulation, ends)
        if (options, dict(row.bfd)) == tunnel_interface(tunnel, bfd_interval_milliseconds):
            yield tunnel


def _patches(owned: Mapping[tuple[str, str], Any]) -> Iterator[PatchPair]:
    for (bridge, name), row in owned.items():
        if bridge != BRIDGE or row.type != "patch":
            continue
        integration_end = owned.get((INTEGRATION_BRIDGE, row.options.get("peer", "")))
        if integration_end is None or integration_end.type != "patch":
            continue
        ids = integration_end.external_ids
        pair = PatchPair(integration_end.name, name, ids.get("iface-id", ""), ids.get("attached-mac", ""))
        cloud, integration = patch_ends(pair)
        # Neutron's back ends add external_ids of their own to the br-int end.
        has_our_ids = integration.external_ids.items() <= dict(ids).items()
        if has_our_ids and dict(row.options) == cloud.options and dict(integration_end.options) == integration.options:
            yield pair


def _foreign_udp_ports(tables: Mapping[str, Any]) -> Iterator[int]:
    for row in tables["Interface"].rows.values():
        if row.type in _DEFAULT_UDP_PORTS and OWNER_KEY not in row.external_ids:
            text = row.options.get("dst_port", "")
            yield int(text) if text.isdecimal() else _DEFAULT_UDP_PORTS[row.type]
