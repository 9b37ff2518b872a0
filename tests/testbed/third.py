"""The third cloud of a lab: ML2/OVN with OpenStack 2024.1, for as long as a test needs it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.testbed.assembly import Parts, assemble_third
from tests.testbed.bringup import BringUp
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.cloud.servers import schemas
from tests.testbed.host import netns, process
from tests.testbed.node import hosting
from tests.testbed.state import State, memory_root
from tests.testbed.topology import THIRD_SITE
from tests.testbed.wan import wiring


class ThirdCloud:
    """Everything that is not in the other two clouds: its own servers, also of databases, and its own gateway node."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._parts: Parts | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started."""
        return process.alive(self._state.directory / THIRD_SITE.name, "mariadb")

    @property
    def cloud(self) -> Cloud:
        """The cloud. Raises LookupError if it does not run."""
        if not self.running:
            raise LookupError(f"cloud {THIRD_SITE.name} does not run")
        self._parts = self._parts or assemble_third(self._state)
        return self._parts.clouds[THIRD_SITE.name].cloud

    def start(self, report: Callable[[str], None] = print) -> Cloud:
        """Start it, and return when Neutron wires ports; after a failure nothing of it is left but logs."""
        if netns.exists(self._namespace):
            raise RuntimeError(f"there is a cloud {THIRD_SITE.name} already")
        template = schemas.ensure(self._state.assets, memory_root(), THIRD_SITE)
        try:
            wiring.add(self._state.namespaces, THIRD_SITE)
            self._parts = assemble_third(self._state)
            BringUp(self._state, self._parts, template, report).run(abort=self._end_processes)
        except BaseException:
            self.stop()
            raise
        return self.cloud

    def stop(self) -> None:
        """Remove it; its logs are kept as long as the lab is there."""
        self._end_processes()
        if netns.exists(self._namespace):
            hosting.end(THIRD_SITE, namespaces=self._state.namespaces, directory=self._state.directory)
            wiring.remove(self._state.namespaces, THIRD_SITE)
        for path in (self._state.directory / THIRD_SITE.name).rglob("*"):
            if path.suffix != ".log" and not path.is_dir():
                path.unlink()
        shutil.rmtree(self._state.memory / THIRD_SITE.name, ignore_errors=True)
        self._parts = None

    @contextmanager
    def up(self, report: Callable[[str], None] = print) -> Iterator[Cloud]:
        """The cloud for the duration of the block."""
        cloud = self.start(report)
        try:
            yield cloud
        finally:
            self.stop()

    @property
    def _namespace(self) -> str:
        return self._state.namespaces.cloud(THIRD_SITE.name)

    def _end_processes(self) -> None:
        process.stop(self._state.directory, THIRD_SITE.gateway, grace_seconds=0)
        for pids in (self._state.directory / THIRD_SITE.name).rglob("pids"):
            process.stop(pids.parent, *process.names(pids.parent), grace_seconds=0)
