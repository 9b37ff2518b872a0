"""Attachments as a watch reports them to an agent: none looks deleted that is not, and none is planned twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.agent.kubernetes.attachments import Attachments
from isthmus.agent.kubernetes.reports import KubernetesReports
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.errors import Unavailable
from isthmus.model.tracked import Tracked
from isthmus.telemetry.outages import Outage
from tests.fakes.agent_harness import ManualClock
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import BLUE, NODE, OWN, RED, attachment
from tests.fakes.store import Store

KIND = "Attachment"
NAME = f"{OWN}.{RED}"


class Feed:
    """Attachments and how often a plan was asked for."""

    def __init__(self) -> None:
        self.plans = 0
        outage = Outage("Kubernetes API")
        reports = KubernetesReports(FakeCluster(Store()), NODE, ManualClock(), outage, 30)
        self.observed = Attachments(reports, outage, self._plan)

    def _plan(self) -> None:
        self.plans += 1

    def names(self) -> list[str]:
        return sorted(self._latest()[0])

    def unclear(self) -> frozenset[str]:
        return self._latest()[1]

    def _latest(self) -> tuple[Tracked[str, Attachment], frozenset[str]]:
        found = self.observed.latest()
        assert found is not None
        return found


@pytest.fixture
def feed() -> Feed:
    feed = Feed()
    feed.observed.listed(KIND, [_wire()])
    return feed


def _wire(network: str = RED, **metadata: Any) -> dict[str, Any]:
    wire = attachment(network).to_wire()
    return wire | {"metadata": wire["metadata"] | {"uid": network} | metadata}


def _malformed(network: str = RED) -> dict[str, Any]:
    return _wire(network) | {"spec": {"role": "Nobody"}}


def test_nothing_is_known_before_the_first_list() -> None:
    feed = Feed()
    feed.observed.changed(KIND, _wire())
    assert feed.observed.latest() is None
    feed.observed.listed(KIND, [])
    assert feed.observed.latest() is not None
    assert (feed.names(), feed.plans) == ([], 1)


def test_one_that_never_parsed_is_no_deleted_one() -> None:
    feed = Feed()
    feed.observed.listed(KIND, [_wire(), _malformed(BLUE)])
    assert (feed.names(), feed.unclear(), feed.plans) == ([NAME], frozenset({f"{OWN}.{BLUE}"}), 1)
    feed.observed.changed(KIND, _malformed(BLUE))
    feed.observed.listed(KIND, [_wire(), _malformed(BLUE)])
    assert feed.plans == 1
    feed.observed.changed(KIND, _wire(BLUE))
    assert (feed.names(), feed.unclear(), feed.plans) == ([NAME, f"{OWN}.{BLUE}"], frozenset(), 2)
    feed.observed.changed(KIND, _malformed("0a9af7a5-9cbb-4d3c-8d4e-000000000003"))
    assert (len(feed.unclear()), feed.plans) == (1, 3)
    feed.observed.listed(KIND, [_wire()])
    assert (feed.names(), feed.unclear(), feed.plans) == ([NAME], frozenset(), 4)


def test_one_that_does_not_parse_any_more_keeps_its_last_version(feed: Feed) -> None:
    feed.observed.changed(KIND, _malformed())
    feed.observed.listed(KIND, [_malformed(), _wire(BLUE)])
    assert feed.names() == [NAME, f"{OWN}.{BLUE}"]


def test_an_interrupted_list_changes_nothing(feed: Feed) -> None:
    def interrupted() -> Iterator[dict[str, Any]]:
        yield _wire(BLUE)
        raise Unavailable("the connection was closed")

    with pytest.raises(Unavailable):
        feed.observed.listed(KIND, interrupted())
    assert feed.names() == [NAME]


def test_only_what_a_plan_may_depend_on_asks_for_one(feed: Feed) -> None:
    assert feed.plans == 1
    feed.observed.listed(KIND, [_wire()])
    feed.observed.changed(KIND, _wire(resourceVersion="7"))
    assert feed.plans == 1, "a status was written"
    feed.observed.changed(KIND, _wire(generation=4))
    feed.observed.changed(KIND, _wire(BLUE))
    feed.observed.removed(KIND, _wire(BLUE))
    assert (feed.plans, feed.names()) == (4, [NAME])


def test_objects_of_other_namespaces_are_ignored(feed: Feed) -> None:
    elsewhere = _wire(BLUE, namespace="default")
    feed.observed.changed(KIND, elsewhere)
    feed.observed.removed(KIND, _wire(namespace="default"))
    feed.observed.listed(KIND, [_wire(), elsewhere])
    assert (feed.plans, feed.names()) == (1, [NAME])


def test_an_outage_keeps_what_is_known(feed: Feed) -> None:
    feed.observed.failed(KIND, Unavailable("no answer"))
    assert feed.names() == [NAME]
