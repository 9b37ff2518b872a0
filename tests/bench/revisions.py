"""Revisions of all objects in Kubernetes, Neutron and Open vSwitch, which reveal writes by anybody.

Nothing is excluded because others might write it: in an idle lab nobody writes anything except heartbeats, events and
learned flows.
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
    """resourceVersion of every object."""
    found = {}
    for item in everything(cloud.kubectl):
        metadata = item["metadata"]
        name = f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        found[f"{name} {metadata['uid']}"] = metadata["resourceVersion"]
    return found


def neutron(cloud: Cloud) -> Revisions:
    """Revision numbers of all networks, subnets and ports."""
    network = cloud.openstack().network
    kinds = {"network": network.networks(), "subnet": network.subnets(), "port": network.ports()}
    return {
        f"{kind} {item.id}": (item.revision_number, item.updated_at) for kind, found in kinds.items() for item in found
    }


def open_vswitch(cloud: Cloud, seconds: float) -> Revisions:
    """Number of configuration changes on the gateway node, and which flows of br-cloud are at least that old."""
    node = cloud.gateway
    found: Revisions = {"next_cfg": node.run(["ovs-vsctl", "get", "Open_vSwitch", ".", "next_cfg"]).stdout.strip()}
    for line in node.run(["ovs-ofctl", "-O", "OpenFlow15", "--no-names", "dump-flows", BRIDGE]).stdout.splitlines():
        age = _AGE.search(line)
        if age and not line.startswith(f" cookie={LEARNED_OWNER:#x}"):
            found[f"flow {_STATISTICS.sub('', line).strip()}"] = float(age[1]) >= seconds
    return found
