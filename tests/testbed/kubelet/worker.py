"""containerd and the kubelet of one node."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testbed.assets import Assets
from tests.testbed.host.process import wait_until
from tests.testbed.kubelet import configuration
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.node.node import Place

_PREPARE: Final = Path(__file__).with_name("prepare.sh")
_CONTAINERD: Final = "containerd"
_KUBELET: Final = "kubelet"
_IMPORT_SECONDS: Final = 600.0
_READY_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Worker:
    """A node that runs pods; `place` is where its processes run.

    Its files are in `directory`, which the node sees at the same path; `pods` is the network of its pods, if they have
    one besides the host's.
    """

    name: str
    address: str
    place: Place
    plane: ControlPlane
    assets: Assets
    directory: Path
    cgroup_root: str = ""
    pods: str | None = None

    def start(self, images: Iterable[Path]) -> None:
        """Start everything, with these images (OCI archives), and wait until the node is ready."""
        self.start_containerd()
        for image in (self.assets.pause_image, *images):
            self.import_image(image)
        self.start_kubelet()
        self.wait_ready()

    def start_containerd(self) -> None:
        """Prepare the node and start containerd."""
        self._configure()
        self.place.run([str(_PREPARE)])
        self.place.spawn([_CONTAINERD, "--config", self.directory / "containerd.toml"], _CONTAINERD)
        wait_until(lambda: self.ctr("version", check=False), 180, f"containerd on {self.name}")

    def import_image(self, archive: Path) -> None:
        """Import an image into containerd, which then never pulls it."""
        self.ctr("images", "import", str(archive), timeout_seconds=_IMPORT_SECONDS)

    def tag(self, image: str, other: str) -> None:
        """Give an image a second name."""
        self.ctr("images", "tag", image, other)

    def ctr(self, *arguments: str, check: bool = True, timeout_seconds: float = 60.0) -> str:
        """Run containerd's client, and return its output; empty if it failed and `check` is not set."""
        done = self.place.run(
            ["ctr", "--namespace", "k8s.io", *arguments], check=check, timeout_seconds=timeout_seconds
        )
        return "" if done.returncode else done.stdout

    def start_kubelet(self) -> None:
        """Start or restart the kubelet."""
        argv: list[str | Path] = [
            self.assets.kubelet,
            f"--config={self.directory / 'kubelet.yaml'}",
            f"--kubeconfig={self.directory / 'kubeconfig'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            f"--root-dir={configuration.ROOT}",
            "--v=2",
        ]
        self.place.spawn(argv, _KUBELET)

    def kill_kubelet(self) -> None:
        """Kill the kubelet; containers are children of containerd's shims, and stay."""
        self.place.kill(_KUBELET, signal.SIGKILL)
        wait_until(lambda: not self.place.alive(_KUBELET), 60, f"end of the kubelet of {self.name}")

    def wait_ready(self) -> None:
        """Wait until Kubernetes considers the node ready."""
        ready = '{.status.conditions[?(@.type=="Ready")].status}'
        ask = ("get", "node", self.name, "--ignore-not-found", "-o", f"jsonpath={ready}")

        def is_ready() -> bool:
            if not self.place.alive(_KUBELET):
                raise RuntimeError(f"the kubelet of {self.name} ended, see {self.place.log(_KUBELET)}")
            return self.plane.kubectl(*ask) == "True"

        wait_until(is_ready, _READY_SECONDS, f"node {self.name} to be ready", poll_seconds=0.3)

    def _configure(self) -> None:
        cni = self.directory / "cni"
        cni.mkdir(parents=True, exist_ok=True)
        (cni / "pods.conflist").write_text(configuration.network(self.pods))
        (self.directory / "containerd.toml").write_text(configuration.containerd(cni))
        identity = self.plane.node_identity(self.name, self.address, self.directory / "kubeconfig")
        text = configuration.kubelet(
            authority=self.plane.ca_certificate,
            certificate=identity.certificate,
            key=identity.key,
            cgroup_root=self.cgroup_root,
        )
        (self.directory / "kubelet.yaml").write_text(text)
