"""Waiting for conditions with `kubectl wait`."""

from typing import cast

import pytest

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.kubernetes.cluster import KubectlError
from tests.testbed.kubernetes.conditions import wait_for_condition


class Cluster:
    """A cloud whose kubectl fails a number of times."""

    cloud_id = "cloud-a"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked: list[tuple[str, ...]] = []

    def kubectl(self, *arguments: str) -> str:
        self.asked.append(arguments)
        if len(self.asked) <= self.failures:
            raise KubectlError("NotFound")
        return ""


def test_object_that_is_not_there_yet_is_waited_for() -> None:
    cluster = Cluster(failures=1)
    wait_for_condition(cast(Cloud, cluster), "attachment", "web", "shop", timeout_seconds=30)
    assert len(cluster.asked) == 2
    assert cluster.asked[-1][:5] == ("wait", "attachment/web", "-n", "shop", "--for=condition=Ready")


def test_error_names_what_was_awaited() -> None:
    with pytest.raises(TimeoutError, match=r"cloudpeer cloud-b of cloud-a: condition Drained not seen within 0\.01 s"):
        wait_for_condition(cast(Cloud, Cluster(9)), "cloudpeer", "cloud-b", type_="Drained", timeout_seconds=0.01)
