"""Conversion between Neutron's and Keystone's JSON and `model.facts.openstack`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.model.facts.openstack import Domain, Network, Port, Project, Range, Subnet

Document = Mapping[str, Any]


def network(document: Document) -> Network:
    """A network."""
    return Network(
        id=document["id"],
        name=document["name"],
        project_id=document["project_id"],
        mtu=document["mtu"],
        description=document.get("description") or "",
        shared=bool(document.get("shared")),
        external=bool(document.get("router:external")),
        tags=frozenset(document.get("tags") or ()),
    )


def subnet(document: Document) -> Subnet:
    """A subnet."""
    return Subnet(
        id=document["id"],
        name=document["name"],
        network_id=document["network_id"],
        project_id=document["project_id"],
        ip_version=document["ip_version"],
        cidr=document["cidr"],
        gateway_ip=document.get("gateway_ip"),
        pools=tuple(Range(pool["start"], pool["end"]) for pool in document["allocation_pools"]),
        enable_dhcp=document["enable_dhcp"],
        dns_nameservers=tuple(document.get("dns_nameservers") or ()),
        host_routes=tuple((route["destination"], route["nexthop"]) for route in document.get("host_routes") or ()),
        description=document.get("description") or "",
    )


def port(document: Document) -> Port:
    """A port. `host` is empty if its binding failed."""
    bound = document.get("binding:vif_type") != "binding_failed"
    return Port(
        id=document["id"],
        name=document["name"],
        network_id=document["network_id"],
        project_id=document["project_id"],
        mac=document["mac_address"],
        addresses=tuple(fixed["ip_address"] for fixed in document.get("fixed_ips") or ()),
        device_owner=document.get("device_owner") or "",
        status=document["status"],
        host=(document.get("binding:host_id") or "") if bound else "",
        description=document.get("description") or "",
    )


def domain(document: Document) -> Domain:
    """A domain."""
    return Domain(
        id=document["id"],
        name=document["name"],
        description=document.get("description") or "",
        enabled=document["enabled"],
    )


def project(document: Document) -> Project:
    """A project."""
    return Project(
        id=document["id"],
        name=document["name"],
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
