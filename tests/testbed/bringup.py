"""Starts all parts of a lab, in parallel where possible; the guests first, because they take longest."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.testbed.assembly import CloudParts, Parts
from tests.testbed.cloud import nodes
from tests.testbed.cloud.servers import registration, schemas
from tests.testbed.host.process import wait_until
from tests.testbed.kubelet.workers import Workers
from tests.testbed.node.backend import OvsAgents
from tests.testbed.state import State

_THREADS: Final = 16
Task = Future[None]


class BringUp:
    """Brings up one lab; `report` is called for every part that is up."""

    def __init__(self, state: State, parts: Parts, template: Path, report: Callable[[str], None]) -> None:
        self._state = state
        self._parts = parts
        self._template = template
        self._report = report
        self._began = time.monotonic()
        self._pool = ThreadPoolExecutor(_THREADS)
        self._tasks: list[Task] = []

    def run(self, abort: Callable[[], None]) -> None:
        """Start everything; after the first failure `abort` ends the processes, so that no wait has to time out."""
        try:
            self._submit_all()
            done, _ = wait(self._tasks, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()
        except BaseException:
            abort()
            raise
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _submit_all(self) -> None:
        clouds = self._parts.clouds.values()
        guests = {parts.cloud.name: self._submit(self._start_guest, parts) for parts in clouds}
        database = self._submit(self._start_database)
        for parts in clouds:
            parts.keystone.configure()
            parts.neutron.configure()
            messages = self._submit(self._start_messages, parts)
            after = () if isinstance(parts.cloud.gateway.back_end, OvsAgents) else (messages,)
            back_end = self._submit(self._start_back_end, parts, after=(guests[parts.cloud.name], *after))
            keystone = self._submit(self._start_keystone, parts, after=(database,))
            neutron = self._submit(self._start_neutron, parts, after=(database, messages))
            self._submit(self._await_back_end, parts, after=(keystone, neutron, back_end))
            kubernetes = self._submit(self._start_kubernetes, parts)
            if parts.workers:
                guest = guests[parts.cloud.name]
                self._submit(self._start_control_node, parts, parts.workers, after=(kubernetes,))
                self._submit(self._start_gateway_node, parts, parts.workers, after=(guest, kubernetes))

    def _submit(self, work: Callable[..., None], *arguments: Any, after: tuple[Task, ...] = ()) -> Task:
        def run() -> None:
            for task in after:
                task.result()
            work(*arguments)

        self._tasks.append(self._pool.submit(run))
        return self._tasks[-1]

    def _start_guest(self, parts: CloudParts) -> None:
        nodes.boot(self._state, parts.cloud.gateway)
        self._report_part(parts, f"{parts.cloud.gateway.name} with Open vSwitch")

    def _start_back_end(self, parts: CloudParts) -> None:
        parts.cloud.gateway.back_end.start()
        if not parts.workers:
            parts.cloud.gateway.charon.start()
            self._report_part(parts, "charon, and Neutron's back end begun")

    def _start_database(self) -> None:
        schemas.unpack(self._template, self._parts.database)
        self._parts.database.start()

    def _start_messages(self, parts: CloudParts) -> None:
        server = parts.ovn or parts.broker
        if server:
            server.start()
            self._report_part(parts, "OVN's databases" if parts.ovn else "RabbitMQ")

    def _start_keystone(self, parts: CloudParts) -> None:
        parts.keystone.start()
        passwords = self._state.passwords[parts.cloud.name]
        registration.register(
            parts.cloud.site,
            admin_password=passwords.admin,
            neutron_password=passwords.neutron,
            operator_password=passwords.operator,
        )
        self._report_part(parts, "Keystone")

    def _start_neutron(self, parts: CloudParts) -> None:
        parts.neutron.start()
        self._report_part(parts, "Neutron")

    def _start_kubernetes(self, parts: CloudParts) -> None:
        cloud = parts.cloud
        cloud.kube.start()
        if not parts.workers:
            nodes.register(cloud, cloud.gateway)
        self._report_part(parts, "Kubernetes")

    def _start_control_node(self, parts: CloudParts, workers: Workers) -> None:
        workers.start_control()
        self._report_part(parts, f"{workers.control.name} with a kubelet")

    def _start_gateway_node(self, parts: CloudParts, workers: Workers) -> None:
        workers.start_gateway()
        self._report_part(parts, f"{workers.gateway.name} with a kubelet")

    def _await_back_end(self, parts: CloudParts) -> None:
        back_end, admin = parts.cloud.gateway.back_end, parts.cloud.openstack()
        if isinstance(back_end, OvsAgents):
            wait_until(partial(back_end.known, admin), 240, "reports of Neutron's agents", poll_seconds=1)
        wait_until(partial(back_end.ready, admin), 240, f"back end of {parts.cloud.gateway.name}", poll_seconds=1)
        if isinstance(back_end, OvsAgents):
            self._warm_dhcp(parts)
        # A project gets its default security group with the first query: before anybody takes an inventory.
        list(parts.cloud.operator().network.security_groups())
        self._report_part(parts, "Neutron's back end")

    def _warm_dhcp(self, parts: CloudParts) -> None:
        """Give the agent a network early: for the first one it starts helpers, which takes a minute in a guest."""
        parts.cloud.create_network(parts.cloud.openstack(), "dhcp-warm-up", "198.18.255.0/24", gateway_ip=None)

    def _report_part(self, parts: CloudParts, what: str) -> None:
        self._report(f"{time.monotonic() - self._began:6.1f} s  cloud {parts.cloud.name}: {what}")
