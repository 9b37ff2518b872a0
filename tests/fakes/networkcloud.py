"""A fake of ports.NetworkCloud with those of Neutron's rules that matter to the operator (Keystone's: identity.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TypeVar

from isthmus.model.errors import Conflict, Forbidden, Invalid, NotFound, QuotaExceeded
from isthmus.model.facts.openstack import (
    AllowedTraffic,
    Network,
    NetworkQuota,
    Port,
    Range,
    RequestedPort,
    SecurityGroup,
    Subnet,
)
from isthmus.model.names import ATTACHMENT_DEVICE_OWNER, GATEWAY_DEVICE_OWNER, REMOTE_DEVICE_OWNER
from isthmus.ports.openstack import SPARE_PORTS

from .addresses import addresses_of, check_pools, default_pools, formed_addresses, is_host
from .identity import FakeIdentity
from .securitygroups import SecurityGroups

S = TypeVar("S", Network, Subnet)
_DEFAULT_QUOTA = NetworkQuota(networks=100, subnets=100, ports=500)
_AUTO_DELETED_OWNERS = frozenset({"network:dhcp", "network:distributed", "network:floatingip_agent_gateway"})
_MAX_MTU = 1500
_ROUTER_OWNER = "network:router_interface"


class FakeNetworkCloud(FakeIdentity):
    """One cloud. With `dhcp_agent`, every subnet with DHCP immediately gets Neutron's DHCP port.

    `base_mac` is the beginning of its MAC addresses, as in Neutron's configuration.
    """

    def __init__(self, *, dhcp_agent: bool = True, base_mac: str = "fa:16:3e") -> None:
        super().__init__()
        self._base_mac = base_mac
        self._dhcp_agent = dhcp_agent
        self.networks: dict[str, Network] = {}
        self.subnets: dict[str, Subnet] = {}
        self.ports: dict[str, Port] = {}
        self.security_groups = SecurityGroups()
        self.quotas: dict[str, NetworkQuota] = {}
        self._numbered: dict[str, tuple[Network | Subnet | Port, int]] = {}
        self.other_services: tuple[str, ...] = ()
        self.shared_by_policy: set[str] = set()
        """IDs of networks."""
        self.refuses_qos_policies = False
        self._qos_policy_id: str | None = None

    def contents(self) -> dict[str, object]:
        """All resources by kind and ID."""
        kinds = ("domains", "projects", "networks", "subnets", "ports", "quotas")
        return {kind: dict(getattr(self, kind)) for kind in kinds}

    def get_network(self, network_id: str) -> Network | None:
        self._ask()
        network = self.networks.get(network_id)
        return self._stamped(network) if network else None

    def get_networks(self, *network_ids: str) -> list[Network]:
        self._ask_for(network_ids)
        return [self._stamped(self.networks[id_]) for id_ in network_ids if id_ in self.networks]

    def networks_shared_by_policy(self, *network_ids: str) -> frozenset[str]:
        self._ask_for(network_ids)
        return frozenset(network_ids) & self.shared_by_policy

    def networks_of(self, *project_ids: str) -> list[Network]:
        self._ask_for(project_ids)
        return [self._stamped(n) for n in self.networks.values() if n.project_id in project_ids]

    def subnets_of(self, *network_ids: str) -> list[Subnet]:
        self._ask_for(network_ids)
        return [self._stamped(s) for s in self.subnets.values() if s.network_id in network_ids]

    def subnets_in_project(self, *project_ids: str) -> list[Subnet]:
        self._ask_for(project_ids)
        return [self._stamped(s) for s in self.subnets.values() if s.project_id in project_ids]

    def ports_of(self, *network_ids: str) -> list[Port]:
        self._ask_for(network_ids)
        return [p for p in self.ports.values() if p.network_id in network_ids]

    def network_summaries(self, *project_ids: str) -> Mapping[str, tuple[object, ...]] | None:
        self._ask_for(project_ids)
        used = Counter(p.network_id for p in self.ports.values() for _ in p.addresses)
        pools: dict[str, list[tuple[Range, ...]]] = {}
        for subnet in self.subnets.values():
            pools.setdefault(subnet.network_id, []).append(subnet.pools)
        networks = (network for network in self.networks.values() if network.project_id in project_ids)
        return {n.id: (n.name, used[n.id], tuple(pools.get(n.id, ()))) for n in networks}

    def security_groups_of(self, *project_ids: str, with_rules: bool = False) -> list[SecurityGroup]:
        self._ask_for(project_ids)
        return self.security_groups.of(project_ids, with_rules=with_rules)

    def create_security_group(self, project_id: str, name: str, description: str, *, stateful: bool) -> None:
        self._ask()
        self.security_groups.create(self._new_id(), project_id, name, description, stateful=stateful)
        self._wrote()

    def update_security_group(
        self, group_id: str, description: str, removed_rules: Sequence[str], added_rules: Sequence[AllowedTraffic]
    ) -> None:
        self._ask()
        self.security_groups.update(group_id, description, removed_rules, added_rules)
        self._wrote()

    def port_groups_of(self, *network_ids: str) -> Mapping[str, frozenset[tuple[str, tuple[str, ...]]]]:
        self._ask_for(network_ids)
        found: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
        for port in self.ports.values():
            if port.network_id in network_ids:
                found.setdefault(port.network_id, set()).add((port.id, port.groups))
        return {network_id: frozenset(ports) for network_id, ports in found.items()}

    def create_network(self, project_id: str, name: str, mtu: int, description: str) -> Network:
        self._ask()
        self._check_quota(project_id, "networks", [n.project_id for n in self.networks.values()])
        _check_mtu(mtu)
        network = Network(self._new_id(), name, project_id, mtu, description)
        self.networks[network.id] = network
        self._wrote()
        return network

    def set_network_mtu(self, network_id: str, mtu: int, revision: int | None = None) -> None:
        network = self._network(network_id)
        self._check_revision(network, revision)
        _check_mtu(mtu)
        self.networks[network_id] = replace(network, mtu=mtu)
        self._wrote()

    def tag_network(self, network_id: str, tag: str) -> None:
        network = self._network(network_id)
        self.networks[network_id] = replace(network, tags=network.tags | {tag})
        self._wrote()

    def delete_network(self, network_id: str) -> None:
        self._ask()
        if network_id not in self.networks:
            return
        ports = self.ports_of(network_id)
        if any(p.device_owner not in _AUTO_DELETED_OWNERS for p in ports):
            raise Conflict(f"Unable to complete operation on network {network_id}. There are ports in use.")
        self.ports = {k: p for k, p in self.ports.items() if p.network_id != network_id}
        self.subnets = {k: s for k, s in self.subnets.items() if s.network_id != network_id}
        del self.networks[network_id]
        self._wrote()

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
        self._network(network_id)
        self._check_quota(project_id, "subnets", [s.project_id for s in self.subnets.values()])
        if any(ip_network(cidr).overlaps(ip_network(s.cidr)) for s in self.subnets_of(network_id)):
            raise Invalid(f"Requested subnet with cidr: {cidr} for network: {network_id} overlaps with another subnet.")
        given = tuple(pools) or default_pools(cidr, gateway_ip)
        check_pools(cidr, gateway_ip, given)
        names = tuple(dns_nameservers), tuple(host_routes)
        version = ip_network(cidr).version
        if address_mode is not None and (version == 4 or not enable_dhcp):
            raise Invalid("Invalid input for operation: ipv6_address_mode is not valid here.")
        subnet = Subnet(
            self._new_id(),
            name,
            network_id,
            project_id,
            version,
            cidr,
            gateway_ip,
            given,
            enable_dhcp,
            *names,
            description,
            address_mode=address_mode,
        )
        self.subnets[subnet.id] = subnet
        self._wrote()
        self._serve_dhcp(subnet)
        return subnet

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
        self._ask()
        if subnet_id not in self.subnets:
            raise NotFound(f"Subnet {subnet_id} could not be found.")
        old = self.subnets[subnet_id]
        self._check_revision(old, revision)
        if replaced_pools is not None and set(replaced_pools) != set(old.pools):
            raise Conflict(f"the allocation pools of subnet {subnet_id} were changed meanwhile")
        gateway = old.gateway_ip if gateway_ip is None else gateway_ip or None
        if gateway != old.gateway_ip and any(old.gateway_ip in p.addresses for p in self._routers_of(old.network_id)):
            raise Conflict(f"Current gateway ip {old.gateway_ip} already in use by a port. Unable to update.")
        if pools is not None or gateway != old.gateway_ip:
            check_pools(old.cidr, gateway, old.pools if pools is None else pools)
        self.subnets[subnet_id] = replace(
            old,
            gateway_ip=gateway,
            pools=old.pools if pools is None else tuple(pools),
            enable_dhcp=old.enable_dhcp if enable_dhcp is None else enable_dhcp,
            dns_nameservers=old.dns_nameservers if dns_nameservers is None else tuple(dns_nameservers),
            host_routes=old.host_routes if host_routes is None else tuple(host_routes),
        )
        self._wrote()

    def delete_subnet(self, subnet_id: str) -> None:
        self._ask()
        subnet = self.subnets.get(subnet_id)
        if subnet is None:
            return
        inside = [p for p in self.ports_of(subnet.network_id) if _uses(p, subnet)]
        if subnet.is_automatic:
            self._forget_formed(subnet, [p for p in inside if p.device_owner != _ROUTER_OWNER])
            inside = [p for p in inside if p.device_owner == _ROUTER_OWNER]
        if any(p.device_owner not in _AUTO_DELETED_OWNERS for p in inside):
            raise Conflict(f"Unable to complete operation on subnet {subnet_id}: One or more ports have an IP.")
        for port in inside:
            del self.ports[port.id]
        del self.subnets[subnet_id]
        self._wrote()

    def _forget_formed(self, subnet: Subnet, ports: Sequence[Port]) -> None:
        for port in ports:
            kept = tuple(a for a in port.addresses if ip_address(a) not in ip_network(subnet.cidr))
            self.ports[port.id] = replace(port, addresses=kept)

    def create_attachment_port(self, network_id: str, host: str, name: str, description: str) -> Port:
        created = self._create_port(
            network_id, self.own_project_id(), (), ATTACHMENT_DEVICE_OWNER, name, description, host
        )
        self.ports[created.id] = replace(created, port_security_enabled=False)
        return self.ports[created.id]

    def update_attachment_port(self, port_id: str, description: str) -> None:
        self._ask()
        if port_id not in self.ports:
            raise NotFound(f"Port {port_id} could not be found.")
        restored = {"admin_state_up": True, "port_security_enabled": False, "description": description}
        self.ports[port_id] = replace(self.ports[port_id], **restored)  # type: ignore[arg-type]
        self._wrote()

    def set_empty_qos_policy(self, port_id: str) -> None:
        self._ask()
        if self.refuses_qos_policies:
            raise Forbidden("network: (rule:create_policy) is disallowed by policy")
        self._qos_policy_id = self._qos_policy_id or self._new_id()
        if port_id not in self.ports:
            raise NotFound(f"Port {port_id} could not be found.")
        self.ports[port_id] = replace(self.ports[port_id], qos_policy_id=self._qos_policy_id)
        self._wrote()

    def serve(self, port_id: str) -> None:
        """Put a port into service, as the back end of its host does once it is connected there."""
        port = self.ports.get(port_id)
        if port is not None and port.admin_state_up and port.status != "ACTIVE":
            self.ports[port_id] = replace(port, status="ACTIVE")
            self._wrote()

    def create_gateway_port(self, network_id: str, subnet_id: str, address: str, name: str, description: str) -> Port:
        subnet = self.subnets.get(subnet_id)
        network = ip_network(subnet.cidr) if subnet is not None else None
        if network is None or subnet is None or ip_address(address) not in network or subnet.is_automatic:
            raise Invalid(f"IP address {address} is not a valid IP for the specified subnet.")
        if ip_address(address) == network.network_address:  # of IPv6, only routers may have it
            raise Invalid(f"IP address {address} is not a valid IP for the specified subnet.")
        return self._create_port(
            network_id, self.own_project_id(), (address,), GATEWAY_DEVICE_OWNER, name, description, ""
        )

    def create_remote_ports(self, network_id: str, ports: Sequence[RequestedPort], description: str) -> None:
        own, before = self.own_project_id(), dict(self.ports)
        limit = self.quotas.get(own, _DEFAULT_QUOTA).ports
        if 0 <= limit < sum(p.project_id == own for p in self.ports.values()) + len(ports) + SPARE_PORTS:
            raise QuotaExceeded(f"the operator's project has a quota of {limit} ports")
        others = self.ports_of(network_id)
        taken = {p.mac for p in others} | {address for p in others for address in p.addresses}
        try:
            for port in ports:
                self._create_remote_port(network_id, port, description, taken)
        except (Conflict, Invalid):
            self.ports = before
            raise
        self._wrote()

    def _create_remote_port(self, network_id: str, port: RequestedPort, description: str, taken: set[str]) -> None:
        """`taken` are the MAC addresses and addresses in use, to which those of the port are added."""
        network = self._network(network_id)
        addresses = tuple(address for _, address in port.addresses)
        if port.mac in taken:
            raise Conflict(f"The mac address {port.mac} is in use.")
        if not taken.isdisjoint(addresses):
            raise Conflict(f"IP address already allocated in network {network_id}.")
        for subnet_id, address in port.addresses:
            subnet = self.subnets.get(subnet_id)
            if subnet is None or not is_host(address, subnet.cidr):
                raise Invalid(f"IP address {address} is not a valid IP for the specified subnet.")
        formed = formed_addresses(self.subnets_of(network_id), port.mac)
        if not {*formed}.isdisjoint(addresses):
            raise Conflict(f"IP address already allocated in network {network_id}.")
        addresses += formed
        owned = (network.id, self.own_project_id(), port.mac, addresses, REMOTE_DEVICE_OWNER, "DOWN", "", description)
        groups = self._joined(port.groups)
        created = Port(self._new_id(), port.name, *owned, port_security_enabled=bool(groups), groups=groups)
        self.ports[created.id] = created
        taken |= {port.mac, *addresses}

    def set_remote_port_groups(self, port_id: str, group_ids: Sequence[str]) -> None:
        self._ask()
        if port_id not in self.ports:
            raise NotFound(f"Port {port_id} could not be found.")
        groups = self._joined(group_ids)
        self.ports[port_id] = replace(self.ports[port_id], port_security_enabled=bool(groups), groups=groups)
        self._wrote()

    def _joined(self, group_ids: Sequence[str]) -> tuple[str, ...]:
        unknown = sorted(set(group_ids) - self.security_groups.keys())
        if unknown:
            raise NotFound(f"Security group {', '.join(unknown)} does not exist")
        if len({self.security_groups[id_].stateful for id_ in group_ids}) > 1:
            raise Conflict("Cannot apply both stateful and stateless security groups on the same port")
        return tuple(sorted(set(group_ids)))

    def create_group(self, project_id: str, name: str, *, stateful: bool = True) -> SecurityGroup:
        """Create a security group of a tenant."""
        id_ = self._new_id()
        self.security_groups.create(id_, project_id, name, stateful=stateful)
        self._wrote()
        return self.security_groups[id_]

    def join(self, port_id: str, *groups: SecurityGroup) -> None:
        """Put a machine's port into exactly these groups."""
        self.ports[port_id] = replace(self.ports[port_id], groups=self._joined([group.id for group in groups]))
        self._wrote()

    def delete_port(self, port_id: str) -> None:
        self._ask()
        if self.ports.pop(port_id, None):
            self._wrote()

    def boot(self, network_id: str, project_id: str, address: str | None = None) -> Port:
        """Create the port of a tenant's machine, with an address from the pools or a given one."""
        used, addresses = {a for p in self.ports_of(network_id) for a in p.addresses}, [address] if address else []
        subnets = self.subnets_of(network_id)
        for version in (4, 6) if not address else ():
            pools = [pool for s in subnets if s.ip_version == version and not s.is_automatic for pool in s.pools]
            addresses += [a for a in [next((a for a in addresses_of(pools) if a not in used), None)] if a]
        if not addresses and not any(subnet.is_automatic for subnet in subnets):
            raise Conflict(f"No more IP addresses available on network {network_id}.")
        return self._create_port(network_id, project_id, tuple(addresses), "compute:nova", "", "", "compute-1")

    def attach_router(self, network_id: str, project_id: str, address: str) -> Port:
        """Create the port of a tenant's router with this address, as `openstack router add port` leaves it."""
        return self._create_port(network_id, project_id, (address,), _ROUTER_OWNER, "", "", "")

    def _routers_of(self, network_id: str) -> list[Port]:
        return [p for p in self.ports.values() if p.network_id == network_id and p.device_owner == _ROUTER_OWNER]

    def get_quota(self, project_id: str) -> NetworkQuota:
        self._ask()
        return self.quotas.get(project_id, _DEFAULT_QUOTA)

    def get_quotas(self) -> Mapping[str, NetworkQuota]:
        self._ask()
        return dict(self.quotas)

    def set_quota(self, project_id: str, quota: NetworkQuota) -> None:
        self._ask()
        self.quotas[project_id] = quota
        self._wrote()

    def delete_project(self, project_id: str) -> None:
        super().delete_project(project_id)
        self.quotas.pop(project_id, None)
        self.security_groups.forget(project_id)

    def unseen_services(self) -> tuple[str, ...]:
        return self.other_services

    def project_is_empty(self, project_id: str) -> bool:
        self._ask()
        held: list[Network | Subnet | Port] = [*self.networks.values(), *self.subnets.values(), *self.ports.values()]
        return all(thing.project_id != project_id for thing in held) and not self.security_groups.holds(project_id)

    def _number(self, resource: Network | Subnet | Port) -> int:
        """Of its last change. Tests change resources without a method: what differs from before was changed.

        As in Neutron 29, pools do not count.
        """
        resource = replace(resource, pools=()) if isinstance(resource, Subnet) else resource
        before, number = self._numbered.get(resource.id, (None, 0))
        if before != resource:
            number = self._next()
            self._numbered[resource.id] = resource, number
        return number

    def _stamped(self, resource: S) -> S:
        return replace(resource, revision=self._number(resource))

    def _check_revision(self, resource: Network | Subnet, revision: int | None) -> None:
        if revision is not None and revision != self._number(resource):
            raise Conflict(f"Constrained to {revision}, but current revision is {self._number(resource)}")

    def _ask_for(self, ids: Sequence[str]) -> None:
        """One request for 100 IDs, as the adapter does."""
        self._ask(requests=-(-len(ids) // 100))

    def _network(self, network_id: str) -> Network:
        self._ask()
        if network_id not in self.networks:
            raise NotFound(f"Network {network_id} could not be found.")
        return self.networks[network_id]

    def _create_port(
        self,
        network_id: str,
        project_id: str,
        addresses: tuple[str, ...],
        device_owner: str,
        name: str,
        description: str,
        host: str,
    ) -> Port:
        self._network(network_id)
        self._check_quota(project_id, "ports", [p.project_id for p in self.ports.values()])
        used = {a for p in self.ports_of(network_id) for a in p.addresses}
        if used & set(addresses):
            raise Conflict(f"IP address {addresses[0]} already allocated in network {network_id}.")
        number = self._next()
        mac = f"{self._base_mac}:" + ":".join(f"{number >> shift & 0xFF:02x}" for shift in (16, 8, 0))
        if device_owner != _ROUTER_OWNER:
            addresses = (
                *addresses,
                *formed_addresses((s for s in self.subnets.values() if s.network_id == network_id), mac),
            )
        status = "ACTIVE" if device_owner == "compute:nova" else "DOWN"
        port = Port(
            self._new_id(), name, network_id, project_id, mac, addresses, device_owner, status, host, description
        )
        self.ports[port.id] = port
        self._wrote()
        return port

    def _serve_dhcp(self, subnet: Subnet) -> None:
        if self._dhcp_agent and subnet.enable_dhcp and not subnet.is_automatic:
            address = next(addresses_of(subnet.pools))
            self._create_port(subnet.network_id, subnet.project_id, (address,), "network:dhcp", "", "", "net-1")

    def _check_quota(self, project_id: str, resource: str, owners: Sequence[str]) -> None:
        limit: int = getattr(self.quotas.get(project_id, _DEFAULT_QUOTA), resource)
        if 0 <= limit <= list(owners).count(project_id):
            raise QuotaExceeded(f"Quota exceeded for resources: ['{resource.removesuffix('s')}'].")


def _check_mtu(mtu: int) -> None:
    if mtu > _MAX_MTU:
        raise Invalid(f"Invalid input for operation: Requested MTU is too big, maximum is {_MAX_MTU}.")


def _uses(port: Port, subnet: Subnet) -> bool:
    return any(ip_address(a) in ip_network(subnet.cidr) for a in port.addresses)
