"""What our own change made of the facts is what OpenStack tells, and so it is not asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from isthmus.controller.facts import FactCache
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.ports import NetworkCloud
from tests.fakes.federation import FakeFederation


class Recording:
    """OpenStack; the names of the calls in order."""

    def __init__(self, cloud: NetworkCloud) -> None:
        self._cloud = cloud
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cloud, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            return method(*arguments, **named)

        return call


@pytest.fixture
def agreed() -> FakeFederation:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    return federation


def stretch(federation: FakeFederation) -> None:
    a, _ = federation.clouds
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()


def without_dhcp_port(facts: NetworkFacts) -> NetworkFacts:
    """Neutron creates it when it likes: it is found like the ports that tenants create."""
    return replace(facts, ports=tuple(port for port in facts.ports if port.device_owner != "network:dhcp"))


def test_replica_is_completed_without_asking_again(agreed: FakeFederation) -> None:
    b = agreed.clouds[1]
    recording = Recording(b.neutron)
    b.restart(b.with_cloud(cast(NetworkCloud, recording)))
    stretch(agreed)
    made = ["create_network", "tag_network", "create_subnet", "create_gateway_port", "create_attachment_port"]
    first = recording.calls.index(made[0])
    asked = [name for name in recording.calls[first : first + len(made) + 1] if name != "own_project_id"]
    assert asked[: len(made)] == made


@pytest.mark.parametrize("side", [0, 1], ids=["origin", "receiver"])
def test_known_facts_are_what_openstack_tells(
    agreed: FakeFederation, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, known = agreed.clouds[side].controller.engine, list[NetworkFacts]()
    amend = FactCache.amend

    def checked(self: FactCache[NetworkFacts], name: str, version: int, facts: NetworkFacts) -> None:
        amend(self, name, version, facts)
        if self is engine.tools.facts.networks:
            assert without_dhcp_port(facts) == without_dhcp_port(self.fetch(engine.state.snapshot(), name))
            known.append(facts)

    monkeypatch.setattr(FactCache, "amend", checked)
    stretch(agreed)
    assert len(known) == (6 if side else 2)
