"""Waiting for a condition of an object in a cloud's Kubernetes API."""

import time
from typing import Final

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.kubernetes.cluster import KubectlError

_ATTEMPT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.3


def wait_for_condition(
    cloud: Cloud, kind: str, name: str, namespace: str | None = None, type_: str = "Ready", *, timeout_seconds: float
) -> None:
    """Wait until a condition is True of the object's current generation; there may be no such object yet.

    kubectl watches the object: asking again and again would take time of the processor that the operator needs.
    """
    where = ["-n", namespace] if namespace else []
    deadline = time.monotonic() + timeout_seconds
    while (left := deadline - time.monotonic()) > 0:
        limit = f"--timeout={min(left, _ATTEMPT_SECONDS):.1f}s"
        try:
            cloud.kubectl("wait", f"{kind}/{name}", *where, f"--for=condition={type_}", limit)
        except KubectlError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    what = f"{kind} {name} of {cloud.cloud_id}: condition {type_}"
    raise TimeoutError(f"{what} not seen within {timeout_seconds:g} s")
