"""What tells of a write, whoever made it: the revision of each thing, counted by the world that it is in.

Nothing is left out because somebody else might write it: while nothing happens, nobody in the lab does, but for
heartbeats, events, and what a switch learns from traffic.
"""

import re
from typing import Final

from isthmus.model.names import BRIDGE
from isthmus.model.node.pipeline import LEARNED_OWNER
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.inventory.kubernetes import everything

Revisions = dict[str, object]

_AGE: Final = re.compile(r"duration=([\d.]+)s, ")
_STATISTICS: Final = re.compile(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^ ,]+, ?")


def kubernetes(cloud: Cloud) -> Revisions:
    """The API server's of every object."""
    found = {}
    for item in everything(cloud.kubectl):
        metadata = item["metadata"]
        name = f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        found[f"{name} {metadata['uid']}"] = metadata["resourceVersion"]
    return found


def neutron(cloud: Cloud) -> Revisions:
    """Neutron's of all networks, subnets and ports."""
    network = cloud.openstack().network
    kinds = {"network": network.networks(), "subnet": network.subnets(), "port": network.ports()}
    return {
        f"{kind} {item.id}": (item.revision_number, item.updated_at) for kind, found in kinds.items() for item in found
    }


def open_vswitch(cloud: Cloud, seconds: float) -> Revisions:
    """The database's count of changes on the gateway node, and which flows of br-cloud have stood for so long."""
    node = cloud.gateway
    found: Revisions = {"next_cfg": node.run(["ovs-vsctl", "get", "Open_vSwitch", ".", "next_cfg"]).stdout.strip()}
    for line in node.run(["ovs-ofctl", "-O", "OpenFlow15", "--no-names", "dump-flows", BRIDGE]).stdout.splitlines():
        age = _AGE.search(line)
        if age and not line.startswith(f" cookie={LEARNED_OWNER:#x}"):
            found[f"flow {_STATISTICS.sub('', line).strip()}"] = float(age[1]) >= seconds
    return found
