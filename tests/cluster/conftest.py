"""One real control plane for all tests of this tier, in the network namespace of the tests."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.testbed.assets import ensure
from tests.testbed.kubernetes.cluster import ControlPlane

_CLONE_NEWNET: Final = 0x40000000
_DEPLOY: Final = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane; clients in this process reach it on its loopback address."""
    plane = ControlPlane(ensure("kubernetes"), tmp_path_factory.mktemp("control-plane"))
    with _own_network():
        try:
            plane.start()
            yield plane
        finally:
            plane.stop()


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with Isthmus installed as in docs/install.md."""
    control_plane.kubectl("apply", "--server-side", "-k", str(_DEPLOY))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return control_plane


@contextmanager
def _own_network() -> Iterator[None]:
    """Move this thread, and all its children, into an anonymous network namespace that ends with the last of them.

    The servers thus do not listen in the host's namespace, and pytest can reach them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as before:
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot create a network namespace: not root")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        try:
            yield
        finally:
            if libc.setns(before.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
