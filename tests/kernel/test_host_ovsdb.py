"""The view of a real database that is kept up to date row by row is what a new connection reads, whatever changes.

Needs no data path: there is no ovs-vswitchd, and tests write what it would.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.adapters.openvswitch.ovsdb.idl import Idl
from isthmus.model.errors import Conflict, Invalid, NotFound
from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE, PROBE_PORT
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import BridgeView, PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from isthmus.model.tracked import Tracked, TrackedSet, changes
from tests.kernel.openvswitch import sh
from tests.testbed.host.process import wait_until

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
PATCHES = tuple(
    PatchPair(f"isi{index}", f"isc{index}", f"00000000-0000-4000-8000-00000000000{index}", "fa:16:3e:00:00:01")
    for index in range(4)
)
TUNNELS = tuple(
    TunnelPort(f"ist{index}", Vxlan(14789), TunnelEnds("192.0.2.1", f"192.0.2.{index + 2}")) for index in range(2)
)
ALL = Ports(frozenset(TUNNELS), frozenset(PATCHES))
NUMBERS = Numbers({patch.cloud_name: n for n, patch in enumerate(PATCHES, 1)}, {"cloud-b": 1}, 4, 1)
NAMES = (*(p.cloud_name for p in PATCHES), *(p.integration_name for p in PATCHES), *(t.name for t in TUNNELS))
BY_OTHERS = (
    "set Interface {name} ofport={number}",
    "set Interface {name} bfd_status:state=up",
    "set Interface {name} error={number}",
    "clear Interface {name} error",
    "set Interface {name} options:peer=isi{number}",
    "set Interface {name} options:remote_ip=192.0.2.9",
    "set Interface {name} type=vxlan",
    "set Interface {name} external_ids:iface-id=other",
    "set Interface {name} external_ids:ovn-installed=true",
    "clear Port {name} external_ids",
    "set Port {name} external_ids:isthmus-network={number}",
    "del-port {name}",
    "del-port {name} -- add-port br-int {name} -- set Port {name} external_ids:isthmus=patch",
    "add-port br-int machine{number} -- set Interface machine{number} ofport={number}",
    "add-port br-int theirs{number} -- set Interface theirs{number} type=vxlan options:dst_port=1500{number}",
    "del-port machine{number}",
    "add-br other{number}",
    "del-br br-int -- add-br br-int",
    "set Open_vSwitch . external_ids:hostname=host-{number}",
    "clear Bridge br-cloud external_ids",
)


class Database:
    """ovsdb-server."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.socket = directory, f"unix:{directory}/db.sock"
        sh(f"ovsdb-tool create {directory}/conf.db {_SCHEMA}")
        self.start()
        self.vsctl("init -- set Open_vSwitch . external_ids:hostname=host ovs_version=3.1 -- add-br br-int")

    def start(self) -> None:
        words = ["ovsdb-server", f"{self.directory}/conf.db", f"--remote=p{self.socket}", "--unixctl=none"]
        self._process = subprocess.Popen([*words, "--verbose=console:off"])
        wait_until((self.directory / "db.sock").is_socket, 30, "ovsdb-server's socket")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        (self.directory / "db.sock").unlink(missing_ok=True)

    def vsctl(self, arguments: str) -> None:
        """Whatever is not possible changes nothing."""
        words = f"ovs-vsctl --no-wait --timeout=30 --db={self.socket} {arguments}".split()
        subprocess.run(words, capture_output=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Database]:
    server = Database(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def database(server: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[OvsdbDatabase]:
    monkeypatch.setattr(OvsdbDatabase, "_wait_until_applied", lambda *_: None)
    database = OvsdbDatabase(server.socket, 300)
    database.ensure_bridge()
    yield database
    database.close()


def _read(server: Database) -> BridgeView:
    """What a new connection reads."""
    fresh = OvsdbDatabase(server.socket, 300)
    try:
        return fresh.view()
    finally:
        fresh.close()


def _check(server: Database, database: OvsdbDatabase) -> None:
    expected = _read(server)
    wait_until(lambda: database.view() == expected, 20, f"the view to be {expected}, not {database.view()}")
    assert database.view() is database.view()


def _is_made(database: OvsdbDatabase) -> bool:
    with suppress(Conflict):  # until it is seen that the former one is gone
        database.ensure_bridge()
    return database.view().exists


def _change(server: Database, database: OvsdbDatabase, chance: random.Random) -> None:
    number, name = chance.randrange(len(PATCHES)), chance.choice(NAMES)
    match chance.randrange(4):
        case 0:
            patches, tunnels = chance.sample(PATCHES, number), chance.sample(TUNNELS, number % 2)
            database.ensure_bridge()
            database.apply(Ports(frozenset(tunnels), frozenset(patches)), [name])
        case 1:
            database.set_numbers(NUMBERS)
        case _:
            server.vsctl(chance.choice(BY_OTHERS).format(name=name, number=number))


@pytest.mark.parametrize("seed", range(4))
def test_any_changes_are_seen(server: Database, database: OvsdbDatabase, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(25):
        server.vsctl("add-br br-int")
        if not database.view().exists:
            server.vsctl(f"del-br {BRIDGE}")
            wait_until(lambda: _is_made(database), 20, "a bridge of ours")
        if chance.random() < 0.3:
            with suppress(Invalid):
                database.apply(ALL, ())
        for _ in range(chance.randrange(1, 4)):
            with suppress(Conflict, Invalid, NotFound):  # where others have made something of that name
                _change(server, database, chance)
        _check(server, database)


def test_port_that_moves_to_another_bridge_is_a_leftover(server: Database, database: OvsdbDatabase) -> None:
    database.apply(ALL, ())
    port = sh(f"ovs-vsctl --db={server.socket} get Port isc1 _uuid").strip()
    server.vsctl(f"remove Bridge {BRIDGE} ports {port} -- add Bridge {INTEGRATION_BRIDGE} ports {port}")
    _check(server, database)
    assert database.view().leftovers == {"isc1", "isi1"}


def test_ports_of_two_bridges_that_change_places_are_leftovers(server: Database, database: OvsdbDatabase) -> None:
    database.apply(ALL, ())
    database.view()
    here, there = (sh(f"ovs-vsctl --db={server.socket} get Port {name} _uuid").strip() for name in ("isc1", "isi2"))
    moved = f"remove Bridge {BRIDGE} ports {here} -- add Bridge {INTEGRATION_BRIDGE} ports {here}"
    moved += f" -- remove Bridge {INTEGRATION_BRIDGE} ports {there} -- add Bridge {BRIDGE} ports {there}"
    server.vsctl(moved)
    _check(server, database)
    assert database.view().leftovers == {"isc1", "isi1", "isc2", "isi2"}


def test_interfaces_of_two_ports_that_change_places_are_found(server: Database, database: OvsdbDatabase) -> None:
    database.apply(ALL, ())
    database.view()
    one, other = _interfaces(server)
    server.vsctl(f"set Port isc1 interfaces={other} -- set Port isc2 interfaces={one}")
    assert _interfaces(server) == [other, one]
    _check(server, database)


def _interfaces(server: Database) -> list[str]:
    return sh(f"for p in isc1 isc2; do ovs-vsctl --db={server.socket} get Port $p interfaces; done").split()


def test_ports_that_are_recreated_in_one_transaction_are_the_same(server: Database, database: OvsdbDatabase) -> None:
    database.apply(ALL, ())
    database.set_numbers(NUMBERS)
    before = database.view()
    assert before.numbers.networks == NUMBERS.networks
    database.apply(ALL, NAMES)
    _check(server, database)
    assert database.view().ports is before.ports
    assert database.view().numbers.networks == {}  # a number goes with the port


def test_all_rows_are_read_from_time_to_time(database: OvsdbDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    database.apply(ALL, ())
    assert database.view().ports == ALL
    monkeypatch.setattr(Idl, "notify", lambda *_: None)
    database.apply(Ports(), ["isc0", "isi0"])
    assert database.view().ports == ALL, "nothing was missed"
    monkeypatch.setattr("isthmus.adapters.openvswitch.ovsdb.database.monotonic", lambda: time.monotonic() + 300)
    assert database.view().ports == Ports(ALL.tunnels, ALL.patches - {PATCHES[0]})


def test_nothing_has_changed_if_the_database_was_away_only(server: Database, database: OvsdbDatabase) -> None:
    database.apply(ALL, ())
    database.set_numbers(NUMBERS)
    before = database.view()
    server.stop()
    assert database.view() is before
    server.start()
    server.vsctl("set Open_vSwitch . external_ids:hostname=again")
    wait_until(lambda: database.view().hostname == "again", 20, "the new connection")
    after = database.view()
    assert after.ports is before.ports
    assert after.ofport is before.ofport
    assert after.numbers.networks is before.numbers.networks


def test_rows_that_vanish_while_the_database_is_away_are_not_missed(server: Database, database: OvsdbDatabase) -> None:
    database.apply(ALL, ())
    assert database.view().ports == ALL
    server.stop()
    emptied = [{"op": "update", "table": "Bridge", "where": [["name", "==", BRIDGE]], "row": {"ports": ["set", []]}}]
    sh(f"ovsdb-tool transact {server.directory}/conf.db '{json.dumps(['Open_vSwitch', *emptied])}'")
    server.start()
    wait_until(lambda: database.view().ports == Ports(), 20, "the ports to be gone")
    _check(server, database)


def test_a_view_knows_what_has_changed(server: Database, database: OvsdbDatabase) -> None:
    database.apply(Ports(patches=frozenset(PATCHES[:3])), ())
    before = database.view()
    database.apply(Ports(patches=frozenset(PATCHES[3:])), ["isc0"])
    after = database.view()
    assert isinstance(after.ports.patches, TrackedSet)
    assert {*(after.ports.patches.changes_since(before.ports.patches) or ())} == {PATCHES[0], PATCHES[3]}
    database.set_numbers(Numbers(Tracked(after.numbers.networks).updated({"isc3": 7})))
    assert [*(changes(after.numbers.networks, database.view().numbers.networks) or ())] == ["isc3"]
    server.vsctl(f"set Interface {PROBE_PORT} ofport=5")
    wait_until(lambda: database.view().ofport.get(PROBE_PORT) == 5, 20, "the OpenFlow port")
    assert [*(changes(after.ofport, database.view().ofport) or ())] == [PROBE_PORT]
