"""Reads a view from the rows of the database; of thousands of ports, only those whose rows have changed.

To read all columns of a row takes a tenth of a millisecond. That adds up for each observation of a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ovs.db.data import Atom

from isthmus.model.names import BRIDGE, OWNER_KEY, PROBE_PORT
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import BridgeView
from isthmus.model.node.tunnel import Gre
from isthmus.model.tracked import Tracked

from .index import Interface, InterfaceIndex
from .numbers import network_number, read_numbers

# Open vSwitch's default UDP ports (ovs-vswitchd.conf.db(5)).
_DEFAULT_UDP_PORTS = {"vxlan": 4789, "geneve": 6081, "lisp": 4341, "stt": 7471, "gtpu": 2152}


@dataclass(frozen=True)
class _Port:
    """Any port on any bridge."""

    name: str
    bridge: str
    is_ours: bool
    number: int
    """Of its network; 0 if it has none."""
    interfaces: frozenset[UUID]


class Replica:
    """What the rows say. The caller holds the lock that keeps them from changing."""

    def __init__(self, tables: Mapping[str, Any], bfd_interval_milliseconds: int) -> None:
        self._tables = tables
        self._bfd_interval_milliseconds = bfd_interval_milliseconds
        self._view: BridgeView | None = None
        self._is_complete = self._is_read = False
        self._index = InterfaceIndex(bfd_interval_milliseconds)
        self._networks: Tracked[str, int] = Tracked()
        """Numbers of networks by the port on br-cloud."""
        self._clear()

    def view(self, changed: set[tuple[str, UUID]]) -> BridgeView:
        """What the database has; the same object as before if it is the same."""
        self.refresh(changed)
        if self._view is None or not self._is_read:
            view = self._read()
            if view != self._view:
                self._view = view
            self._is_read = True
        return self._view

    def refresh(self, changed: set[tuple[str, UUID]]) -> None:
        """Read these rows again, given by table and UUID, and clear the set. After an exception all are read."""
        if self._is_complete and not changed:
            return
        rows, self._is_read = {*changed}, False
        changed.clear()
        is_known, self._is_complete = self._is_complete and self._bridges == self._bridge_names(), False
        if is_known:
            self._update(rows)
        if not is_known or not self._knows_all():
            self._read_everything()
        self._is_complete = True

    def forget(self) -> None:
        """Read all rows the next time, whatever has changed."""
        self._is_complete = False

    def _read_everything(self) -> None:
        index, networks = self._index, self._networks
        self._clear()
        rows = [(table, uuid) for table in ("Port", "Interface") for uuid in self._tables[table].rows]
        self._update(rows)
        self._index, self._networks = self._index.continuing(index), networks.becoming(self._networks)

    def bridge(self, name: str) -> Any:
        """The row of a bridge; None if there is none of that name."""
        return next((row for row in self._tables["Bridge"].rows.values() if row.name == name), None)

    def own_port(self, name: str) -> tuple[Any, Any] | None:
        """The rows of the bridge and of the port, if the port is ours."""
        uuid = self._names.get(name)
        if uuid is None:
            return None
        return self.bridge(self._ports[uuid].bridge), self._tables["Port"].rows[uuid]

    def _clear(self) -> None:
        self._index, self._networks = InterfaceIndex(self._bfd_interval_milliseconds), Tracked()
        self._bridges = self._bridge_names()
        self._ports: dict[UUID, _Port] = {}
        self._names: dict[str, UUID] = {}
        """Of our ports."""
        self._interfaces: dict[UUID, str] = {}
        """Names of the known ones; empty if they are not ours."""
        self._port_of: dict[UUID, UUID] = {}
        """By interface."""
        self._foreign_udp_ports: dict[UUID, int] = {}
        """By interface, of the tunnels that are not ours."""
        self._foreign_gre: set[UUID] = set()
        """Interfaces that are GRE tunnels and not ours."""

    def _bridge_names(self) -> dict[UUID, str]:
        return {uuid: row.name for uuid, row in self._tables["Bridge"].rows.items()}

    def _knows_all(self) -> bool:
        """Whether all known rows exist: those that are gone after a reconnection are not noted, all others are."""
        known = len(self._ports), len(self._interfaces)
        return known == (len(self._tables["Port"].rows), len(self._tables["Interface"].rows))

    def _update(self, rows: Iterable[tuple[str, UUID]]) -> None:
        interfaces = {uuid for table, uuid in rows if table == "Interface"}
        numbers: dict[str, int | None] = {}
        ports = [uuid for table, uuid in rows if table == "Port"]
        for before in filter(None, map(self._forget_port, ports)):
            interfaces |= before.interfaces
            numbers[before.name] = None
        for after in filter(None, map(self._read_port, ports)):
            interfaces |= after.interfaces
            numbers[after.name] = after.number if after.bridge == BRIDGE and after.number else None
        self._networks = self._networks.updated(numbers)
        found: dict[str, Interface | None] = {}
        for name in filter(None, [self._interfaces.pop(uuid, "") for uuid in interfaces]):
            found[name] = None
        for interface in filter(None, map(self._read_interface, interfaces)):
            found[interface.name] = interface
        self._index.update(found)

    def _forget_port(self, uuid: UUID) -> _Port | None:
        port = self._ports.pop(uuid, None)
        if port is not None:
            for interface in port.interfaces:
                self._port_of.pop(interface, None)
            self._names.pop(port.name, None)
        return port

    def _read_port(self, uuid: UUID) -> _Port | None:
        row = self._tables["Port"].rows.get(uuid)
        if row is None:
            return None
        bridges = self._tables["Bridge"].rows.values()
        bridge = next((bridge.name for bridge in bridges if _has_port(bridge, uuid)), "")
        ids, interfaces = row.external_ids, frozenset(interface.uuid for interface in row.interfaces)
        port = self._ports[uuid] = _Port(row.name, bridge, OWNER_KEY in ids, network_number(ids), interfaces)
        self._port_of |= dict.fromkeys(interfaces, uuid)
        if port.is_ours:
            self._names[port.name] = uuid
        return port

    def _read_interface(self, uuid: UUID) -> Interface | None:
        """The interface, if it is ours."""
        row = self._tables["Interface"].rows.get(uuid)
        self._foreign_udp_ports.pop(uuid, None)
        self._foreign_gre.discard(uuid)
        if row is None:
            return None
        self._interfaces[uuid] = ""
        if row.type in _DEFAULT_UDP_PORTS and OWNER_KEY not in row.external_ids:
            self._foreign_udp_ports[uuid] = _udp_port(row)
        if row.type == Gre.INTERFACE_TYPE and OWNER_KEY not in row.external_ids:
            self._foreign_gre.add(uuid)
        port = self._ports.get(self._port_of.get(uuid, uuid))
        if port is None or not port.is_ours:
            return None
        self._interfaces[uuid] = row.name
        return Interface(
            bridge=port.bridge,
            name=row.name,
            type=row.type,
            options=dict(row.options),
            external_ids=dict(row.external_ids),
            bfd=dict(row.bfd),
            bfd_state=row.bfd_status.get("state", ""),
            ofport=next(iter(row.ofport), 0),
            error=next(iter(row.error), ""),
        )

    def _read(self) -> BridgeView:
        root = next(iter(self._tables["Open_vSwitch"].rows.values()), None)
        bridge, index = self.bridge(BRIDGE), self._index
        is_ours = _is_ours(bridge)
        return BridgeView(
            exists=is_ours and index.is_on(BRIDGE, PROBE_PORT),
            ports=index.ports,
            ofport=index.ofport,
            bfd_up=dict(index.bfd_up),
            bfd_init=index.bfd_init,
            foreign_tunnel_udp_ports=frozenset(self._foreign_udp_ports.values()),
            gre_is_shared=bool(self._foreign_gre),
            leftovers=index.leftovers,
            errors=dict(index.errors),
            hostname=root.external_ids.get("hostname") if root else None,
            openvswitch_version=next(iter(root.ovs_version), "") if root else "",
            numbers=read_numbers(bridge, self._networks) if is_ours else Numbers(),
        )


def _is_ours(bridge: Any) -> bool:
    return bridge is not None and OWNER_KEY in bridge.external_ids and list(bridge.fail_mode) == ["secure"]


def _has_port(bridge: Any, uuid: UUID) -> bool:
    """Without a list of rows of all its ports, which `bridge.ports` would make."""
    type_ = bridge._table.columns["ports"].type.key.type
    return Atom(type_, uuid) in bridge._data["ports"].values


def _udp_port(row: Any) -> int:
    text = row.options.get("dst_port", "")
    return int(text) if text.isdecimal() else _DEFAULT_UDP_PORTS[row.type]
