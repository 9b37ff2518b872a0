"""Changes of the Open vSwitch database while other programs write to it, too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase, database
from isthmus.model.errors import Unavailable
from isthmus.model.node.switch import PatchPair, Ports
from tests.kernel.openvswitch import Switch, sh

NODE = "writers"
_WRITERS, _CHANGES = 3, 40


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    sh(f"ip netns add {NODE}")
    switch = Switch(NODE, tmp_path / "switch")
    yield switch
    switch.stop()
    sh(f"ip netns del {NODE}")


@pytest.fixture
def ovsdb(switch: Switch) -> Iterator[OvsdbDatabase]:
    found = OvsdbDatabase(switch.socket, 300)
    yield found
    found.close()


def _patch(number: int) -> Ports:
    return Ports(patches=frozenset({PatchPair("isiwriters", "iscwriters", f"id-{number}", "fa:16:3e:00:00:01")}))


@contextmanager
def _writing(switch: Switch) -> Iterator[None]:
    """Other programs that change something all the time, each waiting for ovs-vswitchd."""
    ended = threading.Event()

    def write(writer: int) -> None:
        count = 0
        while not ended.is_set():
            count += 1
            switch.vsctl(f"set Open_vSwitch . external_ids:writer{writer}={count}")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(_WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_no_change_is_taken_for_lost_because_others_write(switch: Switch, ovsdb: OvsdbDatabase) -> None:
    ovsdb.ensure_bridge()
    with _writing(switch):
        for number in range(_CHANGES):
            ovsdb.apply(_patch(number), ())


def test_a_stopped_switch_is_reported_and_the_view_stays_readable(
    switch: Switch, ovsdb: OvsdbDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        waiting.set()
        go_on.wait()
        time.sleep(seconds)

    monkeypatch.setattr(database, "_TIMEOUT_SECONDS", 2)
    ovsdb.ensure_bridge()
    monkeypatch.setattr(database, "sleep", sleep)
    errors = list[Exception]()

    def apply() -> None:
        try:
            ovsdb.apply(_patch(1), ())
        except Unavailable as error:
            errors.append(error)

    switch.kill("ovs-vswitchd")
    thread = threading.Thread(target=apply)
    thread.start()
    try:
        assert waiting.wait(30)
        assert ovsdb.view().exists
        assert thread.is_alive(), "it is still waiting"
    finally:
        go_on.set()
        thread.join()
    assert [str(error) for error in errors] == ["ovs-vswitchd has not applied a change of its database within 2 s"]
