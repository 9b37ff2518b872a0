"""How many addresses of its peers a node answers ARP requests for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from isthmus.core.node import answers
from isthmus.core.node.answers import known_per_link
from isthmus.model.api.v1alpha1.attachment import MAX_KNOWN_ADDRESSES
from isthmus.model.node.flows import KnownAddress
from tests.fakes import flowplans

MAC = "fa:16:3e:00:00:77"


def test_number_of_answered_addresses_is_bounded_on_a_node() -> None:
    assert known_per_link(0) == known_per_link(1) == known_per_link(2048) == MAX_KNOWN_ADDRESSES
    assert [known_per_link(links) for links in (2049, 4096, 12_000, 65_536, 65_537)] == [16, 16, 4, 1, 0]
    assert all(links * known_per_link(links) <= 65_536 for links in range(1, 70_000, 7))


def test_node_answers_for_the_first_addresses_of_each_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the number of its links allows."""
    monkeypatch.setattr(answers, "_MAX_KNOWN_ON_NODE", 7)
    known = tuple(KnownAddress(f"10.0.0.{number}", MAC) for number in range(1, 6))

    def flows(networks: int) -> list[int]:
        found = [flowplans.network(index, peers=("cloud-b",)) for index in range(networks)]
        found = [replace(each, links=(replace(each.links[0], known=known),)) for each in found]
        bridge.have(flowplans.plan(found, peers=("cloud-b",)))
        text = "\n".join(flow for flows in bridge.installed().values() for flow in flows)
        return sorted(map(int, re.findall(r"table=12,.*arp_tpa=10\.0\.0\.(\d+) ", text)))

    bridge = flowplans.Bridge()
    assert flows(1) == [1, 2, 3, 4]
    assert flows(3) == [1, 1, 1, 2, 2, 2]
    assert flows(2) == [1, 1, 2, 2]
    assert flows(8) == []
    assert flows(1) == [1, 2, 3, 4]
