"""A lab: two independent OpenStack clouds on this machine, connected by a WAN, and a third one when it is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from images.build import build as build_images
from tests.testbed import state
from tests.testbed.assembly import Parts, assemble
from tests.testbed.assets import Assets, ensure
from tests.testbed.bringup import BringUp
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.cloud.servers import schemas
from tests.testbed.host import cgroups, netns, process
from tests.testbed.kubelet import workers
from tests.testbed.state import State
from tests.testbed.third import ThirdCloud
from tests.testbed.topology import SITES, Namespaces
from tests.testbed.wan import wiring
from tests.testbed.wan.router import Wan


class Lab:
    """A running lab. The calling process is in its tester namespace and reaches servers and nodes of both clouds."""

    def __init__(self, own_state: State, parts: Parts) -> None:
        self.state = own_state
        self.name = own_state.name
        self.directory = own_state.directory
        self.a: Cloud = parts.clouds["a"].cloud
        self.b: Cloud = parts.clouds["b"].cloud
        self.parts = parts
        """The servers of both clouds, for tests that restart them."""
        self.workers = parts.clouds["a"].workers
        """The nodes of cloud A, if it runs pods."""
        self.third = ThirdCloud(own_state)
        """Runs only for the tests that start it."""
        self.wan = Wan(own_state.namespaces, {"a": self.a.gateway, "b": self.b.gateway}, own_state.directory)

    @property
    def clouds(self) -> tuple[Cloud, Cloud]:
        """Both clouds."""
        return self.a, self.b

    @property
    def c(self) -> Cloud:
        """The third cloud, while it runs."""
        return self.third.cloud

    @classmethod
    def up(
        cls,
        name: str | None = None,
        *,
        assets: Assets | None = None,
        pods: bool = False,
        report: Callable[[str], None] = print,
    ) -> Self:
        """Bring up a new lab and enter its tester namespace; after a failure nothing of it is left.

        With `pods` cloud A has kubelets, and the images of Isthmus on them, instead of a charon.
        """
        assets = assets or ensure(*(("lab", "pods") if pods else ()))
        if pods:
            build_images()
        template = schemas.ensure(assets, state.memory_root(), *SITES.values())
        own_state = State(name or state.new_name(), assets, pods)
        own_state.save()
        try:
            wiring.build(own_state.namespaces)
            netns.enter(own_state.namespaces.tester)
            parts = assemble(own_state)
            BringUp(own_state, parts, template, report).run(abort=lambda: _end_processes(own_state.name))
        except BaseException:
            report(f"failed; logs are kept in {state.keep_logs(own_state.name)}")
            tear_down(own_state.name)
            raise
        return cls(own_state, parts)

    @classmethod
    def attach(cls, name: str | None = None) -> Self:
        """Enter the tester namespace of a running lab: the one named, or the only one."""
        own_state = State.load(name or state.only())
        lab = cls(own_state, assemble(own_state))
        lab.enter()
        return lab

    def enter(self) -> None:
        """Move the calling process into the tester namespace; it must not have started threads yet."""
        if not netns.inside(self.state.namespaces.tester):
            netns.enter(self.state.namespaces.tester)

    def down(self) -> None:
        """Remove the lab."""
        tear_down(self.name)


def tear_down(name: str) -> None:
    """End all processes of a lab, and remove its namespaces and files, even if it came up only partially."""
    _end_processes(name)
    namespaces = Namespaces(name)
    for namespace in namespaces.all():
        netns.destroy(namespace)
    cgroups.remove(workers.cgroup(name))
    state.remove(name)


def _end_processes(name: str) -> None:
    """Without a grace time: the servers' data is discarded anyway."""
    for directory in _process_directories(state.run_directory(name)):
        process.stop(directory, *process.names(directory), grace_seconds=0)


def _process_directories(directory: Path) -> list[Path]:
    return [path.parent for path in directory.glob("**/pids")]
