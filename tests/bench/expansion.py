"""Time from `kubectl apply` to the first reply, relative to the time that Neutron alone needs for a new network."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from typing import Any

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.names import SYSTEM_NAMESPACE
from tests.bench.result import Result, at_most, reported
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.tenant import Tenant

ROUNDS = 7
LIMIT = 1.3
POLL_SECONDS = 0.05
REPLY_SECONDS = 90


def measure(federation: Federation) -> list[Result]:
    """The ratio of both times, and the times. Every round begins and ends with unchanged clouds."""
    # Alternating, Isthmus first: cold caches then count against Isthmus.
    cases = (_stretched, _neutron_alone)
    seconds: dict[Callable[[Federation, int], float], list[float]] = {case: [] for case in cases}
    for number in range(ROUNDS):
        for case in cases if number % 2 == 0 else reversed(cases):
            with federation.unchanged_inventory():
                seconds[case].append(case(federation, number))
    stretched, alone = seconds[_stretched], seconds[_neutron_alone]
    ratios = [ours / neutrons for ours, neutrons in zip(stretched, alone, strict=True)]
    return [
        at_most(f"apply to first reply / Neutron alone, median of {ROUNDS}", median(ratios), "ratio", LIMIT),
        reported("apply to first reply / Neutron alone, lowest", min(ratios), "ratio"),
        reported("apply to first reply / Neutron alone, highest", max(ratios), "ratio"),
        reported("apply of NetworkExpansion to first reply, median", median(stretched), "s"),
        reported("network, subnet, port, plug, first reply, median", median(alone), "s"),
    ]


def _neutron_alone(federation: Federation, number: int) -> float:
    """Create a network with two machines on B's node; seconds until one reaches the other.

    For a stretched network the other machine is running already. Here it cannot, because its network does not exist
    yet. Both machines therefore boot at the same time, so that only one machine's way through Neutron and its agent is
    measured. If they booted one after the other, the ratio would favour Isthmus.
    """
    cloud, name, cidr = federation.b.cloud, f"alone-{number}", f"10.60.{number}.0/24"
    with ExitStack() as undo:
        project = cloud.create_project(name)
        undo.callback(cloud.delete_project, project)
        project.allow_ingress(cidr)

        def boot(machine_name: str) -> Machine:
            machine = cloud.boot(network, machine_name, project=project, wait=False)
            undo.callback(machine.delete)
            return machine

        began = time.monotonic()
        network = cloud.create_network(project, name, cidr)
        with ThreadPoolExecutor(2) as both:
            one, other = both.map(boot, (f"{name}-one", f"{name}-other"))
        _await_reply(one, other)
        return time.monotonic() - began


def _stretched(federation: Federation, number: int) -> float:
    """Stretch a network with a running machine; seconds until it reaches a machine on the replica in cloud B."""
    a, b, name, cidr = federation.a.cloud, federation.b.cloud, f"expand-{number}", f"10.61.{number}.0/24"
    with ExitStack() as undo:
        tenant = Tenant.create(a, name, cidr)
        undo.callback(tenant.delete)
        local = tenant.boot(f"{name}-a")
        undo.callback(local.delete)
        federation.bind(name, tenant.project.id)
        undo.callback(a.kubectl, "delete", "namespace", name)
        undo.callback(_withdraw, federation, name, tenant.network_id)
        objects = KubernetesCluster(str(b.kube.kubeconfig), "bench")
        began = time.monotonic()
        federation.expand(name, name, tenant.network_id)
        replica = _await_replica(federation, tenant, objects)
        remote = _boot_on_replica(b, replica, f"{name}-b", cidr)
        undo.callback(remote.delete)
        _await_reply(local, remote)
        return time.monotonic() - began


def _await_replica(federation: Federation, tenant: Tenant, objects: KubernetesCluster) -> Any:
    """The replica, as soon as Isthmus has recorded its subnets.

    Neutron is asked once, for this network. It serves one request at a time here, and listing networks takes it longer
    than the pause between two looks: that would slow down what is measured, and Neutron alone is measured without it.
    """
    link_name = federation.link_name(tenant.network_id)

    def network_id() -> str | None:
        attachment = objects.get(Attachment, link_name, SYSTEM_NAMESPACE)
        return attachment.spec.record.network_id if attachment is not None and attachment.spec.record.subnets else None

    found = wait_until(network_id, 60, "the replica's subnets", poll_seconds=POLL_SECONDS)
    return federation.b.cloud.openstack().network.get_network(str(found))


def _boot_on_replica(cloud: Cloud, replica: Any, name: str, cidr: str) -> Machine:
    """Boot as cloud B's administrator: creating a member of the new project first is not part of the measurement."""
    admin = cloud.openstack()
    port = admin.network.create_port(network_id=replica.id, project_id=replica.project_id, name=name)
    admin.network.create_security_group_rule(
        security_group_id=port.security_group_ids[0], direction="ingress", ethertype="IPv4", remote_ip_prefix=cidr
    )
    return cloud.boot(replica, name, project=admin, port=port, wait=False)


def _await_reply(machine: Machine, other: Machine) -> None:
    """Ping without pauses until the other machine answers.

    The kernel repeats an unanswered ARP request after a second, which is as long as what is measured: here after 50 ms.
    """
    machine.place.run(
        "ip ntable change name arp_cache dev eth0 retrans 50; "
        f"until ping -n -q -c 1 -i 0.05 -w 1 {other.address} >/dev/null; do :; done",
        timeout_seconds=REPLY_SECONDS,
    )


def _withdraw(federation: Federation, name: str, network_id: str) -> None:
    federation.a.cloud.kubectl("delete", "networkexpansion", "-n", name, name, "--ignore-not-found")
    wait_until(lambda: federation.replica_of(network_id) is None, 90, "the replica to be deleted")
