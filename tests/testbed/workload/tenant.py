"""A tenant whose network is stretched: project and network at the origin, replica and its member at the receiver."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from typing import Any, Final

from openstack.connection import Connection

from tests.testbed.cloud.cloud import Cloud, Project
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, objects
from tests.testbed.workload.machine import Machine, TcpExchange, wait_for_pings
from tests.testbed.workload.ping import PingResult, StarvedNode

PING_INTERVAL_SECONDS = 0.01

REMOTE_PORT_OWNER: Final = "isthmus:remote"


class Tenant:
    """A project of one cloud with one network."""

    def __init__(self, cloud: Cloud, project: Project, network: Any, cidr: str) -> None:
        self.cloud = cloud
        self.project = project
        self.network_id = str(network.id)
        self.cidr = cidr

    @classmethod
    def create(cls, cloud: Cloud, name: str, cidr: str) -> "Tenant":
        """Create the project, its member and its network."""
        project = cloud.create_project(name)
        return cls(cloud, project, cloud.create_network(project, name, cidr), cidr)

    @property
    def name(self) -> str:
        """Name of the project, the network, and the bound namespace."""
        return self.project.name

    def boot(self, name: str, **options: Any) -> Machine:
        """Start a machine on the network."""
        network = self.project.connection.network.get_network(self.network_id)
        return self.cloud.boot(network, name, project=self.project, **options)

    def admit(self) -> None:
        """Add the tenant's security group rule for the subnet's CIDR."""
        self.project.allow_ingress(self.cidr)

    def remote_ports(self) -> dict[str, Any]:
        """Ports of Isthmus that stand for machines of other clouds, by MAC address, as an administrator sees them."""
        found = self.cloud.openstack().network.ports(network_id=self.network_id, device_owner=REMOTE_PORT_OWNER)
        return {port.mac_address: port for port in found}

    def delete(self) -> None:
        """Delete the project with all its resources."""
        self.cloud.delete_project(self.project)


class Stretch:
    """A stretched network with its tenants at origin and receiver."""

    def __init__(self, federation: Federation, tenant: Tenant, remote: Tenant, local: Machine) -> None:
        self.federation = federation
        self.tenant = tenant
        self.remote = remote
        self.local = local
        self.remotes: list[Machine] = []

    @classmethod
    def of(cls, federation: Federation, tenant: Tenant, local: Machine) -> "Stretch":
        """The stretched network of a tenant; adds a member to the replica project, as its administrator does."""
        replica, cloud = federation.replica_of(tenant.network_id), federation.receiver.cloud
        if replica is None:
            raise LookupError(f"cloud {cloud.name} has no replica of network {tenant.network_id}")
        member = join_project(cloud, replica.project_id, f"{tenant.name}-at-{cloud.name}")
        return cls(federation, tenant, Tenant(cloud, member, replica, tenant.cidr), local)

    def boot_remote(self, name: str, **options: Any) -> Machine:
        """Start a machine on the replica."""
        machine = self.remote.boot(name, **options)
        self.remotes.append(machine)
        return machine

    def admit(self) -> None:
        """Add the tenant's security group rule in both clouds."""
        self.tenant.admit()
        self.remote.admit()

    def is_of_slice(self, address: str) -> bool:
        """Whether an address lies in the receiver's slice, as the origin has published it."""
        links = objects(self.remote.cloud, "expansionlinks")
        link = next(k for k in links if k["spec"]["origin"]["networkID"] == self.tenant.network_id)
        (subnet,) = link["status"]["peer"]["spec"]["offer"]["subnets"]
        return IPv4Address(subnet["first"]) <= IPv4Address(address) <= IPv4Address(subnet["last"])

    def wait_for_ping(self, timeout_seconds: float = 60) -> PingResult:
        """Wait until the origin's machine and the receiver's first machine reach each other, then return a full ping.

        Each cloud takes a while to apply security group rules; and while agents and guests are still busy with what has
        just changed, one of several pings may be lost. What loses none is measured by `ping_losing_nothing`.
        """
        wait_for_pings((self.local, self.remotes[0]), timeout_seconds)
        address = str(self.remotes[0].address)

        def full() -> list[PingResult]:
            result = self.local.ping(address)
            return [result] if result.all_answered else []

        (result,) = wait_until(full, timeout_seconds, f"pings that {self.remotes[0].name} answers without a loss")
        return result

    def ping_during(self, event: Callable[[], object], settle_seconds: float = 3.0) -> PingResult:
        """Ping from the origin to the receiver every 10 ms, from a second before the event until a while after it.

        Raises StarvedNode if the machine has been too slow for that.
        """
        result, seconds = self._ping_beside(event, settle_seconds)
        # A guest has one processor, on which a new agent may start meanwhile; ping may then send fewer requests.
        if result.transmitted < 0.7 * seconds / PING_INTERVAL_SECONDS:
            raise StarvedNode(f"{result} in {seconds:.1f} s is not a ping every 10 ms")
        return result

    def ping_beside(self, event: Callable[[], object]) -> PingResult:
        """The same on a machine of any speed: for losses that are recorded and do not decide."""
        result, _ = self._ping_beside(event, 3.0)
        return result

    def _ping_beside(self, event: Callable[[], object], settle_seconds: float) -> tuple[PingResult, float]:
        """The result, and for how many seconds there were pings."""
        with self.local.start_ping(str(self.remotes[0].address), PING_INTERVAL_SECONDS) as run:
            began = time.monotonic()
            time.sleep(1)
            event()
            time.sleep(settle_seconds)
            seconds = time.monotonic() - began
            return run.stop(), seconds

    def exchange(self) -> tuple[TcpExchange, TcpExchange]:
        """Exchange a payload over TCP, once initiated by the origin and once by the receiver."""
        remote = self.remotes[0]
        return self.local.tcp_exchange(remote), remote.tcp_exchange(self.local)

    def remove_remotes(self) -> None:
        """Delete the receiver's machines and the member that booted them."""
        while self.remotes:
            self.remotes.pop().delete()
        leave_project(self.remote.cloud, self.remote.project)


