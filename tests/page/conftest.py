"""One browser for all tests, and for each the page of a command of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from isthmus.plugin import archive
from tests.fakes.kubectl import FakeKubectl

from .browser import Served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; its sandbox does not work for root."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `make plugin` writes, so that it has the page in it."""
    path = tmp_path_factory.mktemp("plugin") / "kubectl-isthmus"
    path.write_bytes(archive.build())
    return path


@pytest.fixture
def served(plugin: Path, tmp_path: Path) -> Iterator[Served]:
    """The command, without any object in the cluster."""
    running = Served(plugin, FakeKubectl(tmp_path))
    yield running
    running.end()
