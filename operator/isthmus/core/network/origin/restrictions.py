"""Conditions about what does not work, or works less well, on a stretched network because of how Neutron serves it."""

from __future__ import annotations

from isthmus.core.network.attachment import limited_ports
from isthmus.core.snapshot.conditions import true
from isthmus.model.api.objects import Condition
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.model.reasons import ConditionType, Reason

_DISTRIBUTED_INTERFACE = "network:router_interface_distributed"  # only ML2/OVS has ports of this owner


def restrictions(facts: NetworkFacts) -> list[Condition]:
    """The conditions that are true; none are present otherwise."""
    found: list[Condition] = []
    routers = sorted(port.id for port in facts.ports if port.device_owner == _DISTRIBUTED_INTERFACE)
    if routers:
        text = (
            f"port {routers[0]} belongs to a distributed router: Open vSwitch drops what its instances on other nodes "
            "send to machines at the peers; use a centralised router (distributed=False)"
        )
        found.append(true(ConditionType.DISTRIBUTED_ROUTER, Reason.ROUTER_IS_DISTRIBUTED, text))
    if facts.network is not None and limited_ports(facts):
        policy = facts.network.qos_policy_id
        text = (
            f"QoS policy {policy} of the network also applies to our attachment port, which could not be exempted: all "
            "machines at the peers share the limits of one machine; set the policy on the machines' ports instead, or "
            "have an administrator allow Isthmus to create QoS policies in Neutron and to set them on its ports"
        )
        found.append(true(ConditionType.QOS_POLICY, Reason.POLICY_ON_NETWORK, text))
    return found
