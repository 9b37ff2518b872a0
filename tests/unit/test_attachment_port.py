"""What somebody does to our attachment port, or to its network, in Neutron."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model import names
from isthmus.model.facts.openstack import Port
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Stretched


def port(cloud: FakeCloud) -> Port:
    """Our attachment port."""
    (only,) = (p for p in cloud.neutron.ports.values() if p.device_owner == names.ATTACHMENT_DEVICE_OWNER)
    return only


def ready(cloud: FakeCloud) -> str | None:
    """Reason of condition Ready of the Attachment."""
    (attachment,) = cloud.attachments()
    return reason(attachment)


CHANGES: list[dict[str, object]] = [
    {"admin_state_up": False},
    {"port_security_enabled": True},
    {"description": ""},
    {"description": "ours", "admin_state_up": False},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_changed_port_is_restored(stretched: Stretched, cloud: FakeCloud, change: dict[str, object]) -> None:
    before = port(cloud)
    cloud.neutron.ports[before.id] = replace(before, **change)  # type: ignore[arg-type]
    stretched.federation.settle()
    assert port(cloud) == before


@pytest.mark.parametrize("description", [None, "", "isthmus cloud-x.other"])
@pytest.mark.parametrize("changed", ["the one in use", "the other one"])
def test_surplus_port_is_deleted(stretched: Stretched, cloud: FakeCloud, description: str | None, changed: str) -> None:
    """Whatever the descriptions of both: two attachment ports of one network are a loop."""
    used = port(cloud)
    surplus = cloud.neutron.create_attachment_port(used.network_id, used.host, used.name, used.description)
    if description is not None:
        edited = used if changed == "the one in use" else surplus
        cloud.neutron.ports[edited.id] = replace(edited, description=description)
    stretched.federation.settle()
    assert port(cloud) == used
    assert ready(cloud) == "Ready"


def test_port_that_the_attachment_does_not_name_is_adopted(stretched: Stretched, cloud: FakeCloud) -> None:
    """A controller that was killed before it recorded the port: it makes no other, whoever edited that one since."""
    used = port(cloud)
    (attachment,) = cloud.attachments()
    spec = attachment.spec.model_copy(update={"ports": (), "active_node": None, "links": ()})
    cloud.backends.cluster.apply(attachment.model_copy(update={"spec": spec}))
    cloud.neutron.ports[used.id] = replace(used, description="ours")
    stretched.federation.settle()
    assert port(cloud) == used
    assert ready(cloud) == "Ready"


def test_edited_port_goes_with_the_withdrawal(stretched: Stretched, cloud: FakeCloud) -> None:
    """At the receiver, Neutron would not delete the network otherwise."""
    used = port(cloud)
    cloud.neutron.ports[used.id] = replace(used, description="")
    stretched.withdraw()
    stretched.federation.settle()
    assert stretched.attachment_ports(cloud) == []
    assert stretched.b.neutron.networks == {}


def test_port_of_another_project_is_left_alone(stretched: Stretched, cloud: FakeCloud) -> None:
    used = port(cloud)
    other = replace(used, id="other", project_id=stretched.project)
    cloud.neutron.ports[other.id] = other
    stretched.federation.settle()
    assert cloud.neutron.ports[used.id] == used
    assert cloud.neutron.ports[other.id] == other


def test_port_that_is_down_is_not_ready(stretched: Stretched, cloud: FakeCloud) -> None:
    before = port(cloud)
    cloud.neutron.ports[before.id] = replace(before, status="DOWN")
    cloud.cycle()
    assert ready(cloud) == "PortDown"
    if cloud is stretched.a:
        assert reason(stretched.a.expansion()) == "PortDown"
    cloud.neutron.serve(before.id)
    cloud.kubectl.apply(cloud.attachments()[0])
    cloud.play_agent()
    cloud.cycle(resync=True)
    assert ready(cloud) == "Ready"


def test_disabled_network_is_not_ready(stretched: Stretched, cloud: FakeCloud) -> None:
    networks = cloud.neutron.networks
    network_id = port(cloud).network_id
    networks[network_id] = replace(networks[network_id], admin_state_up=False)
    stretched.federation.settle()
    assert ready(cloud) == "NetworkDisabled"
    assert not networks[network_id].admin_state_up, "it is its owner's"
    networks[network_id] = replace(networks[network_id], admin_state_up=True)
    stretched.federation.settle()
    assert ready(cloud) == "Ready"


def test_deleted_port_is_not_ready_until_there_is_another(stretched: Stretched, cloud: FakeCloud) -> None:
    deleted = port(cloud)
    own = cloud.neutron.own_project_id()
    cloud.neutron.delete_port(deleted.id)
    cloud.neutron.quotas[own] = replace(cloud.neutron.get_quota(own), ports=0)
    cloud.cycle()
    assert ready(cloud) == "QuotaExceeded"
    del cloud.neutron.quotas[own]
    stretched.federation.settle()
    assert ready(cloud) == "Ready"
    assert port(cloud).host == deleted.host


def test_port_that_came_up_is_seen_soon(stretched: Stretched, cloud: FakeCloud) -> None:
    """Without an event and without a resync."""
    before = port(cloud)
    cloud.neutron.ports[before.id] = replace(before, status="DOWN")
    cloud.cycle()
    assert ready(cloud) == "PortDown"
    cloud.neutron.serve(before.id)
    stretched.federation.clock.move(2)
    cloud.cycle(resync=False)
    assert ready(cloud) == "Ready"


def test_port_that_came_up_is_seen_at_the_next_event(cloud: FakeCloud) -> None:
    """Neutron puts the port into service after the agent has connected it: not only the next resync finds that."""
    before = port(cloud)
    cloud.neutron.ports[before.id] = replace(before, status="DOWN")
    cloud.cycle()
    cloud.neutron.serve(before.id)
    (attachment,) = cloud.attachments()
    (entry,) = attachment.status.nodes
    down = {"up": False, "reason": "ProbeUnanswered"}
    flapped = entry.model_copy(update={"links": tuple(link.model_copy(update=down) for link in entry.links)})
    status = attachment.status.model_copy(update={"nodes": (flapped,), "conditions": ()})
    cloud.agent.apply_status(attachment.model_copy(update={"status": status}))
    cloud.cycle(resync=False)
    cloud.play_agent()
    cloud.cycle(resync=False)
    assert ready(cloud) == "Ready"
