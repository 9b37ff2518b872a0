"""A tenant whose network is stretched: a project and a network in one cloud, in the other the copy and its member."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from openstack.connection import Connection

from tests.testbed.cloud.cloud import Cloud, Project
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, objects
from tests.testbed.workload.machine import Machine, TcpExchange
from tests.testbed.workload.ping import PingResult


class Tenant:
    """A project of one cloud with one network."""

    def __init__(self, cloud: Cloud, project: Project, network: Any, cidr: str) -> None:
        self.cloud = cloud
        self.project = project
        self.network_id = str(network.id)
        self.cidr = cidr

    @classmethod
    def create(cls, cloud: Cloud, name: str, cidr: str) -> "Tenant":
        """Make the project, its member and its network."""
        project = cloud.create_project(name)
        return cls(cloud, project, cloud.create_network(project, name, cidr), cidr)

    @property
    def name(self) -> str:
        """Of the project, the network, and the namespace that is bound to it."""
        return self.project.name

    def boot(self, name: str, **options: Any) -> Machine:
        """Start a machine on the network."""
        network = self.project.connection.network.get_network(self.network_id)
        return self.cloud.boot(network, name, project=self.project, **options)

    def admit(self) -> None:
        """The tenant's own rule: what comes from the subnet's range may come in."""
        self.project.allow_ingress(self.cidr)

    def delete(self) -> None:
        """Remove the project with all that is in it."""
        self.cloud.delete_project(self.project)


class Stretch:
    """A tenant's network with both its parts, while it is stretched."""

    def __init__(self, federation: Federation, tenant: Tenant, remote: Tenant, local: Machine) -> None:
        self.federation = federation
        self.tenant = tenant
        self.remote = remote
        self.local = local
        self.remotes: list[Machine] = []

    @classmethod
    def of(cls, federation: Federation, tenant: Tenant, local: Machine) -> "Stretch":
        """The stretched network of a tenant; the receiver's administrator lets a member into the copy's project."""
        copy, cloud = federation.replica_of(tenant.network_id), federation.receiver.cloud
        if copy is None:
            raise LookupError(f"cloud {cloud.name} has no copy of network {tenant.network_id}")
        member = join_project(cloud, copy.project_id, f"{tenant.name}-at-{cloud.name}")
        return cls(federation, tenant, Tenant(cloud, member, copy, tenant.cidr), local)

    def boot_remote(self, name: str, **options: Any) -> Machine:
        """Start a machine on the copy."""
        machine = self.remote.boot(name, **options)
        self.remotes.append(machine)
        return machine

    def admit(self) -> None:
        """The tenant's own rule, in both clouds."""
        self.tenant.admit()
        self.remote.admit()

    def is_of_slice(self, address: str) -> bool:
        """Whether an address lies in the receiver's slice, as the origin has published it."""
        links = objects(self.remote.cloud, "expansionlinks")
        link = next(k for k in links if k["spec"]["origin"]["networkID"] == self.tenant.network_id)
        (subnet,) = link["status"]["peer"]["spec"]["offer"]["subnets"]
        return IPv4Address(subnet["first"]) <= IPv4Address(address) <= IPv4Address(subnet["last"])

    def wait_for_ping(self, timeout_seconds: float = 30) -> PingResult:
        """Wait until the origin's machine and the first of the receiver reach each other, then ping that properly.

        Either cloud takes its own time to let in what its tenant admits.
        """
        here, there = self.local, self.remotes[0]
        for source, target in ((here, str(there.address)), (there, str(here.address))):
            wait_until(partial(_answers, source, target), timeout_seconds, f"a reply of {target}")
        return here.ping(str(there.address))

    def exchange(self) -> tuple[TcpExchange, TcpExchange]:
        """A payload over TCP, from the origin to the receiver and back, and the other way round."""
        remote = self.remotes[0]
        return self.local.tcp_exchange(remote), remote.tcp_exchange(self.local)

    def remove_remotes(self) -> None:
        """Delete the receiver's machines and the member that booted them."""
        while self.remotes:
            self.remotes.pop().delete()
        leave_project(self.remote.cloud, self.remote.project)


def mtu_and_pools(cloud: Cloud, network_id: str) -> tuple[int, Any]:
    """What a stretch changes of a tenant's network."""
    network = cloud.openstack().network
    (subnet,) = network.subnets(network_id=network_id)
    return network.get_network(network_id).mtu, subnet.allocation_pools


def join_project(cloud: Cloud, project_id: str, name: str) -> Project:
    """What an administrator does for a tenant who comes from elsewhere: a member of an existing project."""
    identity: Any = cloud.openstack().identity
    password = secrets.token_urlsafe(16)
    user = identity.create_user(name=name, password=password, domain_id="default")
    for role in identity.roles():
        if role.name in ("member", "reader"):
            identity.assign_project_role_to_user(project_id, user, role)
    auth = {
        "auth_url": cloud.site.auth_url,
        "username": name,
        "password": password,
        "project_id": project_id,
        "user_domain_name": "Default",
    }
    return Project(project_id, name, Connection(auth=auth, region_name=cloud.site.region))


def leave_project(cloud: Cloud, member: Project) -> None:
    """Undo `join_project`."""
    identity: Any = cloud.openstack().identity
    user = identity.find_user(member.name, domain_id="default")
    if user:
        identity.delete_user(user)


@contextmanager
def captured_stretch(federation: Federation, name: str, cidr: str) -> Iterator[Stretch]:
    """A stretched network with a machine on each side, the receiver's with a lease; all of it is undone and compared.

    On the wire there was only what is protected, and some of that.
    """
    with federation.lab.wan.capture() as capture, federation.unchanged_inventory():
        tenant = Tenant.create(federation.origin.cloud, name, cidr)
        local = tenant.boot(f"{name}-here")
        with federation.stretched(name, name, tenant.project.id, tenant.network_id):
            stretch = Stretch.of(federation, tenant, local)
            stretch.boot_remote(f"{name}-there", addressed=False).request_lease()
            yield stretch
            stretch.remove_remotes()
        federation.settle()
        local.delete()
        tenant.delete()
    summary = capture.summary()
    assert summary.esp > 0
    summary.require_protected()


def _answers(source: Machine, address: str) -> bool:
    return source.ping(address, count=1).all_answered
