"""One real control plane for all tests of this tier, in the network namespace of the tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.examples import load_profile
from tests.testbed.assets import ensure
from tests.testbed.host import netns
from tests.testbed.kubernetes.cluster import ControlPlane

load_profile()

PUBLIC_ADDRESS: Final = "192.0.2.10"
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
def installed(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with Isthmus installed as in docs/install.md."""
    control_plane.kubectl("apply", "--server-side", "-k", str(_DEPLOY))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return control_plane
