"""Outages of a cloud's own services."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host import netns
from tests.testbed.topology import KUBERNETES_PORT

_TABLE = "outage"


@contextmanager
def kubernetes_api_silent(cloud: Cloud) -> Iterator[None]:
    """Drop every packet to the cloud's API server: connections stay open, and nothing answers."""
    rules = f"type filter hook input priority 0\ntcp dport {KUBERNETES_PORT} drop"
    netns.run(cloud.netns, "nft", f"table inet {_TABLE} {{\nchain input {{\n{rules}\n}}\n}}")
    try:
        yield
    finally:
        netns.run(cloud.netns, "nft", f"delete table inet {_TABLE}")
