"""Cache and builds of the testbed's assets: killed, failing and concurrent builds leave nothing broken."""

import fcntl
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.testbed.assets.cache import Asset, Cache
from tests.testbed.assets.workshop import BuildError, Workshop
from tests.testbed.host.process import wait_until


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def _make(cache: Cache, *scripts: tuple[Asset, str]) -> None:
    with Workshop(cache) as workshop:
        for asset, script in scripts:
            workshop.submit(partial(workshop.build, asset, 1, partial(_run, workshop, asset.name, script)))


def _run(workshop: Workshop, name: str, script: str, directory: Path) -> None:
    workshop.run(name, ["sh", "-c", script], cwd=directory)


def test_asset_is_built_once(cache: Cache) -> None:
    asset = cache.asset("thing", "recipe")
    for _ in range(2):
        _make(cache, (asset, f"echo x >> {cache.root}/built"))
    assert (cache.root / "built").read_text() == "x\n"
    assert cache.asset("thing", "recipe").complete


def test_determinants_of_an_asset_are_delimited(cache: Cache) -> None:
    places = {cache.asset("thing", *parts).directory for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))}
    assert len(places) == 4


def test_failed_build_shows_the_end_of_its_log_and_is_repeated(cache: Cache) -> None:
    asset = cache.asset("thing", "recipe")
    with pytest.raises(BuildError, match="the reason"):
        _make(cache, (asset, "touch partial; echo the reason; exit 3"))
    assert not asset.complete
    _make(cache, (asset, "test ! -e partial"))
    assert asset.complete


def test_failed_build_ends_the_others(cache: Cache) -> None:
    slow, failing = cache.asset("slow"), cache.asset("failing")
    before = time.monotonic()
    with pytest.raises(BuildError, match="failing"):
        _make(cache, (slow, "sleep 30"), (failing, "sleep 0.2; false"))
    assert time.monotonic() - before < 10
    assert not slow.complete


def test_job_waits_for_its_prerequisites(cache: Cache) -> None:
    order: list[str] = []

    def first() -> None:
        time.sleep(0.1)
        order.append("first")

    with Workshop(cache) as workshop:
        before = workshop.submit(first)
        workshop.submit(lambda: order.append("second"), after=[before])
    assert order == ["first", "second"]


def test_concurrent_builds_are_serialised_and_a_killed_build_is_repeated(cache: Cache) -> None:
    asset = cache.asset("thing", "recipe")
    owner = (
        "import sys, time; from pathlib import Path; from tests.testbed.assets.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]))\n"
        "with cache.building(cache.asset('thing', 'recipe')) as missing:\n"
        "    (cache.root / 'held').touch(); time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", owner, cache.root], cwd=Path(__file__).parents[2])
    try:
        wait_until((cache.root / "held").exists, 10, "the other process holds the lock")
        with pytest.raises(BlockingIOError):
            _try_lock(cache.root / "locks" / "thing")
    finally:
        other.kill()
        other.wait()
    assert asset.directory.is_dir()
    assert not asset.complete
    _make(cache, (asset, "touch whole"))
    assert asset.complete


def test_assets_unused_for_long_are_removed(cache: Cache) -> None:
    old, recent = cache.asset("thing", "old"), cache.asset("thing", "recent")
    for asset in (old, recent):
        _make(cache, (asset, "true"))
    long_ago = time.time() - 30 * 24 * 3600
    os.utime(old.directory / ".complete", (long_ago, long_ago))
    _make(cache, (cache.asset("thing", "new"), "true"))
    assert not old.directory.exists()
    assert recent.complete


def _try_lock(path: Path) -> None:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
