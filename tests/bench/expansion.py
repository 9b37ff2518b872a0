"""From `kubectl apply` to the first reply, over what Neutron alone takes to give a machine its network."""

import time

from tests.bench.result import Result, at_most, reported
from tests.lab.federation import Federation
from tests.lab.process import wait_until
from tests.lab.tenant import Tenant, join_project, leave_project

LIMIT = 2.5
POLL_SECONDS = 0.05


def measure(federation: Federation) -> list[Result]:
    """The ratio of both times, and the times."""
    alone = _neutron_alone(federation)
    stretched = _stretched(federation)
    return [
        at_most("apply to first reply / Neutron alone", stretched / alone, "ratio", LIMIT),
        reported("apply of NetworkExpansion to first reply", stretched, "s"),
        reported("network, subnet, port, plug, first reply on B", alone, "s"),
    ]


def _neutron_alone(federation: Federation) -> float:
    """A network with two machines on B's node: the time until one reaches the other."""
    cloud = federation.b.cloud
    project = cloud.create_project("bench-alone")
    project.allow_ingress("10.60.0.0/24")
    began = time.monotonic()
    network = cloud.create_network(project, "bench-alone", "10.60.0.0/24")
    one = cloud.boot(network, "bench-one", project=project, wait=False)
    other = cloud.boot(network, "bench-two", project=project, wait=False)
    wait_until(lambda: one.ping(str(other.address), count=1).all_answered, 60, "a reply", poll_seconds=POLL_SECONDS)
    took = time.monotonic() - began
    one.delete()
    other.delete()
    cloud.delete_project(project)
    return took


def _stretched(federation: Federation) -> float:
    tenant = Tenant.create(federation.a.cloud, "bench", "10.61.0.0/24")
    tenant.admit()
    local = tenant.boot("bench-a")
    federation.bind("bench", tenant.project.id)
    began = time.monotonic()
    federation.expand("bench", "bench", tenant.network_id)
    wait_until(lambda: _has_subnet(federation, tenant), 60, "the copy", poll_seconds=POLL_SECONDS)
    copy = federation.copy_of(tenant.network_id)
    member = join_project(federation.b.cloud, copy.project_id, "bench-at-b")  # type: ignore[union-attr]
    member.allow_ingress(tenant.cidr)
    remote = federation.b.cloud.boot(copy, "bench-b", project=member, wait=False)
    wait_until(lambda: local.ping(str(remote.address), count=1).all_answered, 90, "a reply", poll_seconds=POLL_SECONDS)
    took = time.monotonic() - began
    remote.delete()
    federation.a.cloud.kubectl("delete", "networkexpansion", "-n", "bench", "bench")
    wait_until(lambda: federation.copy_of(tenant.network_id) is None, 90, "the copy to go")
    leave_project(federation.b.cloud, member)
    local.delete()
    tenant.delete()
    federation.a.cloud.kubectl("delete", "namespace", "bench")
    return took


def _has_subnet(federation: Federation, tenant: Tenant) -> bool:
    copy = federation.copy_of(tenant.network_id)
    return copy is not None and bool(copy.subnet_ids)
