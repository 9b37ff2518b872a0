"""Neutron: networks, subnets, ports and quotas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

from isthmus.model.errors import Conflict, NotFound, QuotaExceeded, Unavailable
from isthmus.model.facts.openstack import (
    Network,
    NetworkQuota,
    Port,
    Range,
    RequestedPort,
    Subnet,
)
from isthmus.model.names import (
    ATTACHMENT_DEVICE_OWNER,
    GATEWAY_DEVICE_OWNER,
    REMOTE_DEVICE_OWNER,
    is_carried_group,
)
from isthmus.ports.openstack import SPARE_PORTS

from . import facts
from .api import Api
from .qos import EmptyQoSPolicy

_UNFILTERED: Final[dict[str, Any]] = {"port_security_enabled": False, "security_groups": []}
# OVN answers ARP for all other ports, bound or not.
_SILENT: Final[dict[str, Any]] = {"binding:vnic_type": "baremetal"}
# What a tenant may own in Neutron besides security groups. A missing extension answers 404: nothing of it exists.
_COLLECTIONS: Final = (
    "networks",
    "subnets",
    "ports",
    "routers",
    "floatingips",
    "subnetpools",
    "address-scopes",
    "address-groups",
    "trunks",
)
_LAST_OF_UTF8MB3: Final = 0xFFFF
_LOG = logging.getLogger(__name__)


class Networking:
    """The Neutron part of `ports.NetworkCloud`."""

    def __init__(self, api: Api, own_project_id: Callable[[], str]) -> None:
        self._neutron = api
        self._own_project = own_project_id
        self._qos_policy = EmptyQoSPolicy(api, own_project_id)

    def require_networking(self) -> None:
        """Send Neutron one small request."""
        self._neutron.get("/networks", limit="1", fields="id")

    def get_network(self, network_id: str) -> Network | None:
        found = self._neutron.find(f"/networks/{network_id}")
        return facts.network(found["network"]) if found else None

    def get_networks(self, *network_ids: str) -> list[Network]:
        return self._networks("id", network_ids)

    def networks_shared_by_policy(self, *network_ids: str) -> frozenset[str]:
        try:
            found = self._neutron.list_any("rbac-policies", "object_id", network_ids, action="access_as_shared")
        except NotFound:  # Neutron has no RBAC extension
            return frozenset()
        return frozenset(policy["object_id"] for policy in found)

    def networks_of(self, *project_ids: str) -> list[Network]:
        return self._networks("project_id", project_ids)

    def subnets_of(self, *network_ids: str) -> list[Subnet]:
        return self._subnets("network_id", network_ids)

    def subnets_in_project(self, *project_ids: str) -> list[Subnet]:
        return self._subnets("project_id", project_ids)

    def ports_of(self, *network_ids: str) -> list[Port]:
        documents = self._neutron.list_any("ports", "network_id", network_ids, fields=facts.PORT_FIELDS)
        return [facts.port(document) for document in documents]

    def network_summaries(self, *project_ids: str) -> Mapping[str, tuple[object, ...]] | None:
        """Neutron counts addresses in its database: much cheaper for it than to list ports.

        It has no list of what changed: `changed_since` is refused unless `filter_validation` is disabled.
        """
        fields = ("network_id", "network_name", "used_ips", "total_ips")
        path = "/network-ip-availabilities"
        found: list[dict[str, Any]] = []
        try:
            for part in self._neutron.parts(project_ids):
                found += self._neutron.get(path, project_id=part, fields=fields)["network_ip_availabilities"]
        except NotFound:  # no such extension
            return None
        return {item["network_id"]: tuple(item.get(name) for name in fields[1:]) for item in found}

    def create_network(self, project_id: str, name: str, mtu: int, description: str) -> Network:
        body = {"project_id": project_id, "name": name, "mtu": mtu, "description": description}
        return facts.network(self._post_named("network", body))

    def set_network_mtu(self, network_id: str, mtu: int, revision: int | None = None) -> None:
        self._neutron.put(f"/networks/{network_id}", {"network": {"mtu": mtu}}, revision=revision)

    def tag_network(self, network_id: str, tag: str) -> None:
        self._neutron.put(f"/networks/{network_id}/tags/{tag}")

    def delete_network(self, network_id: str) -> None:
        self._neutron.delete(f"/networks/{network_id}")

    def create_subnet(
        self,
        network_id: str,
        project_id: str,
        name: str,
        cidr: str,
        gateway_ip: str | None,
        pools: Sequence[Range],
        enable_dhcp: bool,
        dns_nameservers: Sequence[str],
        host_routes: Sequence[tuple[str, str]],
        description: str,
        address_mode: str | None = None,
    ) -> Subnet:
        body: dict[str, Any] = {
            "network_id": network_id,
            "project_id": project_id,
            "name": name,
            "ip_version": ip_network(cidr).version,
            "cidr": cidr,
            "gateway_ip": gateway_ip,
            "enable_dhcp": enable_dhcp,
            "dns_nameservers": list(dns_nameservers),
            "host_routes": facts.routes_json(host_routes),
            "description": description,
        }
        if address_mode is not None:  # without ipv6_ra_mode: no router of this Neutron advertises the prefix
            body["ipv6_address_mode"] = address_mode
        if pools:
            body["allocation_pools"] = facts.pools_json(pools)
        return facts.subnet(self._post_named("subnet", body))

    def update_subnet(
        self,
        subnet_id: str,
        *,
        gateway_ip: str | None = None,
        pools: Sequence[Range] | None = None,
        enable_dhcp: bool | None = None,
        dns_nameservers: Sequence[str] | None = None,
        host_routes: Sequence[tuple[str, str]] | None = None,
        replaced_pools: Sequence[Range] | None = None,
        revision: int | None = None,
    ) -> None:
        wanted: dict[str, Any] = {
            "allocation_pools": None if pools is None else facts.pools_json(pools),
            "enable_dhcp": enable_dhcp,
            "dns_nameservers": None if dns_nameservers is None else list(dns_nameservers),
            "host_routes": None if host_routes is None else facts.routes_json(host_routes),
        }
        body = {name: value for name, value in wanted.items() if value is not None}
        if gateway_ip is not None:
            body["gateway_ip"] = gateway_ip or None
        if replaced_pools is not None:
            self._require_pools(subnet_id, replaced_pools)
        self._neutron.put(f"/subnets/{subnet_id}", {"subnet": body}, revision=revision)

    def delete_subnet(self, subnet_id: str) -> None:
        self._neutron.delete(f"/subnets/{subnet_id}")

    def create_attachment_port(self, network_id: str, host: str, name: str, description: str) -> Port:
        body = {"fixed_ips": [], "device_owner": ATTACHMENT_DEVICE_OWNER, "binding:host_id": host}
        port = self._create_port(network_id, name, description, body)
        if port.host != host:
            # Neutron does not retry the binding, so the port would never come up.
            self.delete_port(port.id)
            raise Unavailable(
                f"network: the port could not be bound on host {host}: no agent of Neutron is alive there"
            )
        return port

    def update_attachment_port(self, port_id: str, description: str) -> None:
        # Neutron refuses to switch port security off while there are security groups or address pairs.
        body = {"description": description, "admin_state_up": True, "allowed_address_pairs": [], **_UNFILTERED}
        self._neutron.put(f"/ports/{port_id}", {"port": body})

    def set_empty_qos_policy(self, port_id: str) -> None:
        self._neutron.put(f"/ports/{port_id}", {"port": self._qos_policy.assigned()})

    def create_gateway_port(self, network_id: str, subnet_id: str, address: str, name: str, description: str) -> Port:
        body = {
            "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address}],
            "device_owner": GATEWAY_DEVICE_OWNER,
            **_SILENT,
            **self._qos_policy.assigned_if_possible(),
        }
        return self._create_port(network_id, name, description, body)

    def create_remote_ports(self, network_id: str, ports: Sequence[RequestedPort], description: str) -> None:
        """Neutron creates the ports of one request all or none. OVN's routers reach them by these MAC addresses."""
        self._require_spare_ports(len(ports))
        unlimited = self._qos_policy.assigned_if_possible()
        documents = [
            self._new_port(network_id, port.name, description)
            | {
                "mac_address": port.mac,
                "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in port.addresses],
                "device_owner": REMOTE_DEVICE_OWNER,
                **_SILENT,
                **unlimited,
                **_membership(port.groups),
            }
            for port in ports
        ]
        self._neutron.post("/ports", {"ports": documents})

    def set_remote_port_groups(self, port_id: str, group_ids: Sequence[str]) -> None:
        self._neutron.put(f"/ports/{port_id}", {"port": _membership(group_ids)})

    def delete_port(self, port_id: str) -> None:
        self._neutron.delete(f"/ports/{port_id}")

    def get_quota(self, project_id: str) -> NetworkQuota:
        return _quota(self._neutron.get(f"/quotas/{project_id}")["quota"])

    def get_quotas(self) -> Mapping[str, NetworkQuota]:
        return {quota["project_id"]: _quota(quota) for quota in self._neutron.get("/quotas")["quotas"]}

    def set_quota(self, project_id: str, quota: NetworkQuota) -> None:
        body = {"network": quota.networks, "subnet": quota.subnets, "port": quota.ports}
        self._neutron.put(f"/quotas/{project_id}", {"quota": body})

    def project_is_empty(self, project_id: str) -> bool:
        return not any(self._owned(collection, project_id) for collection in _COLLECTIONS) and all(
            _goes_with_project(group) for group in self._owned("security-groups", project_id)
        )

    def delete_project_defaults(self, project_id: str) -> None:
        """Delete the default security group, those that were made by us, and the quotas, which Neutron would keep."""
        for group in self._owned("security-groups", project_id):
            if _goes_with_project(group):
                self._neutron.delete(f"/security-groups/{group['id']}")
        self._neutron.delete(f"/quotas/{project_id}")

    def _require_pools(self, subnet_id: str, pools: Sequence[Range]) -> None:
        """Raises Conflict if the subnet has others. `If-Match` does not: Neutron 29 does not count their changes."""
        current = facts.subnet(self._neutron.get(f"/subnets/{subnet_id}")["subnet"])
        if set(current.pools) != set(pools):
            raise Conflict(f"network: the allocation pools of subnet {subnet_id} were changed meanwhile")

    def _post_named(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object with a name that another cloud chose.

        A database with the character set utf8mb3 holds no characters beyond U+FFFF, and Neutron answers 500.
        """
        try:
            document: dict[str, Any] = self._neutron.post(f"/{kind}s", {kind: body})[kind]
        except Unavailable:
            name = "".join(c if ord(c) <= _LAST_OF_UTF8MB3 else "\ufffd" for c in body["name"])
            if name == body["name"]:
                raise
            document = self._neutron.post(f"/{kind}s", {kind: body | {"name": name}})[kind]
            _LOG.warning(
                "Neutron cannot store the name %r: %s %s is called %r", body["name"], kind, document["id"], name
            )
        return document

    def _networks(self, parameter: str, values: Sequence[str]) -> list[Network]:
        documents = self._neutron.list_any("networks", parameter, values, fields=facts.NETWORK_FIELDS)
        return [facts.network(document) for document in documents]

    def _subnets(self, parameter: str, values: Sequence[str]) -> list[Subnet]:
        documents = self._neutron.list_any("subnets", parameter, values, fields=facts.SUBNET_FIELDS)
        return [facts.subnet(document) for document in documents]

    def _create_port(self, network_id: str, name: str, description: str, fields: dict[str, Any]) -> Port:
        body = self._new_port(network_id, name, description) | fields
        return facts.port(self._neutron.post("/ports", {"port": body})["port"])

    def _new_port(self, network_id: str, name: str, description: str) -> dict[str, Any]:
        owned = {"network_id": network_id, "project_id": self._own_project()}
        return {**owned, "name": name, "description": description, **_UNFILTERED}

    def _require_spare_ports(self, count: int) -> None:
        """Raises QuotaExceeded unless so many further ports of ours leave enough for attachment ports."""
        found = self._neutron.find(f"/quotas/{self._own_project()}/details")
        if found is None:  # no such extension: Neutron refuses what exceeds the quota
            return
        ports = found["quota"]["port"]
        limit, used = ports["limit"], ports["used"] + ports.get("reserved", 0)
        if 0 <= limit < used + count + SPARE_PORTS:
            raise QuotaExceeded(
                f"network: the operator's project has {used} ports of a quota of {limit}: {count} more for machines of "
                f"other clouds would leave fewer than {SPARE_PORTS} for attachment ports; raise its quota of ports"
            )

    def _owned(self, collection: str, project_id: str) -> list[dict[str, Any]]:
        try:
            return self._neutron.list(collection, project_id=project_id)
        except NotFound:
            return []


def _goes_with_project(group: Mapping[str, Any]) -> bool:
    return group["name"] == "default" or is_carried_group(group.get("description") or "")


def _membership(group_ids: Sequence[str]) -> dict[str, Any]:
    """Always with a list: without one, Neutron puts a new port into the default group of its project.

    Neutron refuses groups without port security.
    """
    return {"port_security_enabled": bool(group_ids), "security_groups": list(group_ids)}


def _quota(document: Mapping[str, Any]) -> NetworkQuota:
    return NetworkQuota(networks=document["network"], subnets=document["subnet"], ports=document["port"])
