"""Kubernetes, etcd and Helm, which Debian does not have: found on this machine, or built from pinned modules."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.testbed.assets.cache import Asset, Cache
from tests.testbed.assets.workshop import BuildError, Workshop

_MODULES: Final = Path(__file__).parent / "tools"
_SERVERS: Final = ("kube-apiserver", "kube-controller-manager")
# What pods need besides; a kubelet must not be newer than its API server.
_PODS: Final = ("kubelet", "kube-scheduler")
# The oldest release with all used features; older ones on this machine are ignored.
_OLDEST_KUBERNETES: Final = (1, 34)
_OLDEST_ETCD: Final = (3, 5)
# The first release that prints the logs of failed hooks.
_OLDEST_HELM: Final = (3, 18)
_OLDEST: Final = {"etcd": _OLDEST_ETCD, "helm": _OLDEST_HELM}
_VERSION_VARIABLES: Final = "k8s.io/component-base/version"


@dataclass(frozen=True)
class GoTools:
    """Paths of the programs, and which of them have to be built."""

    programs: dict[str, Path]
    kubernetes: Asset | None
    etcd: Asset | None
    helm: Asset | None
    pods: Asset | None


def locate(cache: Cache) -> GoTools:
    """Prefer programs of a suitable version in `$KUBEBUILDER_ASSETS`, then in `$PATH`, to building them."""
    programs = {name: path for name in ("kubectl", "etcd", "helm") if (path := _existing(name)) is not None}
    # A controller manager must have the release of its API server, and so must what runs pods.
    for family in (_SERVERS + _PODS, _SERVERS):
        found = {name: path for name in family if (path := _existing(name)) is not None}
        if len(found) == len(family) and len({_version(path) for path in found.values()}) == 1:
            programs.update(found)
            break
    kubernetes = etcd = helm = pods = None
    absent = [name for name in (*_SERVERS, "kubectl") if name not in programs]
    if absent:
        kubernetes = cache.asset("kubernetes", *_module_files("kubernetes"), " ".join(absent))
        programs.update({name: kubernetes.directory / name for name in absent})
    if "etcd" not in programs:
        etcd = cache.asset("etcd", *_module_files("etcd"))
        programs["etcd"] = etcd.directory / "etcd"
    if "helm" not in programs:
        helm = cache.asset("helm", *_module_files("helm"))
        programs["helm"] = helm.directory / "helm"
    if "kubelet" not in programs:
        pods = cache.asset("kubelet", *_module_files("kubernetes"))
        programs.update({name: pods.directory / name for name in _PODS})
    return GoTools(programs, kubernetes, etcd, helm, pods)


def submit_helm(workshop: Workshop, tools: GoTools) -> None:
    """Build Helm if it is neither on this machine nor in the cache."""
    if tools.helm:
        job = partial(_build_helm, workshop)
        workshop.submit(partial(workshop.build, tools.helm, 540, job, compiles=True))


def submit_pods(workshop: Workshop, tools: GoTools) -> None:
    """Build the kubelet and the scheduler if they are neither on this machine nor in the cache."""
    if tools.pods:
        job = partial(_build_kubernetes, workshop, _PODS)
        workshop.submit(partial(workshop.build, tools.pods, 240, job, compiles=True))


def submit(workshop: Workshop, tools: GoTools) -> None:
    """Build Kubernetes and etcd if they are neither on this machine nor in the cache."""
    if tools.kubernetes:
        asset = tools.kubernetes
        names = [name for name, path in tools.programs.items() if path.parent == asset.directory]
        workshop.submit(partial(workshop.build, asset, 700, partial(_build_kubernetes, workshop, names), compiles=True))
    if tools.etcd:
        workshop.submit(partial(workshop.build, tools.etcd, 60, partial(_build_etcd, workshop), compiles=True))


def _build_kubernetes(workshop: Workshop, names: Sequence[str], directory: Path) -> None:
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in names]
    _build(workshop, "kubernetes", packages, _kubernetes_version_flags(), f"{directory}{os.sep}")


def _build_etcd(workshop: Workshop, directory: Path) -> None:
    _build(workshop, "etcd", ["go.etcd.io/etcd/server/v3"], "", str(directory / "etcd"))


def _build_helm(workshop: Workshop, directory: Path) -> None:
    version = _required_version("helm", r"helm\.sh/helm/v\d+")[1]
    flags = f" -X helm.sh/helm/{version.partition('.')[0]}/internal/version.version={version}"
    package = f"helm.sh/helm/{version.partition('.')[0]}/cmd/helm"
    _build(workshop, "helm", [package], flags, str(directory / "helm"))


def _build(workshop: Workshop, module: str, packages: Sequence[str], flags: str, output: str) -> None:
    if shutil.which("go") is None:
        raise BuildError(f"{module}: Go 1.26 or newer is needed to build it (https://go.dev/dl)")
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w{flags}", "-o", output, *packages]
    workshop.run(module, command, cwd=_MODULES / module, env={"CGO_ENABLED": "0"})


def _kubernetes_version_flags() -> str:
    """Linker flags without which the programs report version v0.0.0-master."""
    version = _required_version("kubernetes", r"k8s\.io/kubernetes")
    values = {"gitVersion": version[1], "gitMajor": version[2], "gitMinor": version[3]}
    return "".join(f" -X {_VERSION_VARIABLES}.{name}={value}" for name, value in values.items())


def _required_version(tool: str, module: str) -> re.Match[str]:
    """Version of a module in the tool's go.mod: groups 1 to 3 are all of it, the major and the minor number."""
    text = (_MODULES / tool / "go.mod").read_text()
    match = re.search(rf"^\s*{module} (v(\d+)\.(\d+)\.\d+)", text, re.MULTILINE)
    if match is None:
        raise BuildError(f"tools/{tool}/go.mod does not require {module}")
    return match


def _module_files(module: str) -> list[bytes]:
    return [(_MODULES / module / name).read_bytes() for name in ("go.mod", "go.sum")]


def _existing(name: str) -> Path | None:
    oldest = _OLDEST.get(name, _OLDEST_KUBERNETES)
    for directory in (os.environ.get("KUBEBUILDER_ASSETS"), None):
        found = shutil.which(name, path=directory)
        version = _version(Path(found)) if found else None
        if found and version and version >= oldest:
            return Path(found)
    return None


def _version(program: Path) -> tuple[int, int] | None:
    arguments = {"kubectl": ["version", "--client"], "helm": ["version"]}.get(program.name, ["--version"])
    answer = subprocess.run([program, *arguments], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\bv?(\d+)\.(\d+)\.\d+", answer)
    return (int(match[1]), int(match[2])) if match else None
