"""The database rows of our ports: their columns, and how they are added and removed in a transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import NotFound
from isthmus.model.names import OWNER_KEY
from isthmus.model.node.switch import EchoPort, PatchPair, TunnelPort

if TYPE_CHECKING:
    from .replica import Replica


@dataclass(frozen=True)
class PatchEnd:
    """The columns that one end of a patch pair must have."""

    options: dict[str, str]
    external_ids: dict[str, str] = field(default_factory=dict)


def tunnel_interface(tunnel: TunnelPort, bfd_interval_milliseconds: int) -> tuple[dict[str, str], dict[str, str]]:
    """The columns `options` and `bfd` of a tunnel port."""
    options = {
        "local_ip": tunnel.ends.local,
        "remote_ip": tunnel.ends.remote,
        **tunnel.encapsulation.options,
        "key": "flow",
        "df_default": "false",  # fragment packets that are too large for the underlay instead of dropping them
    }
    interval = str(bfd_interval_milliseconds)
    # Accept BFD with tunnel ID 0 only: a machine of a stretched network could else send it for the peer's gateway.
    return options, {"enable": "true", "check_tnl_key": "true", "min_tx": interval, "min_rx": interval}


def echo_interface(echo: EchoPort) -> dict[str, str]:
    """The column `options` of an echo port."""
    any_ends = {"local_ip": "flow", "remote_ip": "flow"}
    return {**any_ends, **echo.encapsulation.options, "key": "flow", "df_default": "true"}


def patch_ends(patch: PatchPair) -> tuple[PatchEnd, PatchEnd]:
    """The end on br-cloud, and the end on br-int with the external_ids that os-vif sets for a machine."""
    integration = {
        "iface-id": patch.neutron_port_id,
        "attached-mac": patch.mac,
        "iface-status": "active",
    }
    return PatchEnd({"peer": patch.integration_name}), PatchEnd({"peer": patch.cloud_name}, integration)


class OwnedPorts:
    """Our ports within one transaction. Never changes a port without our owner key."""

    def __init__(self, replica: Replica, tables: Any, transaction: Any) -> None:
        """The replica has just been refreshed."""
        self._replica = replica
        self._tables = tables
        self._transaction = transaction
        self._removed: set[str] = set()

    def has(self, name: str) -> bool:
        """Whether there is a port of ours of that name."""
        return name not in self._removed and self._replica.own_port(name) is not None

    def remove(self, name: str) -> None:
        """Remove the port from its bridge, whereupon the database deletes its rows; nothing if it is not ours."""
        rows = self._replica.own_port(name)
        if rows is not None and name not in self._removed:
            self._removed.add(name)
            bridge, port = rows
            bridge.delvalue("ports", port)

    def add(self, bridge_name: str, name: str, type_: str, options: dict[str, str], bridge: Any = None) -> Any:
        """Add or recreate a port with one interface of that name; returns its row. NotFound: no such bridge."""
        self.remove(name)
        bridge = bridge or self._replica.bridge(bridge_name)
        if bridge is None:
            raise NotFound(f"bridge {bridge_name} does not exist on this node")
        interface = self._transaction.insert(self._tables["Interface"])
        interface.name, interface.type, interface.options = name, type_, options
        port = self._transaction.insert(self._tables["Port"])
        port.name, port.interfaces = name, [interface]
        for row in (interface, port):
            row.external_ids = {OWNER_KEY: type_}
        bridge.addvalue("ports", port)
        return interface
