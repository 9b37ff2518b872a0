"""Neutron: networks, subnets, ports and quotas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from isthmus.model.errors import NotFound, Unavailable
from isthmus.model.facts.openstack import Network, NetworkQuota, Port, Range, Subnet
from isthmus.model.names import ATTACHMENT_DEVICE_OWNER, GATEWAY_DEVICE_OWNER

from . import facts
from .api import Api

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


class Networking:
    """The Neutron part of `ports.NetworkCloud`."""

    def __init__(self, api: Api, own_project_id: Callable[[], str]) -> None:
        self._neutron = api
        self._own_project = own_project_id

    def require_networking(self) -> None:
        """Send Neutron one small request."""
        self._neutron.get("/networks", limit="1", fields="id")

    def get_network(self, network_id: str) -> Network | None:
        found = self._neutron.find(f"/networks/{network_id}")
        return facts.network(found["network"]) if found else None

    def is_shared_by_policy(self, network_id: str) -> bool:
        try:
            return bool(self._neutron.list("rbac-policies", object_id=network_id, action="access_as_shared"))
        except NotFound:  # Neutron has no RBAC extension
            return False

    def networks_of(self, project_id: str) -> list[Network]:
        return [facts.network(document) for document in self._neutron.list("networks", project_id=project_id)]

    def subnets_of(self, network_id: str) -> list[Subnet]:
        return [facts.subnet(document) for document in self._neutron.list("subnets", network_id=network_id)]

    def subnets_in_project(self, project_id: str) -> list[Subnet]:
        return [facts.subnet(document) for document in self._neutron.list("subnets", project_id=project_id)]

    def ports_of(self, network_id: str) -> list[Port]:
        return [facts.port(document) for document in self._neutron.list("ports", network_id=network_id)]

    def create_network(self, project_id: str, name: str, mtu: int, description: str) -> Network:
        body = {"project_id": project_id, "name": name, "mtu": mtu, "description": description}
        return facts.network(self._neutron.post("/networks", {"network": body})["network"])

    def set_network_mtu(self, network_id: str, mtu: int) -> None:
        self._neutron.put(f"/networks/{network_id}", {"network": {"mtu": mtu}})

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
    ) -> Subnet:
        body = {
            "network_id": network_id,
            "project_id": project_id,
            "name": name,
            "ip_version": 4,
            "cidr": cidr,
            "gateway_ip": gateway_ip,
            "enable_dhcp": enable_dhcp,
            "dns_nameservers": list(dns_nameservers),
            "host_routes": facts.routes_json(host_routes),
            "description": description,
        }
        if pools:
            body["allocation_pools"] = facts.pools_json(pools)
        return facts.subnet(self._neutron.post("/subnets", {"subnet": body})["subnet"])

    def update_subnet(
        self,
        subnet_id: str,
        *,
        pools: Sequence[Range] | None = None,
        enable_dhcp: bool | None = None,
        dns_nameservers: Sequence[str] | None = None,
        host_routes: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        wanted: dict[str, Any] = {
            "allocation_pools": None if pools is None else facts.pools_json(pools),
            "enable_dhcp": enable_dhcp,
            "dns_nameservers": None if dns_nameservers is None else list(dns_nameservers),
            "host_routes": None if host_routes is None else facts.routes_json(host_routes),
        }
        body = {name: value for name, value in wanted.items() if value is not None}
        self._neutron.put(f"/subnets/{subnet_id}", {"subnet": body})

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

    def create_gateway_port(self, network_id: str, subnet_id: str, address: str, name: str, description: str) -> Port:
        body = {
            "fixed_ips": [{"subnet_id": subnet_id, "ip_address": address}],
            "device_owner": GATEWAY_DEVICE_OWNER,
            # OVN answers ARP for all other ports, bound or not.
            "binding:vnic_type": "baremetal",
        }
        return self._create_port(network_id, name, description, body)

    def delete_port(self, port_id: str) -> None:
        self._neutron.delete(f"/ports/{port_id}")

    def get_quota(self, project_id: str) -> NetworkQuota:
        quota = self._neutron.get(f"/quotas/{project_id}")["quota"]
        return NetworkQuota(networks=quota["network"], subnets=quota["subnet"], ports=quota["port"])

    def set_quota(self, project_id: str, quota: NetworkQuota) -> None:
        body = {"network": quota.networks, "subnet": quota.subnets, "port": quota.ports}
        self._neutron.put(f"/quotas/{project_id}", {"quota": body})

    def project_is_empty(self, project_id: str) -> bool:
        return not any(self._owned(collection, project_id) for collection in _COLLECTIONS) and all(
            group["name"] == "default" for group in self._owned("security-groups", project_id)
        )

    def delete_project_defaults(self, project_id: str) -> None:
        """Delete the default security group and the quotas, which Neutron keeps for a project."""
        for group in self._owned("security-groups", project_id):
            if group["name"] == "default":
                self._neutron.delete(f"/security-groups/{group['id']}")
        self._neutron.delete(f"/quotas/{project_id}")

    def _create_port(self, network_id: str, name: str, description: str, fields: dict[str, Any]) -> Port:
        body = {
            "network_id": network_id,
            "project_id": self._own_project(),
            "name": name,
            "description": description,
            "port_security_enabled": False,
            "security_groups": [],
            **fields,
        }
        return facts.port(self._neutron.post("/ports", {"port": body})["port"])

    def _owned(self, collection: str, project_id: str) -> list[dict[str, Any]]:
        try:
            return self._neutron.list(collection, project_id=project_id)
        except NotFound:
            return []
