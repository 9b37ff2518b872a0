"""Conversion between Neutron's and Keystone's JSON and `model.facts.openstack`. Names become printable here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from isthmus.model.facts.openstack import (
    AUTOMATIC_MODES,
    Domain,
    Network,
    Port,
    Project,
    Range,
    SecurityGroup,
    Subnet,
)
from isthmus.model.text import printable

from .canonical import address, canonical, cidr, mac_address
from .rules import security_group_rules

Document = Mapping[str, Any]

NETWORK_FIELDS: Final = (
    *("id", "name", "project_id", "mtu", "description", "shared", "router:external", "tags", "admin_state_up"),
    *("provider:network_type", "segments", "l2_adjacency", "vlan_transparent", "qinq", "pvlan"),
    "qos_policy_id",
    *("revision_number", "created_at"),
)
SUBNET_FIELDS: Final = (
    *("id", "name", "network_id", "project_id", "ip_version", "cidr", "gateway_ip", "allocation_pools"),
    *("enable_dhcp", "dns_nameservers", "host_routes", "description", "segment_id", "revision_number"),
    *("ipv6_address_mode", "ipv6_ra_mode", "subnetpool_id"),
)
_PREFIX_DELEGATION: Final = "prefix_delegation"  # Neutron's name for the pool that it does not have itself
PORT_FIELDS: Final = (
    *("id", "name", "network_id", "project_id", "mac_address", "fixed_ips", "device_owner", "status"),
    *("binding:host_id", "binding:vif_type", "description", "admin_state_up", "port_security_enabled"),
    *("allowed_address_pairs", "security_groups", "qos_policy_id"),
)
SECURITY_GROUP_FIELDS: Final = ("id", "name", "project_id", "stateful", "description", "revision_number")
SECURITY_GROUP_RULES: Final = "security_group_rules"


def network(document: Document) -> Network:
    """A network. `project_id` is empty for Neutron's own networks."""
    return Network(
        id=document["id"],
        name=printable(_text(document, "name")),
        project_id=_text(document, "project_id"),
        mtu=document.get("mtu") or 0,
        description=_text(document, "description"),
        shared=bool(document.get("shared")),
        external=bool(document.get("router:external")),
        tags=frozenset(document.get("tags") or ()),
        admin_state_up=document.get("admin_state_up") is not False,
        network_type=document.get("provider:network_type"),
        segments=max(1, len(document.get("segments") or ())),
        l2_adjacency=document.get("l2_adjacency") is not False,
        vlan_transparent=document.get("vlan_transparent") is True,
        qinq=document.get("qinq") is True,
        private_vlan=document.get("pvlan") is True,
        qos_policy_id=document.get("qos_policy_id") or None,
        revision=document.get("revision_number"),
        created_at=_text(document, "created_at"),
    )


def subnet(document: Document) -> Subnet:
    """A subnet. Neutron keeps addresses as they were written; here all are canonical, and others are left out."""
    gateway_ip = document.get("gateway_ip")
    servers, odd_servers = canonical(document.get("dns_nameservers") or (), address)
    routes, odd_routes = canonical(document.get("host_routes") or (), _route)
    pools, odd_pools = canonical(document.get("allocation_pools") or (), _pool)
    return Subnet(
        id=document["id"],
        name=printable(_text(document, "name")),
        network_id=document["network_id"],
        project_id=_text(document, "project_id"),
        ip_version=document["ip_version"],
        cidr=cidr(document["cidr"]) or str(document["cidr"]),
        gateway_ip=(address(gateway_ip) or str(gateway_ip)) if gateway_ip else None,
        pools=pools,
        enable_dhcp=bool(document.get("enable_dhcp")),
        dns_nameservers=servers,
        host_routes=routes,
        description=_text(document, "description"),
        segment_id=document.get("segment_id") or None,
        omitted=(
            *(f"name server {text}" for text in odd_servers),
            *(f"host route {text}" for text in odd_routes),
        ),
        address_mode=_address_mode(document),
        prefix_is_delegated=document.get("subnetpool_id") == _PREFIX_DELEGATION,
        pools_are_known=not odd_pools,
        revision=document.get("revision_number"),
    )


