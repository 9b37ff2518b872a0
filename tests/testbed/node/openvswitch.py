"""Open vSwitch of a gateway node, with the kernel's data path."""

import signal

from tests.testbed.host.process import wait_until
from tests.testbed.node.node import Node

_DIRECTORY = "/run/openvswitch"
_DATABASE = f"{_DIRECTORY}/conf.db"
_SOCKET = f"{_DIRECTORY}/db.sock"
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def start(node: Node) -> None:
    """Start the database and the switch, without Neutron's back end."""
    node.run(["ovsdb-tool", "create", _DATABASE, _SCHEMA])
    _start_database(node)
    identity = f"external_ids:system-id={node.name} external_ids:hostname={node.name}"
    node.run(f"until [ -S {_SOCKET} ]; do sleep 0.05; done; ovs-vsctl --no-wait init -- set Open_vSwitch . {identity}")
    start_switch(node)


def restart_database(node: Node) -> None:
    """Kill the database server, and start it with the same database."""
    node.kill("ovsdb-server", signal.SIGKILL)
    wait_until(lambda: not node.alive("ovsdb-server"), 60, "end of ovsdb-server")
    _start_database(node)
    node.run("until ovs-vsctl --timeout=10 show >/dev/null; do sleep 0.05; done", timeout_seconds=60)


def restart_in_new_directory(node: Node) -> None:
    """Stop Open vSwitch and start it again in a new directory, as with `RuntimeDirectory=` of systemd."""
    for name in ("ovs-vswitchd", "ovsdb-server"):
        node.stop(name)
    # Not moved within the file system: the old directory has no link left afterwards.
    node.run(f"mv {_DATABASE} /run/conf.db; rm -r {_DIRECTORY}; mkdir {_DIRECTORY}; mv /run/conf.db {_DATABASE}")
    _start_database(node)
    node.run(f"until [ -S {_SOCKET} ]; do sleep 0.05; done", timeout_seconds=60)
    start_switch(node)


def _start_database(node: Node) -> None:
    remotes = [f"--remote=punix:{_SOCKET}", "--remote=db:Open_vSwitch,Open_vSwitch,manager_options"]
    node.spawn(["ovsdb-server", _DATABASE, *remotes, "--pidfile", "-vconsole:warn"], "ovsdb-server")


def start_switch(node: Node) -> None:
    """Start or restart ovs-vswitchd."""
    node.spawn(["ovs-vswitchd", f"unix:{_SOCKET}", "--pidfile", "-vconsole:warn"], "ovs-vswitchd")


def attach_port(node: Node, interface: str, *, port_id: str, mac_address: str, owner_id: str) -> None:
    """Put a machine's interface on br-int as os-vif does, so that Neutron's back end wires it."""
    external_ids = {
        "iface-id": port_id,
        "iface-status": "active",
        "attached-mac": mac_address,
        "vm-uuid": owner_id,
    }
    columns = [f'external_ids:{key}="{value}"' for key, value in external_ids.items()]
    add = ["--may-exist", "add-port", "br-int", interface]
    node.run(["ovs-vsctl", "--timeout=60", *add, "--", "set", "Interface", interface, *columns])


def unplug(node: Node, interface: str) -> None:
    """Remove an interface from br-int."""
    node.run(["ovs-vsctl", "--timeout=60", "--if-exists", "del-port", "br-int", interface])
