"""How two gateways connect: the mode of ESP, and who opens the connection. Both clouds compute the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from isthmus.model.actions import Problem
from isthmus.model.addresses import IpVersion
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.reasons import Reason

from .agreement import Agreement

_PREFERRED: Final[tuple[IpVersion, ...]] = (4, 6)


@dataclass(frozen=True)
class Pairing:
    """One of our gateways, and one of the peer's."""

    initiator: bool
    """Our gateway opens IKE SAs."""
    passive: bool = False
    """It cannot, for the peer's gateway cannot be reached."""
    tunnel_mode: bool = False
    """ESP in tunnel mode, with ends of the pair's own inside."""
    through_nat: bool = False
    """ESP in UDP (RFC 3948)."""
    ip_version: IpVersion = 4
    """Of the addresses that both have on the way to each other."""


def pairing(agreement: Agreement, ours: PeerGateway, theirs: PeerGateway) -> Pairing | Problem:
    """How our gateway connects to one of the peer's, or why it cannot; each as its cloud publishes it.

    Tunnel mode is for a NAT: several gateways behind one address would be one and the same in transport mode. It is
    also for IPv6, where transport mode cannot send in fragments what is too large.
    """
    ip_version = common_version(ours, theirs)
    if ip_version is None:
        return _without_common_version(ours, theirs)
    through_nat = ours.nat is not None or theirs.nat is not None
    hidden = ours.nat == "Behind", theirs.nat == "Behind"
    if all(hidden):
        return Problem(
            Reason.NOBODY_REACHABLE,
            f"neither {ours.name} nor the peer's {theirs.name} is reachable from outside: forward UDP ports 500 and "
            "4500 to one of them, or one port to its UDP port 4500, and say so in spec.uplinks of its GatewayNode",
        )
    if through_nat and agreement.mode == "Transport":
        return Problem(
            Reason.TRANSPORT_THROUGH_NAT,
            f"a NAT is between {ours.name} and the peer's {theirs.name}, and one of the clouds names Transport as "
            "tunnel.mode, as all earlier releases do: set Auto in both CloudPeers",
        )
    tunnel_mode = through_nat or agreement.mode == "Tunnel" or (ip_version == 6 and agreement.mode == "Auto")
    if not tunnel_mode and ip_version not in agreement.encapsulation.IP_VERSIONS:
        return Problem(
            Reason.ENCAPSULATION_NEEDS_IPV4,
            f"{agreement.encapsulation.NAME} in transport mode exists between IPv4 addresses only, and the tunnel "
            f"would have {address_of(theirs, ip_version)} as an end: set tunnel.mode to Auto or Tunnel in both "
            "CloudPeers, or agree on VXLAN or Geneve",
        )
    return Pairing(
        initiator=hidden[0] if any(hidden) else agreement.initiator,
        passive=hidden[1],
        tunnel_mode=tunnel_mode,
        through_nat=through_nat,
        ip_version=ip_version,
    )


def address_of(gateway: PeerGateway, ip_version: IpVersion) -> str | None:
    """The gateway's address of that version; None if it has none."""
    return first_of_version(gateway.addresses, ip_version)


def first_of_version(addresses: Iterable[str], ip_version: IpVersion) -> str | None:
    """The first address of that version; None if there is none."""
    return next((address for address in addresses if ip_address(address).version == ip_version), None)


def common_version(ours: PeerGateway, theirs: PeerGateway) -> IpVersion | None:
    """IPv4 if both gateways have an address of it, else IPv6 if both have; else None."""
    both = ours, theirs
    return next((v for v in _PREFERRED if all(address_of(gateway, v) is not None for gateway in both)), None)


def _without_common_version(ours: PeerGateway, theirs: PeerGateway) -> Problem:
    version = ip_address(ours.address).version
    return Problem(
        Reason.ADDRESS_FAMILIES_DIFFER,
        f"{ours.name} is reached at {ours.address} only, and the peer's {theirs.name} at {theirs.address} only: give "
        f"{theirs.name} an IPv{version} address, or {ours.name} one of the other version, and add its network to the "
        "gateway networks of its cloud and to gatewayCIDRs of the other cloud's CloudPeer",
    )


def as_published(gateways: Iterable[PeerGateway], name: str, addresses: Iterable[str]) -> PeerGateway:
    """One of our gateways as our PeerLink has it; one that is not in it yet has no NAT."""
    return next((g for g in gateways if g.name == name), None) or with_addresses(name, addresses)


def with_addresses(name: str, addresses: Iterable[str]) -> PeerGateway:
    """A gateway without a NAT that has these addresses, of which the first of each version counts; raises ValueError
    if there is none."""
    found = tuple(addresses)
    of_each = (first_of_version(found, version) for version in _PREFERRED)
    address, *others = (a for a in of_each if a is not None)
    return PeerGateway(name=name, address=address, ipv6_address=next(iter(others), None))
