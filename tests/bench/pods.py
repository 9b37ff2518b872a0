"""Figures of the images, and of Isthmus in pods: one lab whose cloud A has kubelets serves them all."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from images.build import build
from tests.bench import containers, newcomer
from tests.bench.newcomer import Newcomer
from tests.bench.result import Result, at_least, at_most
from tests.images.archive import MAXIMUM_BYTES
from tests.pods import losses
from tests.pods.federation import PodFederation
from tests.testbed.assets import ensure
from tests.testbed.lab import Lab


def measure() -> list[Result]:
    """Everything; brings a lab up and tears it down."""
    assets = ensure("lab", "pods", "helm")
    sizes = images()
    with ExitStack() as undo:
        lab = Lab.up(pods=True, assets=assets)
        undo.callback(lab.down)
        clouds = PodFederation(lab, assets)
        walked = Newcomer(clouds, Path(undo.enter_context(tempfile.TemporaryDirectory())))
        walked.prepare()
        walked.walk()
        memory = list(containers.memory(clouds.in_pods))
        starts = containers.starts(clouds.in_pods)
    return [*sizes, *newcomer.results(walked), *memory, *starts, *lost_pings()]


def images() -> list[Result]:
    """Sizes of the images as registries have them."""
    built = build()
    return [
        at_most(f"image of the {target}, compressed", built[target].archive.stat().st_size / 1e6, "MB", limit / 1e6)
        for target, limit in MAXIMUM_BYTES.items()
    ]


def lost_pings() -> list[Result]:
    """What `make test-pods` has counted with these images."""
    counted = losses.counted()
    found = [at_most(f"pings lost: {event}", count.lost, "pings", 0) for event, count in counted.items()]
    return [*found, at_least("replacements counted by `make test-pods`", len(found), "events", losses.EVENTS)]
