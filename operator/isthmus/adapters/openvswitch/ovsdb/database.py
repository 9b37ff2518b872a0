"""This node's Open vSwitch database, through ovsdbapp's in-memory replica (IDL).

Every row of ours carries external_ids:isthmus. Set columns of bridges are changed by mutation only, since Neutron's
agent may write to br-int at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import Conflict, ExternalError, Invalid, Unavailable
from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE, OWNER_KEY, PROBE_PORT, PROBE_PORT_MTU
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import BridgeView, EchoPort, PatchPair, Ports, TunnelPort

from ..learned import forget_addresses
from .errors import REFUSED, refusal
from .numbers import write_network_number, write_numbers
from .rows import OwnedPorts, echo_interface, patch_ends, tunnel_interface

if TYPE_CHECKING:
    from .replica import Replica

_COLUMNS = {
    "Open_vSwitch": ["bridges", "external_ids", "ovs_version", "next_cfg", "cur_cfg"],
    "Bridge": ["name", "ports", "external_ids", "fail_mode", "datapath_type", "protocols"],
    "Port": ["name", "interfaces", "external_ids"],
    "Interface": ["name", "type", "options", "external_ids", "bfd", "bfd_status", "ofport", "error", "mtu_request"],
}
_PROTOCOLS = ["OpenFlow10", "OpenFlow13", "OpenFlow15"]
_TIMEOUT_SECONDS = 15
_POLL_SECONDS, _POLL_PART = 0.005, 0.1  # after a change: at least so long, and that part of the time it takes
_READ_ALL_SECONDS = 300.0  # how often all rows are read, whatever has changed


class OvsdbDatabase:
    """`ports.Ovsdb` over one connection, opened at the first call and kept."""

    def __init__(self, socket: str, bfd_interval_milliseconds: int, datapath_type: str = "system") -> None:
        self._socket = socket
        self._bfd_interval_milliseconds = bfd_interval_milliseconds
        self._datapath_type = datapath_type
        self._connected: Any = None
        self._replica: Replica
        self._read_all_at = float("-inf")

    def view(self) -> BridgeView:
        """See `ports.Ovsdb`; from the in-memory replica, without a request."""
        database = self._database()
        with database.ovsdb_connection.lock:
            if (now := monotonic()) >= self._read_all_at:
                self._read_all_at = now + _READ_ALL_SECONDS
                self._replica.forget()
            return self._replica.view(database.idl.changed)

    def ensure_bridge(self) -> None:
        """See `ports.Ovsdb`."""
        self._write(self._create_bridge)

    def apply(self, add: Ports, remove_interfaces: Iterable[str]) -> None:
        """See `ports.Ovsdb`."""
        names = frozenset(remove_interfaces)

        def edit(transaction: Any) -> None:
            owned = self._owned_ports(transaction)
            for name in sorted(names):
                owned.remove(name)
            for tunnel in sorted(add.tunnels, key=lambda t: t.name):
                self._add_tunnel(owned, tunnel)
            for echo in sorted(add.echoes, key=lambda e: e.name):
                _add_echo(owned, echo)
            if add.echoes:
                self._let_long_probes_pass()
            for patch in sorted(add.patches, key=lambda p: p.cloud_name):
                _add_patch(owned, patch)

        if add.patches:
            # First, so that an agent that is killed in between does it again. The old node forwards nothing any more.
            forget_addresses(self._socket, INTEGRATION_BRIDGE)
        self._write(edit)

    def set_numbers(self, numbers: Numbers) -> None:
        """See `ports.Ovsdb`."""

        def edit(_transaction: Any) -> None:
            replica = self._refreshed()
            bridge = replica.bridge(BRIDGE)
            if bridge is None or OWNER_KEY not in bridge.external_ids:
                return
            for name, number in numbers.networks.items():
                if rows := replica.own_port(name):
                    write_network_number(rows[1], number)
            write_numbers(bridge, numbers)

        self._write(edit)

    def remove_bridge(self) -> None:
        """See `ports.Ovsdb`."""

        def edit(_transaction: Any) -> None:
            bridge = self._refreshed().bridge(BRIDGE)
            if bridge is not None and OWNER_KEY in bridge.external_ids:
                for root in self._database().idl.tables["Open_vSwitch"].rows.values():
                    root.delvalue("bridges", bridge)

        self._write(edit)

    def close(self) -> None:
        """Close the connection and end its thread."""
        if self._connected is not None:
            self._connected.ovsdb_connection.stop(1)
            self._connected = None

    def _create_bridge(self, transaction: Any) -> None:
        tables, owned = self._database().idl.tables, self._owned_ports(transaction)
        bridge = self._refreshed().bridge(BRIDGE)
        if bridge is None:
            bridge = transaction.insert(tables["Bridge"])
            bridge.name = BRIDGE
            bridge.external_ids = {OWNER_KEY: "bridge"}
            for root in tables["Open_vSwitch"].rows.values():
                root.addvalue("bridges", bridge)
        elif OWNER_KEY not in bridge.external_ids:
            raise Conflict(f"a bridge {BRIDGE} exists that is not managed by Isthmus")
        bridge.fail_mode = "secure"  # without flows nothing is forwarded
        bridge.datapath_type = self._datapath_type
        bridge.protocols = _PROTOCOLS
        for name in (BRIDGE, PROBE_PORT):
            if not owned.has(name):
                owned.add(BRIDGE, name, "internal", {}, bridge=bridge)

    def _let_long_probes_pass(self) -> None:
        """The probe port takes what any underlay carries: ovs-vswitchd would give it an MTU of 1500."""
        rows = self._refreshed().own_port(PROBE_PORT)
        for interface in rows[1].interfaces if rows else ():
            interface.mtu_request = [PROBE_PORT_MTU]

    def _add_tunnel(self, owned: OwnedPorts, tunnel: TunnelPort) -> None:
        options, bfd = tunnel_interface(tunnel, self._bfd_interval_milliseconds)
        owned.add(BRIDGE, tunnel.name, tunnel.encapsulation.INTERFACE_TYPE, options).bfd = bfd

    def _write(self, edit: Callable[[Any], None]) -> None:
        """Commit one transaction and wait until ovs-vswitchd has applied it (cur_cfg)."""
        from ovsdbapp.exceptions import OvsdbAppException

        from .transaction import Transaction

        database = self._database()
        transaction = Transaction(database, edit)
        try:
            applied = transaction.commit_and_number()
        except ExternalError:
            raise
        except (OvsdbAppException, RuntimeError, LookupError, OSError) as error:
            if str(error).startswith(REFUSED):
                raise Invalid(f"Open vSwitch's database refuses a change: {refusal(str(error))}") from error
            raise Unavailable(f"Open vSwitch's database: {error}") from error
        self._wait_until_applied(database, applied)

    def _wait_until_applied(self, database: Any, number: int) -> None:
        """Wait for this very change: other programs count up next_cfg, too. The view stays readable meanwhile."""
        began = monotonic()
        while True:
            with database.ovsdb_connection.lock:
                current = max((row.cur_cfg for row in database.idl.tables["Open_vSwitch"].rows.values()), default=0)
            if current >= number:
                return
            waited = monotonic() - began
            if waited >= _TIMEOUT_SECONDS:
                text = f"ovs-vswitchd has not applied a change of its database within {_TIMEOUT_SECONDS} s"
                raise Unavailable(text)
            sleep(max(_POLL_SECONDS, _POLL_PART * waited))

    def _owned_ports(self, transaction: Any) -> OwnedPorts:
        return OwnedPorts(self._refreshed(), self._database().idl.tables, transaction)

    def _refreshed(self) -> Replica:
        """The replica as of now, within a transaction."""
        self._replica.refresh(self._database().idl.changed)
        return self._replica

    def _database(self) -> Any:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> Any:
        # Imported late: takes a third of a second, which settings and the first lists need not wait for.
        from ovsdbapp.backend.ovs_idl import connection, idlutils
        from ovsdbapp.schema.open_vswitch.impl_idl import OvsdbIdl

        from .idl import Idl
        from .replica import Replica

        logging.getLogger("ovsdbapp").setLevel(logging.CRITICAL)  # what it logs, it also raises
        try:
            helper = idlutils.get_schema_helper(self._socket, "Open_vSwitch")
            for table, columns in _COLUMNS.items():
                helper.register_columns(table, columns)
            link = connection.Connection(Idl(self._socket, helper), timeout=_TIMEOUT_SECONDS)
            # ovsdbapp keeps the first connection as a class attribute for all instances: use a class of our own.
            database = type("Database", (OvsdbIdl,), {"_ovsdb_connection": None})(link)
        except Exception as error:  # ovsdbapp raises bare Exceptions here
            raise Unavailable(f"Open vSwitch's database at {self._socket}: {error}") from error
        with database.ovsdb_connection.lock:
            self._replica = Replica(database.idl.tables, self._bfd_interval_milliseconds)
        return database


def _add_echo(owned: OwnedPorts, echo: EchoPort) -> None:
    owned.add(BRIDGE, echo.name, echo.encapsulation.INTERFACE_TYPE, echo_interface(echo))


def _add_patch(owned: OwnedPorts, patch: PatchPair) -> None:
    cloud, integration = patch_ends(patch)
    owned.add(BRIDGE, patch.cloud_name, "patch", cloud.options)
    row = owned.add(INTEGRATION_BRIDGE, patch.integration_name, "patch", integration.options)
    row.external_ids = {**row.external_ids, **integration.external_ids}
