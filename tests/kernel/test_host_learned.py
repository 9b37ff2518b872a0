"""A network that comes to this node is not looked for where br-int has learned that its machines were before.

Open vSwitch has a data path of its own that carries no packets.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE
from isthmus.model.node.switch import PatchPair, Ports
from tests.kernel.openvswitch import sh
from tests.testbed.host.switch import start_switch, vsctl

MAC = "fa:16:3e:00:00:77"
PATCH = PatchPair("isilearned", "isclearned", "00000000-0000-4000-8000-000000000001", "fa:16:3e:00:00:01")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    with start_switch(tmp_path) as socket:
        settings = "set", "bridge", INTEGRATION_BRIDGE, "datapath_type=dummy"
        vsctl(socket, "del-br", BRIDGE, "--", "add-br", INTEGRATION_BRIDGE, "--", *settings)
        vsctl(socket, "add-port", INTEGRATION_BRIDGE, "old", "--", "set", "Interface", "old", "type=dummy")
        yield tmp_path


def test_br_int_forgets_addresses_when_a_network_is_added(directory: Path) -> None:
    socket = f"unix:{directory}/db.sock"
    frame = f"ffffffffffff{MAC.replace(':', '')}0806" + "00" * 46
    sh(f"ovs-ofctl -O OpenFlow15 packet-out unix:{directory}/br-int.mgmt in_port=old,packet={frame},actions=NORMAL")
    assert MAC in _learned(directory)
    database = OvsdbDatabase(socket, 300, "dummy")
    try:
        database.ensure_bridge()
        assert MAC in _learned(directory), "only a network makes it forget them"
        database.apply(Ports(patches=frozenset({PATCH})), ())
        assert MAC not in _learned(directory)
    finally:
        database.close()


def _learned(directory: Path) -> str:
    (control,) = directory.glob("ovs-vswitchd*.ctl")
    command = ["ovs-appctl", f"--target={control}", "fdb/show", INTEGRATION_BRIDGE]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
