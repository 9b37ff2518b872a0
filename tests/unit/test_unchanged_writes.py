"""Writes that change nothing: they neither keep the controller busy nor are repeated within a cycle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from isthmus.controller import reconciliation
from isthmus.controller.reconciliation import Iteration
from isthmus.controller.scopes import SnapshotScope
from isthmus.core.keys.key import GATEWAY_NODES, peer_key
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import ApplyObject, Plan
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.errors import Invalid
from tests.contract.samples import condition
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, FakeFederation


@pytest.fixture
def federation() -> FakeFederation:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    return federation


def test_condition_of_another_manager_makes_no_work(federation: FakeFederation) -> None:
    a, _ = federation.clouds
    health = Condition.model_validate(condition().model_dump() | {"type": "GitOpsHealth"})
    peer = a.peer("cloud-b")
    other = FakeCluster(a.store, "gitops")
    other.apply_status(peer.model_copy(update={"status": peer.status.model_copy(update={"conditions": (health,)})}))
    federation.settle()
    writes, events = a.store.writes, len(a.store.events)
    for _ in range(3):
        assert a.cycle().actions == 0
    assert (a.store.writes, len(a.store.events)) == (writes, events)
    assert "GitOpsHealth" in {c.type for c in a.peer("cloud-b").status.conditions}


class _Folding(SnapshotScope):
    """A scope whose object an API server stores otherwise than it was sent."""

    plans: ClassVar[list[CloudPeer]] = []
    wanted: ClassVar[CloudPeer]

    def plan(self, snapshot: Snapshot) -> Plan:
        self.plans.append(self.wanted)
        return Plan((ApplyObject(self.wanted),))


def test_apply_that_changes_nothing_ends_the_rounds(
    federation: FakeFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = federation.clouds
    _Folding.wanted = stored = a.peer("cloud-b")
    a.restart(_backends(a, apply=lambda _: stored))
    a.cycle()
    monkeypatch.setattr(reconciliation, "scope_of", lambda *_: _Folding(GATEWAY_NODES, lambda _: Plan()))
    iteration = Iteration(peer_key("cloud-b"), a.controller.engine.tools)
    iteration.run()
    assert (len(_Folding.plans), iteration.actions) == (1, 0)
    assert iteration.failure is not None
    assert iteration.failure.reason == "NotSettled"
    assert "CloudPeer" in iteration.failure.message


def test_rejected_status_does_not_prevent_the_others(federation: FakeFederation) -> None:
    a, _ = federation.clouds
    _, first, _ = a.tenant()
    a.expand(first.id, "cloud-b")
    rejected: list[str] = []

    def apply_status(obj: Any) -> Any:
        if isinstance(obj, CloudPeer):
            rejected.append(obj.metadata.name)
            raise Invalid("status.networkName: Invalid value", ["status.networkName"])
        return a.backends.cluster.apply_status(obj)

    a.restart(_backends(a, apply_status=apply_status))
    federation.settle()
    expansion = a.expansion()
    assert expansion is not None
    assert expansion.status.conditions


def _backends(cloud: FakeCloud, **methods: Any) -> Any:
    """The cloud's, with another cluster for these methods."""

    class Changed:
        def __getattr__(self, name: str) -> Any:
            return methods.get(name, getattr(cloud.backends.cluster, name))

    return replace(cloud.backends, cluster=Changed())
