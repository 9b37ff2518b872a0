"""Neutron's JSON as facts: canonical addresses, and what is missing or odd never ends a plan."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.adapters.openstack import facts
from isthmus.model.facts.openstack import Range

NETWORK: dict[str, Any] = {"id": "n", "name": "web", "project_id": "p", "mtu": 1450}
SUBNET: dict[str, Any] = {
    "id": "s",
    "network_id": "n",
    "ip_version": 4,
    "cidr": "10.20.0.0/24",
    "gateway_ip": "10.20.0.1",
    "allocation_pools": [{"start": "10.20.0.2", "end": "10.20.0.254"}],
}
PORT: dict[str, Any] = {
    "id": "q",
    "network_id": "n",
    "mac_address": "FA:16:3E:00:00:01",
    "fixed_ips": [{"subnet_id": "s", "ip_address": "10.20.0.7"}],
}


def test_network_of_neutron_itself_has_no_project() -> None:
    assert facts.network(NETWORK | {"project_id": None}).project_id == ""
    assert facts.network({k: v for k, v in NETWORK.items() if k != "project_id"}).project_id == ""


def test_layer2_properties() -> None:
    plain = facts.network(NETWORK)
    assert (plain.network_type, plain.segments, plain.l2_adjacency, plain.admin_state_up) == (None, 1, True, True)
    odd = facts.network(
        NETWORK
        | {
            "provider:network_type": "local",
            "segments": [{}, {}],
            "l2_adjacency": False,
            "vlan_transparent": True,
            "qinq": True,
            "pvlan": True,
            "qos_policy_id": "policy",
            "admin_state_up": False,
            "revision_number": 4,
        }
    )
    assert (odd.network_type, odd.segments, odd.l2_adjacency, odd.vlan_transparent) == ("local", 2, False, True)
    assert (plain.private_vlan, odd.private_vlan) == (False, True)
    assert (odd.qinq, odd.qos_policy_id, odd.admin_state_up, odd.revision) == (True, "policy", False, 4)


def test_host_routes_and_name_servers_are_canonical() -> None:
    subnet = facts.subnet(
        SUBNET
        | {
            "cidr": "10.20.0.0/255.255.255.0",
            "dns_nameservers": ["192.0.2.53", "", "ns.example.com"],
            "host_routes": [
                {"destination": "10.99.0.0/255.255.0.0", "nexthop": "10.20.0.9"},
                {"destination": "10.99.1.2/16", "nexthop": "10.20.0.9"},
                {"destination": "10.98.0.0/16", "nexthop": "router"},
                {"nexthop": "10.20.0.9"},
            ],
        }
    )
    assert (subnet.cidr, subnet.dns_nameservers) == ("10.20.0.0/24", ("192.0.2.53",))
    assert subnet.host_routes == (("10.99.0.0/16", "10.20.0.9"),)
    assert subnet.omitted == (
        "name server ",
        "name server ns.example.com",
        "host route 10.98.0.0/16 router",
        "host route 10.20.0.9",
    )
    assert subnet.pools_are_known


def test_pools_that_are_no_addresses_must_not_be_written() -> None:
    pools = [{"start": "10.20.0.2", "end": "10.20.0.9"}, {"start": "a", "end": "b"}]
    subnet = facts.subnet(SUBNET | {"allocation_pools": pools})
    assert (subnet.pools, subnet.pools_are_known) == ((Range("10.20.0.2", "10.20.0.9"),), False)


def test_port_with_allowed_address_pairs_and_odd_values() -> None:
    pairs = [{"ip_address": "10.20.0.250"}, {"ip_address": "10.20.0.64/29"}, {"ip_address": "all"}]
    port = facts.port(PORT | {"allowed_address_pairs": pairs, "port_security_enabled": False, "admin_state_up": False})
    assert (port.mac, port.addresses) == ("fa:16:3e:00:00:01", ("10.20.0.7",))
    assert port.allowed_addresses == ("10.20.0.250", "10.20.0.64/29")
    assert (port.port_security_enabled, port.admin_state_up) == (False, False)
    assert port.omitted == ("address all",)
    assert (port.qos_policy_id, facts.port(PORT | {"qos_policy_id": "policy"}).qos_policy_id) == (None, "policy")
    infiniband = facts.port(PORT | {"mac_address": "not a mac\x1b"})
    assert (infiniband.mac, infiniband.omitted) == ("", ("MAC address 'not a mac\\x1b'",))


@pytest.mark.parametrize("vif_type", ["binding_failed", "ovs"])
def test_port_that_could_not_be_bound_has_no_host(vif_type: str) -> None:
    port = facts.port(PORT | {"binding:host_id": "gw-1", "binding:vif_type": vif_type})
    assert port.host == ("gw-1" if vif_type == "ovs" else "")
