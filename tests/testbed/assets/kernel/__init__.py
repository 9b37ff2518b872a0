"""The kernel of the gateway nodes: the host's if it has openvswitch and ESP, otherwise User Mode Linux."""

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Final

from tests.testbed.assets.cache import Asset, Cache
from tests.testbed.assets.workshop import BuildError, Workshop

_HERE: Final = Path(__file__).parent
_CONFIG: Final = _HERE / "config"
_MONOTONIC_OFFSET: Final = _HERE / "monotonic_offset.c"
_SOURCE_PACKAGE: Final = "linux-source-6.12"
_USUAL_SECONDS: Final = 420.0
# Tried in a network namespace that ends with the shell.
_TRIAL: Final = """
set -e
ip link set lo up
modprobe --quiet --all openvswitch vxlan esp4 || true
ovs-dpctl add-dp isthmus-trial
ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode transport \
  aead 'rfc4106(gcm(aes))' 0x0123456789012345678901234567890123456789012345678901234567890123456789ab 128
ip link add trial type vxlan external dstport 14789
nft 'add table netdev isthmus-trial'
"""


def host_suffices() -> bool:
    """Whether nodes can be plain network namespaces of this machine."""
    if shutil.which("ovs-dpctl") is None or os.geteuid() != 0:
        return False
    trial = subprocess.run(["unshare", "--net", "sh", "-c", _TRIAL], capture_output=True, check=False)
    return trial.returncode == 0


def user_mode_linux(cache: Cache) -> Asset:
    """The kernel as a program, named `linux` in its directory."""
    return cache.asset("kernel", _SOURCE_PACKAGE, _CONFIG.read_bytes(), _MONOTONIC_OFFSET.read_bytes())


def build(workshop: Workshop, asset: Asset) -> None:
    """Build the kernel from Debian's source package, unless it is in the cache."""
    workshop.build(asset, _USUAL_SECONDS, partial(_build, workshop, asset.name), compiles=True)


def _build(workshop: Workshop, name: str, directory: Path) -> None:
    archive = Path(f"/usr/src/{_SOURCE_PACKAGE}.tar.xz")
    source = directory / _SOURCE_PACKAGE
    workshop.run(name, ["tar", "--extract", "--file", archive], cwd=directory)
    shutil.copy(_MONOTONIC_OFFSET, source / "arch/um/kernel")
    with (source / "arch/um/kernel/Makefile").open("a") as makefile:
        makefile.write(f"obj-y += {_MONOTONIC_OFFSET.stem}.o\n")
    make = ["make", "--silent", "ARCH=um"]
    workshop.run(name, [*make, f"KCONFIG_ALLCONFIG={_CONFIG}", "allnoconfig"], cwd=source)
    _check(source / ".config")
    workshop.run(name, [*make, f"--jobs={os.cpu_count()}", "linux"], cwd=source)
    workshop.run(name, ["strip", "-o", directory / "linux", source / "linux"])
    shutil.copy(source / ".config", directory / "config")
    shutil.rmtree(source)


def _check(config: Path) -> None:
    """Kconfig silently drops options with missing dependencies."""
    actual = frozenset(config.read_text().splitlines())
    wanted = [line for line in _CONFIG.read_text().splitlines() if line.startswith("CONFIG_")]
    dropped = [line for line in wanted if line not in actual and not line.endswith("=n")]
    if dropped:
        raise BuildError(f"the kernel's configuration dropped {' '.join(dropped)}")
