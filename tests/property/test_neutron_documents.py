"""Whatever Neutron returns becomes facts, and whatever offer is made of them is one that a receiver accepts."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.openstack import facts
from isthmus.core.network.allocation_pools import pool_updates
from isthmus.core.network.attachment import network_identity
from isthmus.core.network.origin.admission import stretchable
from isthmus.core.network.origin.layer2 import layer2_problem
from isthmus.core.network.origin.offer import offered_spec
from isthmus.core.network.origin.restrictions import restrictions
from isthmus.core.network.remote_link import offer_problem
from isthmus.core.network.slices import allocate, has_slices
from isthmus.model.facts.openstack import NetworkFacts, Project
from isthmus.model.names import link_name

NETWORK_ID = str(uuid.UUID(int=7))
TEXT = st.text(max_size=20)
ADDRESS = st.one_of(
    st.integers(0, 255).map(lambda n: f"10.20.0.{n}"),
    st.sampled_from(["10.20.1.7", "fd00::7", "192.0.2.53", "0.0.0.0", "10.20.0.07", "fe80::1%eth0"]),
    TEXT,
)
CIDR = st.one_of(
    st.sampled_from(
        ["10.20.0.0/24", "10.20.0.0/255.255.255.0", "10.20.0.0/28", "10.20.0.0/31", "224.0.0.0/24", "fd00::/64", "::/0"]
    ),
    st.builds("{}/{}".format, ADDRESS, st.integers(0, 40)),
    TEXT,
)
ODD: st.SearchStrategy[Any] = st.one_of(st.none(), TEXT, st.integers(), st.just({}))


def documents(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({k: st.just(v) for k, v in required.items()}, optional=optional)


def records(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A list of objects, of which any may be odd."""
    return st.one_of(st.none(), st.lists(st.one_of(st.fixed_dictionaries(fields), ODD), max_size=4))


NETWORKS = documents(
    {"id": NETWORK_ID},
    name=st.one_of(st.none(), TEXT),
    project_id=st.one_of(st.none(), st.just("p")),
    mtu=st.one_of(st.none(), st.integers(576, 9000)),
    qos_policy_id=st.one_of(st.none(), TEXT),
)
SUBNETS = st.lists(
    st.builds(
        lambda document, cidr, id_: document | {"cidr": cidr, "id": str(uuid.UUID(int=id_))},
        documents(
            {"network_id": NETWORK_ID},
            ip_version=st.sampled_from([4, 6]),
            name=st.one_of(st.none(), TEXT),
            gateway_ip=st.one_of(st.none(), ADDRESS),
            allocation_pools=records(start=ADDRESS, end=ADDRESS),
            dns_nameservers=st.one_of(st.none(), st.lists(st.one_of(ADDRESS, ODD), max_size=4)),
            host_routes=records(destination=st.one_of(CIDR, ODD), nexthop=st.one_of(ADDRESS, ODD)),
            enable_dhcp=st.booleans(),
        ).map(lambda document: {"ip_version": 4} | document),
        CIDR,
        st.integers(1, 1000),
    ),
    max_size=3,
    unique_by=lambda document: document["id"],
)
PORTS = st.lists(
    documents(
        {"id": str(uuid.UUID(int=9)), "network_id": NETWORK_ID},
        mac_address=st.one_of(ODD, st.just("fa:16:3e:00:00:01")),
        fixed_ips=records(ip_address=st.one_of(ADDRESS, ODD)),
        allowed_address_pairs=records(ip_address=st.one_of(ADDRESS, CIDR, ODD)),
        status=ODD,
        device_owner=st.one_of(st.none(), TEXT),
    ),
    max_size=3,
)


@given(network=NETWORKS, subnets=SUBNETS, ports=PORTS)
def test_documents_become_facts_and_offers(
    network: dict[str, Any], subnets: list[dict[str, Any]], ports: list[dict[str, Any]]
) -> None:
    parsed = NetworkFacts(
        "own",
        facts.network(network),
        stretchable(tuple(map(facts.subnet, subnets)), ()),
        tuple(map(facts.port, ports)),
        project=Project("p", "shop", "default", "", True),
    )
    assert layer2_problem(parsed) is None
    restrictions(parsed)
    result = allocate((), parsed, ("cloud-b",), ("cloud-b",), None)
    pool_updates(result.subnets, parsed, ("cloud-b",))
    identity = network_identity(link_name("cloud-a", NETWORK_ID))
    spec = offered_spec("cloud-a", "cloud-b", identity, parsed, result.subnets, tunnel_id=1, mtu=1400, gateway=None)
    if not result.problems and parsed.subnets:
        assert has_slices(result.subnets, parsed, "cloud-b")
        assert spec is not None
        assert spec.offer is not None
        problem = offer_problem(spec.offer)
        refused_by_neutron = ("overlaps", "is outside the subnet")  # also pools outside their subnet
        assert problem is None or any(text in problem.message for text in refused_by_neutron)
