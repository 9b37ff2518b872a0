"""The files that Neutron's agents import, so that a guest can read them before it starts the agents.

A User Mode Linux guest starts with an empty page cache: importing the files takes ten seconds, reading them first with
`cat` takes one.
"""

import subprocess
from pathlib import Path
from typing import Final

from tests.testbed.assets.cache import Cache
from tests.testbed.node.node import Node

OVS_AGENTS: Final = (
    "neutron.cmd.eventlet.plugins.ovs_neutron_agent",
    "neutron.plugins.ml2.drivers.openvswitch.agent.ovs_neutron_agent",
    "neutron.plugins.ml2.drivers.openvswitch.agent.openflow.native.main",
    "neutron.plugins.ml2.drivers.openvswitch.agent.openflow.native.ovs_oskenapp",
    "neutron.agent.linux.openvswitch_firewall.firewall",
    "neutron.agent.l2.extensions.qos",
    "neutron.plugins.ml2.drivers.openvswitch.agent.extension_drivers.qos_driver",
    "os_ken.app.ofctl.service",
    "oslo_messaging._drivers.impl_rabbit",
    "neutron.cmd.eventlet.agents.dhcp",
    "neutron.agent.dhcp_agent",
    "neutron.privileged.agent.linux.ip_lib",
)
"""The Open vSwitch agent and the DHCP agent."""
OVN_METADATA_AGENT: Final = ("neutron.agent.ovn.metadata_agent", "neutron.privileged.agent.linux.ip_lib")
METADATA_AGENT: Final = ("neutron.cmd.eventlet.agents.metadata", "oslo_messaging._drivers.impl_rabbit")

_PROGRAM: Final = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
specs = [spec for module in list(sys.modules.values()) if (spec := getattr(module, "__spec__", None))]
print(*sorted({path for spec in specs if (path := spec.cached or spec.origin) and path[0] == "/"}), sep="\\n")
"""


def ensure(cache: Cache, environment: Path, modules: tuple[str, ...]) -> Path:
    """The list of the modules' files, one per line, created if it is not in the cache."""
    asset = cache.asset("imports", str(environment), _PROGRAM, *modules)
    with cache.building(asset) as missing:
        if missing:
            python = environment / "bin" / "python"
            arguments = ["-W", "ignore", "-c", _PROGRAM, *modules]
            done = subprocess.run([python, *arguments], check=True, capture_output=True)
            (asset.directory / "files").write_bytes(done.stdout)
    return asset.directory / "files"


def read(node: Node, files: Path) -> None:
    """Read them on a node."""
    node.run(f"xargs cat <{files} >/dev/null", timeout_seconds=120)
