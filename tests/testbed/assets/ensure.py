"""Find, download or build everything that a tier of tests needs."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from tests.testbed.assets import environments, gotools, kernel, packages, pause
from tests.testbed.assets.cache import Asset, Cache, default_root
from tests.testbed.assets.workshop import Workshop

Subset = Literal[
    "development",
    "packages",
    "processes",
    "kubernetes",
    "kernel",
    "helm",
    "images",
    "monitoring",
    "page",
    "pods",
    "lab",
]
APART: Final[tuple[Subset, ...]] = ("helm", "images", "monitoring", "page", "pods")
"""What `lab` does not contain."""


@dataclass(frozen=True)
class Assets:
    """Paths of all assets; only those of the requested subsets are sure to exist."""

    root: Path
    """The cache, in which other modules may keep assets of their own."""
    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path
    etcd: Path
    helm: Path
    kubelet: Path
    kube_scheduler: Path
    pause_image: Path
    """OCI archive of the container that holds a pod's namespaces."""
    uml_kernel: Path | None
    """None if the host's kernel has openvswitch and ESP."""
    openstack_a: Path
    openstack_b: Path
    controller_env: Path
    agent_env: Path
    development_env: Path

    def openstack(self, release: str) -> Path:
        """The environment of an OpenStack release."""
        return {"newest": self.openstack_a, "2024.1": self.openstack_b}[release]


def ensure(*subsets: Subset) -> Assets:
    """Provide these subsets (by default `lab`, which is all but those in APART), and return the paths.

    Of `images` only the packages that building them needs: images/build.py. `monitoring` is Prometheus with promtool.
    `page` is a browser.
    Raises BuildError, with the end of the log, if something cannot be built.
    """
    wanted = subsets or ("lab",)
    cache = Cache(default_root())
    with Workshop(cache) as workshop:
        # Packages first, because other builds need them; then the longest builds.
        ready = [workshop.submit(partial(packages.install, workshop, _package_lists(wanted)))]
        if _any(wanted, "kubernetes", "lab"):
            gotools.submit(workshop, gotools.locate(cache))
        if _any(wanted, "helm"):
            gotools.submit_helm(workshop, gotools.locate(cache))
        if "pods" in wanted:
            gotools.submit_pods(workshop, gotools.locate(cache))
            workshop.submit(partial(pause.build, workshop), after=ready)
        if _any(wanted, "development", "lab"):
            environments.development(cache).submit(workshop, after=ready)
        if _any(wanted, "kernel", "lab"):
            workshop.submit(partial(_ensure_kernel, workshop), after=ready)
        if _any(wanted, "processes", "lab"):
            for environment in environments.processes(cache):
                environment.submit(workshop, after=ready)
        if "lab" in wanted:
            for environment in environments.clouds(cache):
                environment.submit(workshop, after=ready)
    return locate()


def locate() -> Assets:
    """Return the paths of all assets without building anything."""
    cache = Cache(default_root())
    programs = gotools.locate(cache).programs
    openstack_a, openstack_b = environments.clouds(cache)
    controller, agent = environments.processes(cache)
    return Assets(
        root=cache.root,
        kube_apiserver=programs["kube-apiserver"],
        kube_controller_manager=programs["kube-controller-manager"],
        kubectl=programs["kubectl"],
        etcd=programs["etcd"],
        helm=programs["helm"],
        kubelet=programs["kubelet"],
        kube_scheduler=programs["kube-scheduler"],
        pause_image=pause.locate(cache),
        uml_kernel=None if kernel.host_suffices() else kernel.user_mode_linux(cache).directory / "linux",
        openstack_a=openstack_a.path,
        openstack_b=openstack_b.path,
        controller_env=controller.path,
        agent_env=agent.path,
        development_env=environments.development(cache).path,
    )


def _any(wanted: Collection[Subset], *of_these: Subset) -> bool:
    return any(subset in of_these for subset in wanted)


def _package_lists(wanted: Collection[Subset]) -> list[str]:
    lists = []
    if find_spec("ensurepip") is None:
        lists.append("development")
    if _any(wanted, "kubernetes", "lab"):
        lists.append("kubernetes")
    if _any(wanted, "packages", "kernel", "lab"):
        lists.append("lab")
    # Lists of the same name, which no other subset needs.
    lists += [subset for subset in ("images", "monitoring", "page", "pods") if subset in wanted]
    return lists


def _ensure_kernel(workshop: Workshop) -> None:
    uml: Asset = kernel.user_mode_linux(workshop.cache)
    if kernel.host_suffices():
        return
    if not uml.complete:
        packages.install(workshop, ["kernel"])
    kernel.build(workshop, uml)
