"""An OpenStack that cannot be used is one condition and one line of the log, and tenants read nothing internal."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, wait_reason
from tests.testbed.install.installation import RESYNC_SECONDS, Installation
from tests.testbed.workload.tenant import Tenant

NAMESPACE = "unlucky"
NAMES = ("one", "two", "three")
WRONG_PASSWORD = "wrong-5d0f7c"

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def namespace(peers: Federation) -> Iterator[str]:
    """Of a tenant whose NetworkExpansions name networks that do not exist."""
    tenant = Tenant.create(peers.a.cloud, NAMESPACE, "10.71.0.0/28")
    peers.bind(NAMESPACE, tenant.project.id)
    yield NAMESPACE
    peers.a.cloud.kubectl("delete", "namespace", NAMESPACE)
    tenant.delete()


@pytest.fixture
def expand(peers: Federation, namespace: str) -> Iterator[Callable[[], None]]:
    """Applies several, so that a failure that is logged for each of them is seen."""

    def apply() -> None:
        for name in NAMES:
            manifest = {
                "apiVersion": "isthmus.cloud/v1alpha1",
                "kind": "NetworkExpansion",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"networkID": str(uuid.uuid4()), "peers": [{"name": "cloud-b"}]},
            }
            peers.a.cloud.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    yield apply
    where = ("-n", namespace, "--timeout=60s", "--ignore-not-found")
    peers.a.cloud.kubectl("delete", "networkexpansion", *NAMES, *where)
    peers.settle()


def available(side: Installation) -> dict[str, Any]:
    return condition(side.cloud, "cloudpeer", "cloud-b", type_="OpenStackAvailable")


def changed(side: Installation, change: Change) -> str:
    """The clouds file with its entry changed."""
    document = json.loads(side.clouds_file.read_text())
    change(document["clouds"])
    return json.dumps(document)


def log_since(side: Installation, begin: int) -> list[str]:
    """Lines of the controller's log about OpenStack as a whole."""
    lines = side.log("controller").read_text()[begin:].splitlines()
    return [line for line in lines if ": OpenStack unavailable: " in line or ": OpenStack available again " in line]


@pytest.mark.parametrize(
    ("change", "reason", "cause"),
    [
        (
            lambda clouds: clouds["isthmus"]["auth"].update(password=WRONG_PASSWORD),
            "Forbidden",
            "the credential was rejected",
        ),
        (
            lambda clouds: clouds["isthmus"]["auth"].update(auth_url="http://127.0.0.1:1/v3"),
            "Unavailable",
            "Unable to establish connection",
        ),
        (lambda clouds: clouds.update(other=clouds.pop("isthmus")), "Invalid", "there is no such entry"),
    ],
    ids=["password", "keystone", "entry"],
)
def test_unusable_openstack_is_one_condition_and_one_line(
    peers: Federation, expand: Callable[[], None], change: Change, reason: str, cause: str
) -> None:
    side, cloud = peers.a, peers.a.cloud
    begin = len(side.log("controller").read_text())
    with side.wrong_clouds_file(changed(side, change)):
        wait_until(lambda: available(side).get("status") == "False", 60, "the condition")
        found = available(side)
        assert found["reason"] == reason
        assert found["message"].startswith(f"clouds file {side.clouds_file}, entry isthmus: ")
        assert cause in found["message"]
        expand()
        for name in NAMES:
            message = wait_reason(cloud, "networkexpansion", name, reason, NAMESPACE)["message"]
            assert message.endswith("The administrators of this cloud see the details.")
            assert not any(internal in message for internal in ("http", "yaml", cause))
        assert condition(cloud, "cloudpeer", "cloud-b")["status"] == "True", "the agreement needs no OpenStack"
        time.sleep(RESYNC_SECONDS + 1)
        (line,) = log_since(side, begin)
        assert f"OpenStack unavailable: {found['message']}" in line
    wait_until(lambda: available(side)["status"] == "True", 60, "the end of the condition")
    for name in NAMES:
        wait_reason(cloud, "networkexpansion", name, "NetworkNotFound", NAMESPACE)
    assert "OpenStack available again after " in log_since(side, begin)[-1]
    assert WRONG_PASSWORD not in side.log("controller").read_text()


def test_missing_clouds_file_is_reported_at_the_start(peers: Federation) -> None:
    side = peers.a
    begin = len(side.log("controller").read_text())
    with side.wrong_clouds_file(None):
        side.stop_process("controller")
        side.start_controller()
        text = f"clouds file {side.clouds_file}, entry isthmus: the file cannot be read: No such file or directory"
        wait_until(lambda: available(side).get("message") == text, 60, "the condition")
        (line,) = log_since(side, begin)
        assert f"OpenStack unavailable: {text}" in line
        assert side.alive("controller")
    wait_until(lambda: available(side)["status"] == "True", 60, "the file to be read without a restart")
    peers.wait_for_peers()