def mtu_and_pools(cloud: Cloud, network_id: str) -> tuple[int, Any]:
    """The attributes of a tenant's network that stretching changes."""
    network = cloud.openstack().network
    (subnet,) = network.subnets(network_id=network_id)
    return network.get_network(network_id).mtu, subnet.allocation_pools


def join_project(cloud: Cloud, project_id: str, name: str) -> Project:
    """Create a user with a role in an existing project, as an administrator does for another cloud's tenant."""
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
    """A stretched network with a machine on each side, the receiver's with a lease; everything is removed and compared.

    Fails unless there was protected traffic on the WAN, and no other.
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


@contextmanager
def populated_stretch(federation: Federation, name: str, cidr: str, *, admits: bool = False) -> Iterator[Stretch]:
    """A stretched network with a machine on each side; everything is removed.

    The machines boot with the tenant's rule for the subnet if it `admits`, otherwise no rule admits the other one.
    """
    with ExitStack() as undo:
        tenant = Tenant.create(federation.origin.cloud, name, cidr)
        undo.callback(federation.wait_withdrawn, tenant.network_id)  # last: the tenant goes meanwhile
        undo.callback(tenant.delete)
        local = tenant.boot(f"{name}-{federation.origin.cloud.name}")
        undo.callback(local.delete)
        undo.enter_context(federation.applied(name, name, tenant.project.id, tenant.network_id))
        federation.wait_expanded(name, name, tenant.network_id)
        stretch = Stretch.of(federation, tenant, local)
        undo.callback(stretch.remove_remotes)
        if admits:
            stretch.admit()
        stretch.boot_remote(f"{name}-{federation.receiver.cloud.name}")
        yield stretch


@contextmanager
def reachable_stretch(federation: Federation, name: str, cidr: str) -> Iterator[Stretch]:
    """A stretched network with a machine on each side that reach each other; everything is removed."""
    with populated_stretch(federation, name, cidr, admits=True) as stretch:
        stretch.wait_for_ping()
        yield stretch
