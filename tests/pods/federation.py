"""Two clouds that run Isthmus differently: A in pods, B natively."""

from __future__ import annotations

from tests.pods.installation import PodInstallation
from tests.testbed.assets import Assets
from tests.testbed.install.federation import Federation
from tests.testbed.lab import Lab


class PodFederation(Federation):
    """Both installations."""

    def __init__(self, lab: Lab, assets: Assets) -> None:
        super().__init__(lab, assets)
        if lab.workers is None:
            raise LookupError(f"lab {lab.name} runs no pods")
        self.in_pods = PodInstallation(lab.a, assets, lab.directory, lab.workers)
        self.a = self.origin = self.in_pods
