"""Open vSwitch on this machine, with a data path of its own that carries no packets: no kernel module is needed."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from isthmus.model.names import BRIDGE

from . import process

_SCHEMA: Final = "/usr/share/openvswitch/vswitch.ovsschema"
_DATABASE, _SWITCH = "ovsdb-server", "ovs-vswitchd"


@contextmanager
def start_switch(directory: Path, *, real_tunnels: bool = False) -> Iterator[str]:
    """Database and ovs-vswitchd with br-cloud, until the end of the context; yields the database's socket.

    Ports of tunnels carry nothing, either, unless they are `real_tunnels`: these encapsulate, and look up routes and
    neighbours that tests set (ovs-vswitchd(8), `ovs/route/add` and `tnl/neigh/set`).
    """
    socket = _socket(directory)
    subprocess.run(["ovsdb-tool", "create", str(directory / "conf.db"), _SCHEMA], check=True)
    try:
        start_database(directory)
        dummy = [
            "--enable-dummy" if real_tunnels else "--enable-dummy=override",
            "--disable-system",
            "--disable-system-route",
        ]
        vswitchd = [_SWITCH, socket, *dummy, f"--unixctl={directory}/ovs-vswitchd.ctl"]
        process.spawn(vswitchd, name=_SWITCH, directory=directory, env=_environment(directory))
        settings = "datapath_type=dummy", "fail_mode=secure", "protocols=OpenFlow10,OpenFlow15"
        vsctl(socket, "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, *settings)
        yield socket
    finally:
        process.stop(directory, _SWITCH, _DATABASE)


def start_database(directory: Path) -> None:
    """Start the database of a switch, also after `stop_database`."""
    server = [_DATABASE, str(directory / "conf.db"), f"--remote=p{_socket(directory)}"]
    server += [f"--unixctl={directory}/server.ctl"]
    process.spawn(server, name=_DATABASE, directory=directory, env=_environment(directory))
    process.wait_until((directory / "db.sock").is_socket, 60, "ovsdb-server's socket")


def stop_database(directory: Path) -> None:
    """End the database of a switch, whose ovs-vswitchd stays."""
    process.stop(directory, _DATABASE)


def vsctl(socket: str, *arguments: str) -> None:
    """Run ovs-vsctl, and wait until ovs-vswitchd has applied the change."""
    subprocess.run(["ovs-vsctl", f"--db={socket}", "--retry", "--timeout=60", *arguments], check=True)


def _socket(directory: Path) -> str:
    return f"unix:{directory}/db.sock"


def _environment(directory: Path) -> dict[str, str]:
    return {f"OVS_{name}DIR": str(directory) for name in ("RUN", "LOG", "DB")}
