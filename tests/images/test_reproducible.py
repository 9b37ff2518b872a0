"""The same inputs yield the same image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from images.build import Builder, build
from tests.images.archive import Archive
from tests.testbed.assets.cache import Cache, default_root
from tests.testbed.assets.workshop import Workshop


@pytest.mark.long
def test_second_build_from_nothing_has_the_same_digest(tmp_path: Path) -> None:
    image = build(["agent"])["agent"]
    again = tmp_path / "again.tar"
    with Workshop(Cache(default_root())) as workshop:
        workshop.submit(partial(Builder(workshop, tmp_path).make, image, again, "--no-cache"))
    assert Archive(again).digest == Archive(image.archive).digest
