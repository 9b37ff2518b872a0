"""One of the two clouds: its Kubernetes, its OpenStack, its gateway node, its tenants and their machines."""

import json
import re
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from ipaddress import IPv4Interface, ip_network
from pathlib import Path
from typing import Any, cast

from openstack.connection import Connection

from tests.testbed.cloud.servers.registration import OPERATOR, connect
from tests.testbed.host import process
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.node.backend import BackEnd
from tests.testbed.node.gateway import Gateway
from tests.testbed.state import Passwords
from tests.testbed.topology import BackEnd as BackEndName
from tests.testbed.topology import Site
from tests.testbed.workload.machine import Machine


@dataclass(frozen=True)
class Project:
    """A tenant: a Keystone project and a session of its only member."""

    id: str
    name: str
    connection: Connection

    def allow_ingress(self, cidr: str) -> str:
        """Allow traffic from a CIDR to machines in the default security group; returns the rule's ID."""
        group = next(iter(self.connection.network.security_groups(name="default", project_id=self.id)))
        rule = self.connection.network.create_security_group_rule(
            security_group_id=group.id,
            direction="ingress",
            ethertype=f"IPv{ip_network(cidr).version}",
            remote_ip_prefix=cidr,
        )
        return str(rule.id)


class Cloud:
    """One cloud of a running lab."""

    def __init__(
        self,
        site: Site,
        *,
        directory: Path,
        netns: str,
        passwords: Passwords,
        kube: ControlPlane,
        gateway: Gateway,
        second_gateway: Gateway,
    ) -> None:
        self.site = site
        self.name = site.name
        self.cloud_id = site.cloud_id
        self.back_end: BackEndName = site.back_end
        self.directory = directory
        self.netns = netns
        self.kube = kube
        self.gateway = gateway
        self.second_gateway = second_gateway
        """Started by `second.running_in` only."""
        self._passwords = passwords
        self._never_served: set[str] = set()

    @property
    def gateways(self) -> tuple[Gateway, ...]:
        """The gateway nodes that are running."""
        return (self.gateway, self.second_gateway) if self.second_gateway.running else (self.gateway,)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """Run kubectl as the cloud's administrator."""
        return self.kube.kubectl(*arguments, input=input)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace that nobody needs any more; Kubernetes begins with it five seconds later."""
        self.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")

    def wait_deleted(self, namespace: str = "") -> None:
        """Wait until a namespace that was deleted is gone, or all of them are."""
        which = "status.phase=Terminating" + (f",metadata.name={namespace}" if namespace else "")
        ask = ("get", "namespaces", f"--field-selector={which}", "-o", "name")
        wait_until(lambda: not self.kubectl(*ask), 90, f"deleted namespaces of cloud {self.name} to go", 0.5)

    def openstack(self) -> Connection:
        """A session of the cloud's administrator."""
        return self._admin

    def operator(self) -> Connection:
        """A session of the operator's own user."""
        return connect(self.site, OPERATOR, self._passwords.operator, OPERATOR)

    def clouds_yaml(self) -> str:
        """The operator's credentials, in an entry `isthmus` (JSON, which is YAML)."""
        auth = {
            "auth_url": self.site.auth_url,
            "username": OPERATOR,
            "password": self._passwords.operator,
            "project_name": OPERATOR,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        return json.dumps({"clouds": {OPERATOR: {"auth": auth, "region_name": self.site.region}}}, indent=1)

    def openrc(self) -> dict[str, str]:
        """The administrator's credentials as environment variables of the openstack command."""
        return {
            "OS_AUTH_URL": self.site.auth_url,
            "OS_USERNAME": "admin",
            "OS_PASSWORD": self._passwords.admin,
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": self.site.region,
            "OS_IDENTITY_API_VERSION": "3",
        }

    def spawn(self, argv: Sequence[str | Path], name: str, env: Mapping[str, str] | None = None) -> int:
        """Start a background process in the cloud's namespace."""
        return process.spawn(argv, name=name, directory=self.directory, netns=self.netns, env=env)

    def stop(self, name: str, grace_seconds: float = 10.0) -> None:
        """Stop a background process if it is running."""
        process.stop(self.directory, name, grace_seconds=grace_seconds)

    def alive(self, name: str) -> bool:
        """Whether a background process runs."""
        return process.alive(self.directory, name)

    def log(self, name: str) -> Path:
        """Log file of a background process."""
        return self.directory / f"{name}.log"

    def create_project(self, name: str) -> Project:
        """Create a tenant with a member of the same name."""
        identity: Any = self._admin.identity
        password = secrets.token_urlsafe(16)
        project = identity.create_project(name=name, domain_id="default")
        user = identity.create_user(name=name, password=password, domain_id="default", default_project_id=project.id)
        for role in identity.roles():
            if role.name in ("member", "reader"):
                identity.assign_project_role_to_user(project, user, role)
        return Project(project.id, name, connect(self.site, name, password, name))

    def delete_project(self, project: Project) -> None:
        """Delete a tenant with its member, networks, ports and security groups.

        Waits for Neutron's agents first: otherwise they would still create resources for the deleted tenant.
        """
        self._wait_for_agents(partial(self._is_served, project))
        network, identity = self._admin.network, cast(Any, self._admin.identity)
        for port in network.ports(project_id=project.id):
            if not port.device_owner.startswith("network:"):
                network.delete_port(port)
        for found in network.networks(project_id=project.id):
            network.delete_network(found)
        for group in network.security_groups(project_id=project.id):
            network.delete_security_group(group)
        user = identity.find_user(project.name, domain_id="default")
        if user:
            identity.delete_user(user)
        identity.delete_project(project.id)

    def create_network(self, owner: Project | Connection, name: str, cidr: str, **subnet: Any) -> Any:
        """Create a network with one subnet as the tenant; Neutron chooses the MTU."""
        network = (owner.connection if isinstance(owner, Project) else owner).network
        created = network.create_network(name=name)
        version = ip_network(cidr).version
        network.create_subnet(network_id=created.id, name=name, ip_version=version, cidr=cidr, **subnet)
        return network.get_network(created.id)

    def boot(
        self,
        network: Any,
        name: str,
        *,
        project: Project | Connection,
        node: Gateway | None = None,
        address: str | None = None,
        addressed: bool = True,
        port: Any = None,
        wait: bool = True,
    ) -> Machine:
        """Start a machine on a new or given port of the tenant, as a compute service and a hypervisor would.

        Without `addressed` it has no address until it requests a lease.
        """
        tenant = project.connection if isinstance(project, Project) else project
        node = node or self.gateway
        wanted = {"fixed_ips": [{"ip_address": address}]} if address else {}
        port = port or tenant.network.create_port(network_id=network.id, name=name, **wanted)
        # As a compute service: bind the port first, then plug it.
        port = self._admin.network.update_port(
            port.id,
            binding_host_id=node.name,
            device_owner="compute:nova",
            device_id=str(uuid.uuid4()),
        )
        if port.binding_vif_type != "ovs":
            raise RuntimeError(f"port of {name} cannot be bound to {node.name}: {port.binding_vif_type}")
        fixed = port.fixed_ips[0]
        subnet = tenant.network.get_subnet(fixed["subnet_id"])
        mtu = tenant.network.get_network(port.network_id).mtu
        interface = IPv4Interface(f"{fixed['ip_address']}/{ip_network(subnet.cidr).prefixlen}")
        machine = Machine(name, node, port, self._admin, interface)
        machine.attach_port(mtu, addressed=addressed)
        if wait:
            machine.wait_active()
        return machine

    def wait_until_at_rest(self) -> None:
        """Wait until Neutron's agents have completed all changes, which they do not report."""
        self._wait_for_agents(self._at_rest)

    def _wait_for_agents(self, done: Callable[[], bool]) -> None:
        what = f"Neutron's agents of cloud {self.name} to be at rest"
        try:
            wait_until(done, 90, what, poll_seconds=1)
        except TimeoutError:
            # Neutron did not schedule it to an agent, or lost track of it: do not wait for it again.
            self._never_served |= self._unserved()
            wait_until(done, 90, what, poll_seconds=1)

    def _is_served(self, project: Project) -> bool:
        """Whether every network of a tenant has a wired DHCP server."""
        unserved = self._unserved()
        return not unserved or unserved.isdisjoint(n.id for n in self._admin.network.networks(project_id=project.id))

    def _at_rest(self) -> bool:
        """Whether every network has a wired DHCP server, and no interface is left without a Neutron port."""
        listing = "ovs-vsctl --timeout=30 --bare --columns=external_ids list Interface"
        listed = "\n".join(gateway.run(listing).stdout for gateway in self.gateways)
        plugged = set(re.findall(r"iface-id=([-0-9a-f]{36})", listed))
        return plugged <= {port.id for port in self._admin.network.ports()} and not self._unserved()

    def _unserved(self) -> set[str]:
        """Networks without a DHCP server yet. ML2/OVN needs no server per network."""
        if self.back_end != "ovs":
            return set()
        network = self._admin.network
        servers = network.ports(device_owner="network:dhcp")
        served = {port.network_id for port in servers if port.status == "ACTIVE"}
        return {s.network_id for s in network.subnets() if s.is_dhcp_enabled} - served - self._never_served

    @cached_property
    def _admin(self) -> Connection:
        return connect(self.site, "admin", self._passwords.admin, "admin")

    @property
    def neutron_back_end(self) -> BackEnd:
        """Neutron's back end on the gateway node."""
        return self.gateway.back_end
