"""Fixtures of the lab tier: clouds, Isthmus in both."""

import itertools
from collections.abc import Generator, Iterator
from typing import Final

import pytest

from tests.testbed.assets import locate
from tests.testbed.cloud.cloud import Cloud, Project
from tests.testbed.install.federation import Federation
from tests.testbed.lab import Lab
from tests.testbed.workload.machine import Machine

_NUMBERS = itertools.count(1)
# In this order: tests of OpenStack only, while Neutron's DHCP agent is still starting; prerequisites of all others;
# tests that need both clouds in their initial state; tests beside which no network may be stretched, in directories
# that share one; all others; tests with a second gateway node in a cloud; tests with a third cloud; tests that must run
# alone on the machine.
_STAGES = ("openstack", "ports", "untouched", "empty", "shared", "gateways", "third", "alone")
_FEDERATION: Final = pytest.StashKey[Federation]()
_LOGGED_LINES: Final = 100


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by `@pytest.mark.stage(...)`; tests without one are of the stage "shared"."""
    items.sort(key=_stage)


def _stage(item: pytest.Item) -> int:
    marker = item.get_closest_marker("stage")
    return _STAGES.index(marker.args[0] if marker else "shared")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print properties that tests recorded without asserting them, such as losses of Neutron's own restart."""
    for report in terminalreporter.stats.get("passed", []):
        for what, value in report.user_properties:
            terminalreporter.write_line(f"{what}: {value}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the controllers logged last: the lab itself does not outlive the session."""
    report = yield
    federation = item.session.stash.get(_FEDERATION, None)
    for side in federation.both if federation and report.failed else ():
        log = side.log("controller")
        lines = log.read_text(errors="replace").splitlines()[-_LOGGED_LINES:] if log.exists() else []
        report.sections.append((f"log of the controller of {side.cloud.cloud_id}", "\n".join(lines)))
    return report


@pytest.fixture(params=["a", "b"])
def cloud(request: pytest.FixtureRequest, lab: Lab) -> Cloud:
    """Each of the two clouds: ML2/OVN, then ML2/OVS."""
    return {"a": lab.a, "b": lab.b}[request.param]


@pytest.fixture
def project(cloud: Cloud) -> Iterator[Project]:
    """A tenant, deleted with all its resources."""
    project = cloud.create_project(f"lab-{next(_NUMBERS)}")
    yield project
    cloud.delete_project(project)


@pytest.fixture
def machine(cloud: Cloud, project: Project) -> Iterator[Machine]:
    """A machine of that tenant with a static address."""
    network = cloud.create_network(project, "lab", "10.80.0.0/24")
    machine = cloud.boot(network, f"lab-{next(_NUMBERS)}", project=project)
    yield machine
    machine.delete()


@pytest.fixture(scope="session")
def federation(request: pytest.FixtureRequest, lab: Lab) -> Iterator[Federation]:
    """Isthmus in both clouds, not peered."""
    federation = request.session.stash[_FEDERATION] = Federation(lab, locate())
    federation.install()
    try:
        yield federation
    finally:
        for side in federation.both:
            side.stop()


@pytest.fixture(scope="session")
def peers(federation: Federation) -> Iterator[Federation]:
    """Isthmus in both clouds, peered."""
    with federation.unchanged_inventory():
        federation.introduce()
        federation.wait_handed_over()  # tests compare what they find with what they leave
        yield federation
        federation.remove_peers()
