"""Rules of security groups in Neutron's JSON: what is said exactly, and what is not said at all."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.adapters.openstack.rules import rule_json, security_group_rules
from isthmus.model.facts.openstack import AllowedTraffic

RULE = {
    "id": "r1",
    "direction": "ingress",
    "ethertype": "IPv4",
    "protocol": None,
    "port_range_min": None,
    "port_range_max": None,
    "remote_ip_prefix": None,
    "remote_group_id": None,
    "remote_address_group_id": None,
}


def allowed(**changes: Any) -> AllowedTraffic | None:
    (rule,) = security_group_rules([RULE | changes])
    return rule.allowed


@pytest.mark.parametrize(
    ("protocol", "ethertype", "number"),
    [
        (None, "IPv4", None),
        ("tcp", "IPv4", 6),
        ("TCP", "IPv4", 6),
        ("6", "IPv4", 6),
        ("icmp", "IPv4", 1),
        ("icmp", "IPv6", 58),
        ("icmpv6", "IPv6", 58),
        ("ipv6-icmp", "IPv6", 58),
        ("1", "IPv6", 58),
        ("200", "IPv4", 200),
        ("0", "IPv4", None),
        ("any", "IPv4", None),
    ],
)
def test_protocol_is_a_number(protocol: str | None, ethertype: str, number: int | None) -> None:
    assert allowed(protocol=protocol, ethertype=ethertype) == AllowedTraffic("ingress", int(ethertype[-1]), number)


@pytest.mark.parametrize(
    "odd",
    [
        {"remote_address_group_id": "a1"},
        {"protocol": "something-new"},
        {"protocol": "256"},
        {"remote_ip_prefix": "everywhere"},
        {"ethertype": "IPv7"},
    ],
)
def test_what_is_not_known_is_not_said(odd: dict[str, str]) -> None:
    assert allowed(**odd) is None


def test_prefix_has_its_canonical_form() -> None:
    found = allowed(remote_ip_prefix="192.0.2.7/24")
    assert found is not None
    assert found.remote_prefix == "192.0.2.0/24"


def test_rules_are_in_order() -> None:
    found = security_group_rules([RULE | {"id": id_} for id_ in ("r2", "r1")])
    assert [rule.id for rule in found] == ["r1", "r2"]


@pytest.mark.parametrize(
    "wanted",
    [
        AllowedTraffic("egress", 6),
        AllowedTraffic("ingress", 4, 6, 22, 23, "192.0.2.0/24"),
        AllowedTraffic("ingress", 6, 58, 128, 0, remote_group="g1"),
        AllowedTraffic("ingress", 4, 200),
    ],
)
def test_rule_to_create_says_the_same(wanted: AllowedTraffic) -> None:
    document = rule_json("p1", "g2", wanted)
    assert (document["project_id"], document["security_group_id"]) == ("p1", "g2")
    (rule,) = security_group_rules([{"id": "r1", **document}])
    assert rule.allowed == wanted
