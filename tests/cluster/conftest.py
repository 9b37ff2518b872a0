"""One real control plane for all tests of this tier, in the network namespace of the tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from isthmus.model.api.kinds import KINDS
from tests.examples import load_profile
from tests.testbed.assets import ensure
from tests.testbed.host import netns
from tests.testbed.kubernetes.cluster import ControlPlane

load_profile()

PUBLIC_ADDRESS: Final = "192.0.2.10"
SECOND_ADDRESS: Final = "198.51.100.10"
_ROUTER: Final = "198.51.100.1"
_DEPLOY: Final = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A running control plane; clients in this process reach it on its loopback address, and on one that is none."""
    addresses = ("127.0.0.1", PUBLIC_ADDRESS)
    plane = ControlPlane(ensure("kubernetes"), tmp_path_factory.mktemp("control-plane"), addresses=addresses)
    with netns.anonymous():
        netns.batch(f"address add {PUBLIC_ADDRESS}/32 dev lo")
        try:
            plane.start()
            yield plane
        finally:
            plane.stop()


@pytest.fixture(scope="session")
def second_plane(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Another API server with Isthmus, in a network namespace of its own behind a link."""
    del control_plane  # it puts the tests, and the other end of the link, into their network namespace
    directory, namespace = tmp_path_factory.mktemp("second-plane"), f"isthmus-second-{os.getpid()}"
    plane = ControlPlane(ensure("kubernetes"), directory, addresses=(SECOND_ADDRESS,), netns=namespace)
    netns.create(namespace)
    try:
        netns.batch(f"link add second type veth peer name eth0 netns {namespace}")
        netns.batch(f"address add {_ROUTER}/24 dev second\nlink set second up")
        netns.batch(f"address add {SECOND_ADDRESS}/24 dev eth0\nlink set eth0 up", namespace)
        plane.start()
        install(plane)
        yield plane
    finally:
        plane.stop()
        netns.destroy(namespace)


@pytest.fixture(scope="session")
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with Isthmus installed as in docs/install.md."""
    install(control_plane)
    return control_plane


def install(plane: ControlPlane) -> None:
    """Install Isthmus as in docs/install.md."""
    plane.kubectl("apply", "--server-side", "-k", str(_DEPLOY))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    # As long as the API server initialises their storage, requests that nobody repeats fail (429).
    plane.wait_served(*(kind.registration.plural for kind in KINDS))
