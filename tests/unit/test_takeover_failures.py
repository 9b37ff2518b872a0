"""What is wanted now and cannot be done is reported, whatever is in place, and prevents no move of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from isthmus.model import names
from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.errors import Conflict, ExternalError, Forbidden, Invalid, QuotaExceeded, Unavailable
from isthmus.model.facts.openstack import NetworkQuota
from isthmus.ports import NetworkCloud, is_effect
from tests.fakes.scenario import Stretched
from tests.fakes.twonodes import TwoNodes

SECRET_TEXT = "http://keystone.internal:5000 does not like it"


class Failing:
    """An OpenStack in which some methods fail, counted by name."""

    def __init__(self, cloud: NetworkCloud) -> None:
        self._cloud = cloud
        self.fails: dict[str, type[ExternalError]] = {}
        self.failed: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            if name in self.fails:
                self.failed.add(name)
                raise self.fails[name](SECRET_TEXT)
            return getattr(self._cloud, name)(*arguments, **named)

        return call


class Takeover(TwoNodes):
    """A takeover is due in a cloud whose OpenStack can be made to fail."""

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.role = role
        self.openstack = Failing(self.cloud.neutron)
        self.cloud.restart(self.cloud.with_cloud(cast(NetworkCloud, self.openstack)))

    @contextmanager
    def due(self) -> Iterator[None]:
        with self.first.not_ready():
            self.pass_time(12)
            yield

    def condition(self, type_: str) -> Condition:
        """Of the Attachment."""
        return _condition(self.cloud.attachments()[0], type_)

    def of_the_tenant(self, type_: str) -> Condition:
        expansion = self.a.expansion()
        assert expansion is not None
        return _condition(expansion, type_)


def _condition(obj: Attachment | NetworkExpansion, type_: str) -> Condition:
    found = condition_of(obj.status.conditions, type_)
    assert found is not None
    return found


@pytest.fixture(params=["origin", "receiver"])
def takeover(request: pytest.FixtureRequest) -> Takeover:
    return Takeover(request.param)


@pytest.mark.parametrize("method", ["delete_port", "create_attachment_port"])
@pytest.mark.parametrize("error", [QuotaExceeded, Unavailable, Forbidden, Conflict, Invalid])
def test_move_that_cannot_be_made_is_reported(takeover: Takeover, method: str, error: type[ExternalError]) -> None:
    takeover.openstack.fails[method] = error
    with takeover.due():
        assert takeover.openstack.failed == {method}
        for type_, status in (("Ready", "False"), ("Degraded", "True")):
            condition = takeover.condition(type_)
            assert (condition.status, condition.reason, condition.message) == (status, error.reason, SECRET_TEXT)
        if takeover.role == "origin":  # of a receiver's failure its tenant learns by the probes
            assert takeover.of_the_tenant("Ready").status == "False"
            assert takeover.of_the_tenant("Degraded").reason == error.reason
        for type_ in ("Ready", "Degraded"):
            assert SECRET_TEXT not in takeover.of_the_tenant(type_).message
        takeover.openstack.fails.clear()
        takeover.settle()
        takeover.check_moved()
        assert takeover.condition("Degraded").status == "False"


def test_quota_that_is_used_up_does_not_prevent_a_move(takeover: Takeover) -> None:
    """The old port goes before the new one is created, so that no more are needed than before."""
    own = takeover.cloud.neutron.own_project_id()
    used = sum(port.project_id == own for port in takeover.cloud.neutron.ports.values())
    takeover.cloud.neutron.set_quota(own, NetworkQuota(networks=100, subnets=100, ports=used))
    with takeover.due():
        takeover.check_moved()


def _disturb_origin(two: Takeover) -> None:
    """The tenant puts the slice back into the pools: they must be cut again."""
    neutron = two.a.neutron
    (subnet,) = (s for s in neutron.subnets.values() if s.cidr == "10.20.0.0/24")
    first, last = subnet.pools[0].first, "10.20.0.254"
    neutron.subnets[subnet.id] = replace(subnet, pools=(replace(subnet.pools[0], first=first, last=last),))


def _disturb_receiver(two: Takeover) -> None:
    """Somebody deletes the port that reserves the gateway's address, changes quotas, subnets and tags."""
    neutron = two.b.neutron
    for port in [p for p in neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER]:
        del neutron.ports[port.id]
    for network in list(neutron.networks.values()):
        neutron.networks[network.id] = replace(network, tags=frozenset())
        neutron.quotas[network.project_id] = NetworkQuota(1, 1, 1)
    for subnet in list(neutron.subnets.values()):
        neutron.subnets[subnet.id] = replace(subnet, enable_dhcp=not subnet.enable_dhcp)


OF_A_MOVE = frozenset({"delete_port", "create_attachment_port"})


@pytest.mark.parametrize(
    ("role", "disturb"), [("origin", _disturb_origin), ("receiver", _disturb_receiver)], ids=["origin", "receiver"]
)
def test_trouble_with_anything_else_does_not_prevent_a_move(role: str, disturb: Callable[[Takeover], None]) -> None:
    two = Takeover(role)
    effects = [name for name in dir(NetworkCloud) if is_effect(name) and name not in OF_A_MOVE]
    two.openstack.fails = dict.fromkeys(effects, Conflict)
    disturb(two)
    two.pass_time(4)
    assert two.openstack.failed, "something was to be repaired"
    assert (two.condition("Ready").status, two.condition("Degraded").status) == ("True", "True")
    with two.due():
        assert two.active is two.second
        assert [port.host for port in two.ports()] == [two.second.host]
        assert (two.condition("Ready").status, two.condition("Degraded").status) == ("True", "True")
        two.openstack.fails.clear()
        two.settle()
        two.check_moved()
        assert two.condition("Degraded").status == "False"


def test_outage_of_openstack_is_not_a_condition_of_every_network() -> None:
    stretched = Stretched()
    failing = Failing(stretched.a.neutron)
    stretched.a.restart(stretched.a.with_cloud(cast(NetworkCloud, failing)))
    failing.fails = dict.fromkeys([name for name in dir(NetworkCloud) if not name.startswith("_")], Unavailable)
    stretched.a.cycle()
    (attachment,) = stretched.a.attachments()
    assert _condition(attachment, "Degraded").status == "False"
    assert _condition(attachment, "Ready").status == "True"
