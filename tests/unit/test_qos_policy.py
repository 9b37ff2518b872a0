"""A QoS policy of a network, whose limits are meant for one machine, does not apply to the link."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from isthmus.core.network.drift import MAX_REPAIRS, PAUSE_SECONDS
from isthmus.model.api.objects import condition_of
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Stretched
from tests.unit.test_attachment_port import port, ready


def set_on_network(cloud: FakeCloud, policy_id: str | None) -> None:
    """As a tenant or an administrator does."""
    (network,) = cloud.neutron.networks.values()
    cloud.neutron.networks[network.id] = replace(network, qos_policy_id=policy_id)


def set_on_port(cloud: FakeCloud, policy_id: str | None) -> None:
    cloud.neutron.ports[port(cloud).id] = replace(port(cloud), qos_policy_id=policy_id)


def test_port_without_need_has_no_policy(cloud: FakeCloud) -> None:
    assert port(cloud).qos_policy_id is None


def test_attachment_port_is_exempt_from_the_networks_policy(stretched: Stretched, cloud: FakeCloud) -> None:
    before = port(cloud)
    set_on_network(cloud, "10M")
    stretched.federation.settle()
    ours = port(cloud).qos_policy_id
    assert ours not in {None, "10M"}
    assert port(cloud) == replace(before, qos_policy_id=ours)
    assert reason(stretched.a.expansion(), "QoSPolicy") is None
    writes = cloud.neutron.writes
    stretched.federation.settle()
    assert cloud.neutron.writes == writes
    set_on_network(cloud, None)
    stretched.federation.settle()
    assert port(cloud).qos_policy_id == ours, "it limits nothing"


def test_port_that_is_made_again_is_exempt_too(stretched: Stretched, cloud: FakeCloud) -> None:
    set_on_network(cloud, "10M")
    stretched.federation.settle()
    before = port(cloud)
    cloud.neutron.delete_port(before.id)
    stretched.federation.settle()
    assert port(cloud).id != before.id
    assert port(cloud).qos_policy_id == before.qos_policy_id


@pytest.mark.parametrize("first", ["port", "network"])
def test_policy_that_an_administrator_sets_on_the_port_stays(
    stretched: Stretched, cloud: FakeCloud, first: str
) -> None:
    if first == "network":
        set_on_network(cloud, "10M")
        stretched.federation.settle()
    set_on_port(cloud, "100M")
    set_on_network(cloud, "10M")
    stretched.federation.settle()
    assert port(cloud).qos_policy_id == "100M"
    assert reason(stretched.a.expansion(), "QoSPolicy") is None


def test_refusal_of_neutron_is_no_failure_of_the_network(
    stretched: Stretched, cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.neutron.refuses_qos_policies = True
    set_on_network(cloud, "10M")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            stretched.federation.settle()
    assert caplog.text.count("(rule:create_policy) is disallowed by policy") == 1, "it is not asked again and again"
    assert (ready(stretched.a), ready(stretched.b), reason(stretched.a.expansion())) == ("Ready", "Ready", "Ready")
    (attachment,) = cloud.attachments()
    assert reason(attachment, "Degraded") != "Forbidden"
    expansion = stretched.a.expansion()
    assert expansion is not None
    reported = condition_of(expansion.status.conditions, "QoSPolicy")
    if cloud is stretched.a:
        assert reported is not None
        assert "have an administrator allow Isthmus to create QoS policies in Neutron" in reported.message
    else:
        assert reported is None
    assert port(cloud).qos_policy_id is None


def test_after_a_refusal_it_is_tried_again(stretched: Stretched, cloud: FakeCloud) -> None:
    cloud.neutron.refuses_qos_policies = True
    set_on_network(cloud, "10M")
    stretched.federation.settle()
    cloud.neutron.refuses_qos_policies = False
    stretched.federation.settle()
    assert port(cloud).qos_policy_id is None
    stretched.federation.clock.move(PAUSE_SECONDS)
    stretched.federation.settle()
    assert port(cloud).qos_policy_id is not None
    assert reason(stretched.a.expansion(), "QoSPolicy") is None


def test_other_changes_are_made_while_it_is_refused(stretched: Stretched, cloud: FakeCloud) -> None:
    cloud.neutron.refuses_qos_policies = True
    set_on_network(cloud, "10M")
    stretched.federation.settle()
    before = port(cloud)
    cloud.neutron.ports[before.id] = replace(before, admin_state_up=False)
    stretched.federation.settle()
    assert port(cloud) == before


def test_policy_is_not_fought_over(stretched: Stretched, cloud: FakeCloud) -> None:
    set_on_network(cloud, "10M")
    stretched.federation.settle()
    for _ in range(MAX_REPAIRS - 1):
        set_on_port(cloud, None)
        stretched.federation.settle()
        assert port(cloud).qos_policy_id is not None
    set_on_port(cloud, None)
    stretched.federation.settle()
    assert port(cloud).qos_policy_id is None
    (attachment,) = cloud.attachments()
    assert (ready(cloud), reason(attachment, "Degraded")) == ("Ready", "DriftContested")
    assert reason(stretched.a.expansion(), "QoSPolicy") == ("PolicyOnNetwork" if cloud is stretched.a else None)


def test_network_with_a_policy_is_withdrawn(stretched: Stretched, cloud: FakeCloud) -> None:
    set_on_network(cloud, "10M")
    stretched.federation.settle()
    stretched.withdraw()
    stretched.federation.settle()
    assert stretched.attachment_ports(cloud) == []
    assert stretched.b.neutron.networks == {}
