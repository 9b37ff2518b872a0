"""The two nodes of a cloud that runs pods: one on the host's kernel, and its gateway node."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from images.build import locate
from images.inputs import Target, revision
from tests.testbed.assets.cache import Cache
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host import cgroups
from tests.testbed.kubelet.control import ControlNode
from tests.testbed.kubelet.worker import Worker
from tests.testbed.node.gateway import Gateway
from tests.testbed.state import State
from tests.testbed.topology import PODS_NETWORK

_ON_CONTROL: Final[tuple[Target, ...]] = ("controller",)
_ON_GATEWAY: Final[tuple[Target, ...]] = ("agent", "charon")


def cgroup(lab: str) -> str:
    """Name of the control group of a lab's containers on the host."""
    return f"isthmus-{lab}"


class Workers:
    """Both nodes; the images of Isthmus must have been built (`images.build.build`)."""

    def __init__(self, state: State, cloud: Cloud) -> None:
        self._state = state
        self._sandbox = ControlNode(cloud.site, cloud.directory, cloud.netns)
        self.control = self._worker(cloud, self._sandbox, cgroup_root=f"/{cgroup(state.name)}", pods=PODS_NETWORK)
        self.gateway = self._worker(cloud, cloud.gateway)

    @property
    def both(self) -> tuple[Worker, Worker]:
        """Both nodes."""
        return self.control, self.gateway

    @property
    def version(self) -> str:
        """Tag of the images."""
        return revision("controller").version

    def start_control(self) -> None:
        """Start the node on the host's kernel, with the controller's image."""
        cgroups.create(cgroup(self._state.name))
        self._sandbox.start()
        self.control.start(self._archives(_ON_CONTROL))

    def start_gateway(self) -> None:
        """Make a pod-running node of the running gateway node, with the images of agent and charon."""
        self.gateway.start(self._archives(_ON_GATEWAY))

    def _worker(self, cloud: Cloud, place: ControlNode | Gateway, **options: str) -> Worker:
        address = place.address if isinstance(place, ControlNode) else str(place.site.gateway_address.ip)
        directory = cloud.directory / f"kubelet-{place.name}"
        return Worker(place.name, address, place, cloud.kube, self._state.assets, directory, **options)

    def _archives(self, targets: tuple[Target, ...]) -> list[Path]:
        images = locate(Cache(self._state.assets.root))
        return [images[target].archive for target in targets]
