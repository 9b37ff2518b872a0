"""The second fence around tunnel traffic: an nftables table that drops what IPsec does not protect.

It is for the same packets as the XFRM block policies, and independent of them: whoever flushes one of the two leaves
the other in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final

from isthmus.model.node.firewall import Chain, NamedSet, Rule, Ruleset, canonical_json

UNPROTECTED_OUT: Final = "unprotected_out"
UNPROTECTED_IN: Final = "unprotected_in"
UNREACHABLE_OUT: Final = "unreachable_out"
COUNTERS: Final = frozenset({UNPROTECTED_OUT, UNPROTECTED_IN, UNREACHABLE_OUT})

_PORTS, _REMOTES, _REMOTES_V6 = "tunnel_ports", "remote_gateways", "remote_gateways_v6"
_GRE_REMOTES: Final = "gre_gateways"

# Last in the output hook, when no other table can change the route, and with it the protection; first in the input
# hook, so that no other table answers an unprotected packet.
_OUTPUT: Final = Chain("output", "output", 300)
_INPUT: Final = Chain("input", "input", -300)
# A node that has lost an inner end, and forwards IP packets, would send on what has arrived for it.
_FORWARD: Final = Chain("forward", "forward", 300)

# "Destination unreachable" of ICMP, whose code 4 is "fragmentation needed" (RFC 792), and of ICMPv6 (RFC 4443).
_ICMP_UNREACHABLE: Final = 3
_ICMP_FRAGMENTATION_NEEDED: Final = 4
_ICMPV6_UNREACHABLE: Final = 1
_IPPROTO_GRE: Final = 47  # by its number: nft would look up a name in /etc/protocols


def ruleset(
    udp_ports: Iterable[int], remote_addresses: Iterable[str], gre_addresses: Iterable[str] = frozenset()
) -> Ruleset:
    """The table for these tunnel ports and remote gateways; an empty one where there are none.

    `gre_addresses` are those of the remote gateways to which tunnels are GRE: IPv4.
    """
    ports, remotes = frozenset[int | str](udp_ports), frozenset(remote_addresses)
    if not ports | remotes:
        return Ruleset()
    ipv6 = frozenset(address for address in remotes if ip_address(address).version == 6)
    sets = (
        NamedSet(_PORTS, "inet_service", ports),
        NamedSet(_REMOTES, "ipv4_addr", remotes - ipv6),
        NamedSet(_REMOTES_V6, "ipv6_addr", frozenset(ipv6)),
        NamedSet(_GRE_REMOTES, "ipv4_addr", frozenset(gre_addresses)),
    )
    return Ruleset(frozenset({_OUTPUT, _INPUT, _FORWARD}), COUNTERS, frozenset(sets), _RULES)


def widened(wanted: Ruleset, installed: Ruleset) -> Ruleset:
    """What is wanted, for the ports and gateways of what is installed, too: nothing is given up before the rest is."""
    if wanted == Ruleset():
        return installed
    elements = {(s.name, s.type): s.elements for s in installed.sets}
    both = (replace(s, elements=s.elements | elements.get((s.name, s.type), frozenset())) for s in wanted.sets)
    return replace(wanted, sets=frozenset(both))


def _ipsec(key: str, expected: bool) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {key: {"key": "ipsec"}}, "right": expected}}


# On the way out IPsec is still to come, and the route tells; on the way in it has been, and the packet tells. Of what
# is forwarded only that is ours which came protected: bridges may hand frames of any machine to this chain.
_UNPROTECTED: Final = MappingProxyType(
    {
        _OUTPUT: (_ipsec("rt", False),),
        _INPUT: (_ipsec("meta", False),),
        _FORWARD: (_ipsec("meta", True), _ipsec("rt", False)),
    }
)


def _drop(chain: Chain, counter: str, *matches: dict[str, Any]) -> Rule:
    statements = [*matches, *_UNPROTECTED[chain], {"counter": counter}, {"drop": None}]
    return Rule(chain.name, canonical_json(statements))


def _match(protocol: str, name: str, value: int | str, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": {"payload": {"protocol": protocol, "field": name}}, "right": value}}


_TO_PORT: Final = (_match("udp", "dport", f"@{_PORTS}"),)
_FROM_PORT: Final = (_match("udp", "sport", f"@{_PORTS}"),)
_GRE: Final = _match("ip", "protocol", _IPPROTO_GRE)
_GRE_TO_REMOTE: Final = (_match("ip", "daddr", f"@{_GRE_REMOTES}"), _GRE)
_GRE_FROM_REMOTE: Final = (_match("ip", "saddr", f"@{_GRE_REMOTES}"), _GRE)

_RULES: Final = frozenset(
    {
        *(_drop(_OUTPUT, UNPROTECTED_OUT, *tunnel) for tunnel in (_TO_PORT, _FROM_PORT, _GRE_TO_REMOTE)),
        *(_drop(_INPUT, UNPROTECTED_IN, *tunnel) for tunnel in (_TO_PORT, _GRE_FROM_REMOTE)),
        *(_drop(_FORWARD, UNPROTECTED_OUT, *tunnel) for tunnel in (_TO_PORT, _FROM_PORT, _GRE_FROM_REMOTE)),
        # Such a message quotes a packet that came protected: the kernel sends it where there is no tunnel port, and a
        # reject rule of the node's own firewall does, with codes of its own.
        _drop(
            _OUTPUT,
            UNREACHABLE_OUT,
            _match("ip", "daddr", f"@{_REMOTES}"),
            _match("icmp", "type", _ICMP_UNREACHABLE),
            _match("icmp", "code", _ICMP_FRAGMENTATION_NEEDED, "!="),
        ),
        _drop(
            _OUTPUT,
            UNREACHABLE_OUT,
            _match("ip6", "daddr", f"@{_REMOTES_V6}"),
            _match("icmpv6", "type", _ICMPV6_UNREACHABLE),
        ),
    }
)
