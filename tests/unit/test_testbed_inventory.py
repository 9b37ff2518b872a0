"""Inventory of a node's Open vSwitch: by names, independent of row IDs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

from tests.testbed.inventory import node as inventory
from tests.testbed.node.node import Node

Table = list[dict[str, Any]]


class _Node:
    """Answers `ovs-vsctl -- list TABLE...` as OVSDB does; no output for other commands."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self._tables = tables

    def run(self, argv: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        message = ""
        if "list" in argv:
            message = "\n".join(self._listed(table) for word, table in pairwise(argv) if word == "list")
        elif argv[:2] == ["ip", "-j"]:
            message = json.dumps([{"ifname": "wan0", "addr_info": [], "flags": ["UP"], "mtu": 1500}])
        return subprocess.CompletedProcess(argv, int(not message), message, "")

    def _listed(self, table: str) -> str:
        rows = self._tables.get(table, [])
        return json.dumps({"headings": list(rows[0]) if rows else [], "data": [list(row.values()) for row in rows]})


def _tables(prefix: str, *, moved: bool = False, mirrored: bool = False) -> dict[str, Table]:
    """Two bridges with one controller; a port of br-int may be moved to br-ex, or mirrored."""

    def uuid(name: str) -> list[str]:
        return ["uuid", f"{prefix}-{name}"]

    def ports(*names: str) -> list[Any]:
        return ["set", [uuid(name) for name in names]] if len(names) != 1 else uuid(names[0])

    def bridge(name: str, *names: str) -> dict[str, Any]:
        mirrors = ports("spy") if mirrored else ports()
        return {
            "_uuid": uuid(name),
            "controller": uuid(f"c-{name}"),
            "name": name,
            "ports": ports(*names),
            "mirrors": mirrors,
        }

    inside, outside = (("a",), ("b", "x")) if moved else (("a", "x"), ("b",))
    led = {"target": "tcp:127.0.0.1:6633", "connection_mode": "out-of-band", "role": prefix}
    mirror = {"_uuid": uuid("spy"), "name": "spy", "output_port": uuid("x")}
    return {
        "Bridge": [bridge("br-int", *inside), bridge("br-ex", *outside)],
        "Port": [{"_uuid": uuid(name), "name": name, "tag": prefix} for name in ("a", "b", "x")],
        "Controller": [{"_uuid": uuid(f"c-{name}"), **led} for name in ("br-int", "br-ex")],
        "Mirror": [mirror] if mirrored else [],
    }


def _sections(tables: dict[str, Table]) -> dict[str, dict[str, Any]]:
    return inventory.sections(cast(Node, _Node(tables)))


def test_renumbered_ports_are_not_a_difference() -> None:
    assert _sections(_tables("1")) == _sections(_tables("2"))


def test_ports_controllers_and_mirrors_are_identified_by_name() -> None:
    found = _sections(_tables("1", mirrored=True))
    (bridge,) = found["ovsdb Bridge"]["br-int"]
    assert bridge == {"name": "br-int", "ports": ["a", "x"], "controller": "tcp:127.0.0.1:6633", "mirrors": "spy"}
    assert len(found["ovsdb Controller"]["tcp:127.0.0.1:6633"]) == 2
    assert found["ovsdb Mirror"] == {"spy": [{"name": "spy", "output_port": "x"}]}
    assert found["link"]["wan0"]["mtu"] == 1500


def test_a_port_on_another_bridge_is_a_difference() -> None:
    before, after = _sections(_tables("1")), _sections(_tables("1", moved=True))
    assert [name for name in before if before[name] != after[name]] == ["ovsdb Bridge"]
