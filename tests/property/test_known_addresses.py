"""Whatever a peer publishes, ARP is answered only for addresses that belong to it, each with its one MAC address."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.known_addresses import with_known_addresses
from isthmus.core.network.port_slices import RemotePorts
from isthmus.model.api.v1alpha1.attachment import MAX_KNOWN_ADDRESSES, AttachmentLink
from isthmus.model.api.v1alpha1.expansionlink import PublishedPort
from tests.fakes.nodeobjects import link

LOWEST = int(IPv4Address("10.20.0.0"))
numbers = st.integers(LOWEST, LOWEST + 12)
spans = st.lists(numbers, min_size=2, max_size=4, unique=True).map(sorted)
# Of a machine, of a group, of nobody.
macs = st.sampled_from(("fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "33:33:00:00:00:01", "00:00:00:00:00:00"))
ports = st.lists(st.tuples(st.lists(numbers, max_size=3, unique=True), macs), max_size=8)


def _published(found: list[tuple[list[int], str]]) -> tuple[PublishedPort, ...]:
    return tuple(
        PublishedPort(id=str(UUID(int=n)), mac=mac, addresses=tuple(str(IPv4Address(a)) for a in addresses))
        for n, (addresses, mac) in enumerate(found)
    )


def _path(*known: tuple[int, str], cloud_id: str = "cloud-b") -> AttachmentLink:
    entries: list[Any] = [{"address": str(IPv4Address(address)), "mac": mac} for address, mac in known]
    return AttachmentLink.model_validate(link(1, cloud_id) | {"knownAddresses": entries})


@given(spans, ports, ports, st.sets(numbers, max_size=2), st.booleans(), st.dictionaries(numbers, macs, max_size=6))
def test_only_addresses_of_the_peer_are_known(
    span: list[int],
    theirs: list[tuple[list[int], str]],
    ours: list[tuple[list[int], str]],
    gateways: set[int],
    complete: bool,
    earlier: dict[int, str],
) -> None:
    belonging = ((span[0], span[1]), *([(span[2], span[3])] if len(span) == 4 else []))
    before = (_path(*earlier.items()), _path((LOWEST, "fa:16:3e:00:00:03"), cloud_id="cloud-c"))
    gateway_addresses = [str(IPv4Address(number)) for number in gateways]
    remote = RemotePorts(_published(theirs), complete)
    path = with_known_addresses(_path(), remote, belonging, _published(ours), gateway_addresses, before)
    known = {int(IPv4Address(entry.address)): entry.mac for entry in path.known_addresses}
    local = {address for addresses, _ in ours for address in addresses}
    published = {a: {mac for addresses, mac in theirs if a in addresses} for a in range(LOWEST, LOWEST + 13)}
    if not complete:
        published |= {a: {mac} for a, mac in earlier.items() if not published[a]}
    assert known == {
        address: next(iter(of_address))
        for address, of_address in published.items()
        if len(of_address) == 1
        and of_address & {"fa:16:3e:00:00:01", "fa:16:3e:00:00:02"}
        and address not in local
        and any(first <= address <= last for first, last in belonging)
    }
    assert len(known) == len(path.known_addresses) <= MAX_KNOWN_ADDRESSES
    assert [a in gateways for a in known] == sorted((a in gateways for a in known), reverse=True)
    assert path.model_copy(update={"known_addresses": ()}) == _path()
