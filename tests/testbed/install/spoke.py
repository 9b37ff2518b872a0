"""A further peer of cloud A: its networks are stretched there as well as to cloud B, which does not know of it."""

import tempfile

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.install.federation import MANIFESTS, Federation
from tests.testbed.install.installation import Installation


class Spoke(Federation):
    """Cloud A, as it is in another federation, and a further cloud in the place of B."""

    def __init__(self, pair: Federation, cloud: Cloud) -> None:
        super().__init__(pair.lab, pair.assets)
        self.a = self.origin = pair.a
        self.b = self.receiver = Installation(cloud, pair.assets, pair.lab.directory)

    def install(self) -> None:
        """Install and start Isthmus in the further cloud."""
        self.b.install()
        self.b.start()
        self.b.wait_until_ready()

    def introduce(self) -> None:
        """Peer both clouds. A has its policy already."""
        self.b.cloud.kubectl("apply", "-f", str(MANIFESTS / "cloud-b" / "policy.yaml"))
        self.agree()
        self.apply("peer.yaml")
        self.wait_for_peers()

    def apply(self, file: str) -> None:
        """Apply a manifest of the demo on both sides, with the further cloud in the place of B."""
        before, now = self.lab.b.site, self.b.cloud.site
        manifest = (MANIFESTS / "cloud-a" / file).read_text()
        manifest = manifest.replace(before.cloud_id, now.cloud_id).replace(str(before.wan), str(now.wan))
        self.a.cloud.kubectl("apply", "-f", "-", input=manifest)
        self.b.cloud.kubectl("apply", "-f", str(MANIFESTS / "cloud-b" / file))

    def end_agreement(self) -> None:
        """Revoke the agreement on both sides; A keeps its policy."""
        for ours, theirs in ((self.a, self.b), (self.b, self.a)):
            with tempfile.TemporaryDirectory() as directory:
                ours.isthmus("revoke", theirs.cloud.cloud_id, "--yes", directory=directory)
        self.b.cloud.kubectl("delete", "-f", str(MANIFESTS / "cloud-b" / "policy.yaml"))
