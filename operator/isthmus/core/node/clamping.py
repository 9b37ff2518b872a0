"""An upper bound of TCP's maximum segment size on our tunnel devices: an nftables table of family netdev.

Machines that do not know the MTU of their network yet announce a maximum segment size (MSS, RFC 9293, section 3.7.1)
with which each full segment would cross in two fragments. The table lowers it in their SYNs, both in those that leave
and in those that arrive, and never raises it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from isthmus.model.node.firewall import Chain, Rule, Ruleset, canonical_json
from isthmus.model.node.switch import TunnelPort
from isthmus.model.node.tunnel import Gre

LOWERED: Final = "lowered"

_IP_HEADERS: Final = {"ip": (4, 20), "ip6": (6, 40)}
"""By the name of nft: the version, and the bytes of the header without options."""
_LEAST_SHARED_MTU: Final = 1280
"""What any network of IPv6 carries (RFC 8200, section 5): paths of less are no use to anybody."""
_TCP_HEADER: Final = 20
_TCP_SYN: Final = 2
_FILTER: Final = 0
_MSS: Final = {"tcp option": {"name": "maxseg", "field": "size"}}


@dataclass(frozen=True)
class Clamp:
    """What crosses one tunnel device whole."""

    device: str
    mtu: int
    """The largest IP packet of a machine, in bytes."""


def clamps(carried: Mapping[TunnelPort, int], *, gre_is_shared: bool) -> frozenset[Clamp]:
    """One for each device of these tunnels, by the largest IP packet in bytes that each of them carries whole.

    All GRE tunnels of a node have one device: if any of them is not ours (`gre_is_shared`), it is left alone.
    """
    found: dict[str, int] = {}
    for tunnel, mtu in carried.items():
        kind = tunnel.encapsulation
        if not (gre_is_shared and isinstance(kind, Gre)):
            found[kind.device] = min(mtu, found.get(kind.device, mtu))
    return frozenset(Clamp(device, mtu) for device, mtu in found.items())


def on_paths(
    by_interfaces: Mapping[TunnelPort, int], by_paths: Mapping[str, int], peers: Mapping[str, str]
) -> dict[TunnelPort, int]:
    """What each tunnel carries whole, in bytes: as its interface does, or less if its path is known to.

    `by_paths` and `peers`, which has cloud IDs, are by the tunnel's name. Where peers share a device none of them may
    lower the segments of the others by any amount: it could answer small echoes alone. What is larger than its path
    then crosses in fragments.
    """
    sharing: dict[str, set[str | None]] = {}
    for tunnel in by_interfaces:
        sharing.setdefault(tunnel.encapsulation.device, set()).add(peers.get(tunnel.name))
    least = {device: _LEAST_SHARED_MTU if len(found) > 1 else 0 for device, found in sharing.items()}
    return {
        tunnel: min(mtu, max(by_paths.get(tunnel.name, mtu), least[tunnel.encapsulation.device]))
        for tunnel, mtu in by_interfaces.items()
    }


def shared_devices(tunnels: Iterable[TunnelPort], *, gre_is_shared: bool) -> frozenset[str]:
    """The devices of these tunnels that are left alone, for tunnels of others have them, too."""
    return frozenset(t.encapsulation.device for t in tunnels if gre_is_shared and isinstance(t.encapsulation, Gre))


def maximum_segment(mtu: int, ip_version: int) -> int:
    """The MSS in bytes whose segments are IP packets of no more than `mtu` bytes. Options of TCP count as payload."""
    headers = dict(_IP_HEADERS.values())
    return mtu - headers[ip_version] - _TCP_HEADER


def ruleset(wanted: Iterable[Clamp], indexes: Mapping[str, int]) -> Ruleset:
    """The table for those of the devices that exist, by their interface indexes; an empty one if none does.

    A device that is made again has another index. It is in the names of the chains: the kernel keeps chains whose
    device has gone, and nft may list them as if it had not.
    """
    present = [clamp for clamp in wanted if clamp.device in indexes]
    if not present:
        return Ruleset()
    chains = {clamp: (*_chains(clamp, indexes[clamp.device]),) for clamp in present}
    rules = {Rule(c.name, text) for clamp, both in chains.items() for c in both for text in _rules(clamp)}
    return Ruleset(
        chains=frozenset(chain for both in chains.values() for chain in both),
        counters=frozenset({LOWERED}),
        rules=frozenset(rules),
    )


def _chains(clamp: Clamp, index: int) -> Iterator[Chain]:
    for name, hook in (("in", "ingress"), ("out", "egress")):
        yield Chain(f"{clamp.device}_{index}_{name}", hook, _FILTER, clamp.device)


def _rules(clamp: Clamp) -> Iterator[str]:
    """One for each IP version. Neither matches a later fragment, or a packet without this option."""
    for protocol, (version, _) in _IP_HEADERS.items():
        mss = maximum_segment(clamp.mtu, version)
        yield canonical_json(
            [
                _match("==", {"payload": {"protocol": protocol, "field": "version"}}, version),
                _match("==", {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, _TCP_SYN]}, _TCP_SYN),
                _match(">", _MSS, mss),
                {"counter": LOWERED},
                {"mangle": {"key": _MSS, "value": mss}},
            ]
        )


def _match(operator: str, left: dict[str, Any], right: int) -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}
