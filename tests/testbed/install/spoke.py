"""Cloud C as a further peer of cloud A: networks are stretched there as well as to cloud B, which may peer with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, Manifests, manifest_of, objects
from tests.testbed.install.installation import Installation
from tests.testbed.kubernetes.conditions import wait_for_condition

CONNECTED_SECONDS = 120.0
CHANGED_SECONDS = 120.0

DIRECT, THROUGH = "Direct", "ThroughOrigin"


class Spoke(Federation):
    """Cloud A, as it is in another federation, and cloud C in the place of B."""

    def __init__(self, pair: Federation, cloud: Cloud) -> None:
        super().__init__(pair.lab, pair.assets)
        self.a = self.origin = pair.a
        self.b = self.receiver = Installation(cloud, pair.assets, pair.lab.directory)

    @property
    def policies(self) -> Manifests:
        """That of C: A has its policy already."""
        return ((self.b, manifest_of(self.b.cloud, "policy.yaml")),)

    @property
    def cloud_peers(self) -> Manifests:
        """Those of A and C for each other."""
        return (self.a, manifest_of(self.a.cloud, "peer-c.yaml")), (self.b, manifest_of(self.b.cloud, "peer.yaml"))

    def install(self) -> None:
        """Install and start Isthmus in C."""
        self.b.install()
        self.b.start()
        self.b.wait_until_ready()


class Receivers(Federation):
    """Clouds B and C, which A has both as peers."""

    def __init__(self, pair: Federation, spoke: Spoke) -> None:
        super().__init__(pair.lab, pair.assets)
        self.a = self.origin = pair.b
        self.b = self.receiver = spoke.b

    @property
    def policies(self) -> Manifests:
        """None: both have theirs already."""
        return ()

    @property
    def cloud_peers(self) -> Manifests:
        """Those of B and C for each other."""
        return (self.a, manifest_of(self.a.cloud, "peer-c.yaml")), (self.b, manifest_of(self.b.cloud, "peer-b.yaml"))

    def wait_for_path(self, link_name: str, wanted: str) -> None:
        """Wait until both send frames of a network of A to each other by this path."""
        for side in self.both:
            chosen = partial(_paths, side.cloud, link_name)
            wait_until(lambda: chosen() == {wanted}, CHANGED_SECONDS, f"{side.cloud.cloud_id} to choose {wanted}")  # noqa: B023


def _paths(cloud: Cloud, link_name: str) -> set[str | None]:
    """The paths that the active gateway node has chosen to other receivers of the network."""
    (found,) = [each for each in objects(cloud, "attachments") if each["metadata"]["name"] == link_name]
    nodes = found.get("status", {}).get("nodes", [])
    active = [node for node in nodes if node["node"] == found["spec"].get("activeNode")]
    return {member.get("path") for node in active for member in node.get("members", []) if member["up"]}


def wait_connected(origin: Cloud, name: str, namespace: str) -> None:
    """Wait until all peers of a NetworkExpansion reach each other."""
    wait_for_condition(
        origin, "networkexpansion", name, namespace, "MembersConnected", timeout_seconds=CONNECTED_SECONDS
    )


@contextmanager
def further_cloud(pair: Federation) -> Iterator[Spoke]:
    """Cloud C with Isthmus, which nobody has as a peer, for the duration of the block."""
    with pair.lab.third.up() as cloud:
        spoke = Spoke(pair, cloud)
        spoke.install()
        try:
            yield spoke
        finally:
            spoke.b.stop()
