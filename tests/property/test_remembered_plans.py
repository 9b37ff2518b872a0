"""What is planned of ports that were seen before is what is planned of them for the first time."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.attachment import own_macs, published_ports, remote_ports
from isthmus.core.network.known_addresses import with_known_addresses
from isthmus.core.network.ownership import owners_of
from isthmus.core.network.publishers import Publisher, with_moved
from isthmus.core.network.remote_ports import plan_remote_ports
from isthmus.core.network.security_groups import groups_by_name
from isthmus.core.network.used_addresses import used_addresses
from isthmus.model.api.v1alpha1.attachment import AttachmentLink
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.expansionlink import GroupMatching
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.model.remembered import forget
from tests.property.test_remote_ports import OWN, facts, matchings, publishers

Publishers = tuple[Publisher, ...]


@st.composite
def versions(draw: st.DrawFn) -> list[tuple[NetworkFacts, Publishers]]:
    """Each differs from another one by one port at most, as one that is read again; some come back."""
    network, found = draw(facts()), draw(publishers())
    ports = tuple(replace(port, id=str(UUID(int=number))) for number, port in enumerate(network.ports))
    network = replace(network, ports=ports)
    made = [(network, found)]
    for _ in range(draw(st.integers(1, 4))):
        network, found = draw(st.sampled_from(made))
        if network.ports:
            index = draw(st.integers(0, len(network.ports) - 1))
            port = network.ports[index]
            changed = draw(
                st.sampled_from(
                    [
                        (),
                        (deepcopy(port),),
                        (replace(port, project_id=OWN),),
                        (replace(port, mac=""),),
                        (replace(port, device_owner="compute:nova"),),
                    ]
                )
            )
            network = replace(network, ports=(*network.ports[:index], *changed, *network.ports[index + 1 :]))
        made.append((network, draw(st.sampled_from([found, draw(publishers())]))))
    return [*made, *made]


def planned(network: NetworkFacts, found: Publishers, limit: int, matching: GroupMatching | None) -> list[object]:
    """Everything that is remembered."""
    moved = with_moved(found, network, ("10.0.0.1",))
    ours = published_ports(network, ipv6=True, matching=matching)
    gateway = PeerGateway(name="gw", address="192.0.2.1")
    path = AttachmentLink(cloud_id="cloud-b", tunnel_id=1, gateway=gateway)
    return [
        ours,
        published_ports(network),
        own_macs(network),
        owners_of(network, found, ("10.0.0.1",), (), ("10.0.0.9",)),
        remote_ports(network),
        [used_addresses(network.ports, subnet) for subnet in network.subnets],
        [each.moved for each in moved],
        [with_known_addresses(path, each.ports.own, each.belonging, ours, (), ()).known_addresses for each in moved],
        plan_remote_ports(network, moved, limit, groups_by_name(network, matching)),
    ]


@given(versions(), st.integers(0, 12), matchings)
def test_remembered_is_what_would_be_computed(
    seen: list[tuple[NetworkFacts, Publishers]], limit: int, matching: GroupMatching | None
) -> None:
    remembered = [planned(network, found, limit, matching) for network, found in seen]
    for (network, found), plan in zip(seen, remembered, strict=True):
        forget()
        assert planned(network, found, limit, matching) == plan