def port(document: Document) -> Port:
    """A port. `host` is empty if its binding failed."""
    bound = document.get("binding:vif_type") != "binding_failed"
    addresses, odd_addresses = canonical(document.get("fixed_ips") or (), lambda fixed: address(fixed["ip_address"]))
    pairs, odd_pairs = canonical(document.get("allowed_address_pairs") or (), _allowed)
    mac = mac_address(document.get("mac_address"))
    odd_macs = () if mac else (f"MAC address {document.get('mac_address')!r}"[:128],)
    return Port(
        id=document["id"],
        name=printable(_text(document, "name")),
        network_id=document["network_id"],
        project_id=_text(document, "project_id"),
        mac=mac or "",
        addresses=addresses,
        device_owner=_text(document, "device_owner"),
        status=_text(document, "status"),
        host=_text(document, "binding:host_id") if bound else "",
        description=_text(document, "description"),
        admin_state_up=document.get("admin_state_up") is not False,
        port_security_enabled=document.get("port_security_enabled") is not False,
        allowed_addresses=pairs,
        omitted=(*odd_macs, *(f"address {text}" for text in (*odd_addresses, *odd_pairs))),
        groups=group_ids(document),
        qos_policy_id=document.get("qos_policy_id") or None,
    )


def group_ids(port: Document) -> tuple[str, ...]:
    """IDs of the security groups of a port; Neutron lists them in any order."""
    return tuple(sorted(port.get("security_groups") or ()))


def security_group(document: Document) -> SecurityGroup:
    """A security group, with its name exactly as it is: it is compared."""
    return SecurityGroup(
        id=document["id"],
        name=_text(document, "name"),
        project_id=_text(document, "project_id"),
        stateful=document.get("stateful") is not False,
        description=_text(document, "description"),
        revision=document.get("revision_number"),
        rules=security_group_rules(document[SECURITY_GROUP_RULES]) if SECURITY_GROUP_RULES in document else None,
    )


def _address_mode(document: Document) -> str | None:
    """Neutron gives ports addresses that are formed from the MAC address if either mode says so."""
    advertised = document.get("ipv6_ra_mode")
    return document.get("ipv6_address_mode") or (advertised if advertised in AUTOMATIC_MODES else None)


def _text(document: Document, name: str) -> str:
    return str(document.get(name) or "")


def _route(document: Document) -> tuple[str, str] | None:
    destination, nexthop = cidr(document["destination"]), address(document["nexthop"])
    return (destination, nexthop) if destination and nexthop else None


def _pool(document: Document) -> Range | None:
    first, last = address(document["start"]), address(document["end"])
    return Range(first, last) if first and last else None


def _allowed(document: Document) -> str | None:
    """An address, or a CIDR of several."""
    text = document["ip_address"]
    return address(text) or cidr(text)


def domain(document: Document) -> Domain:
    """A domain."""
    return Domain(
        id=document["id"],
        name=printable(document["name"]),
        description=document.get("description") or "",
        enabled=document["enabled"],
    )


def project(document: Document) -> Project:
    """A project."""
    return Project(
        id=document["id"],
        name=printable(document["name"]),
        domain_id=document["domain_id"],
        description=document.get("description") or "",
        enabled=document["enabled"],
    )


def pools_json(pools: Sequence[Range]) -> list[dict[str, str]]:
    """Allocation pools in Neutron's format."""
    return [{"start": pool.first, "end": pool.last} for pool in pools]


def routes_json(routes: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Host routes in Neutron's format."""
    return [{"destination": destination, "nexthop": nexthop} for destination, nexthop in routes]
