"""The images of the current tree."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from images.build import build
from images.inputs import TARGETS, Target
from tests.images.archive import Archive


@functools.cache
def _archive(target: Target) -> Archive:
    return Archive(build([target])[target].archive)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    """Each image in turn."""
    chosen: Target = request.param
    return chosen


@pytest.fixture
def archives() -> Callable[[Target], Archive]:
    """The content of any image."""
    return _archive


@pytest.fixture
def archive(target: Target) -> Archive:
    """Its content."""
    return _archive(target)
