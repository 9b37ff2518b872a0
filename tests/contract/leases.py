"""Contract of ports.Leases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from isthmus.model.errors import Conflict, ExternalError, NotFound
from isthmus.model.facts.lease import Lease
from isthmus.ports import Leases

WHEN = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
WRITERS = 8
OWNER, ABSENT = "lease-owner", "lease-owner-absent"


def lease(name: str, **fields: object) -> Lease:
    """A Lease that does not exist yet."""
    new = Lease(name, holder="one", duration_seconds=15, acquired=WHEN, renewed=WHEN, transitions=3)
    return replace(new, **fields)  # type: ignore[arg-type]


class LeasesContract:
    """Subclasses provide the fixture `leases`, with a GatewayNode `OWNER` and none that is called `ABSENT`."""

    def test_created_lease_is_stored(self, leases: Leases) -> None:
        created = leases.update_lease(lease("isthmus-created"))
        assert created.resource_version
        assert created == lease("isthmus-created", resource_version=created.resource_version)
        assert leases.get_lease("isthmus-created") == created
        assert created in leases.list_leases()

    def test_absent_lease_is_none(self, leases: Leases) -> None:
        assert leases.get_lease("isthmus-absent") is None
        with pytest.raises(NotFound):
            leases.update_lease(lease("isthmus-absent", resource_version="1"))

    def test_second_creation_is_a_conflict(self, leases: Leases) -> None:
        leases.update_lease(lease("isthmus-twice"))
        with pytest.raises(Conflict):
            leases.update_lease(lease("isthmus-twice", holder="other"))
        assert (leases.get_lease("isthmus-twice") or lease("")).holder == "one"

    def test_write_of_an_old_version_is_a_conflict(self, leases: Leases) -> None:
        old = leases.update_lease(lease("isthmus-old"))
        new = leases.update_lease(replace(old, holder="two"))
        with pytest.raises(Conflict):
            leases.update_lease(replace(old, holder="three"))
        assert leases.get_lease("isthmus-old") == new

    def test_released_lease_has_no_holder(self, leases: Leases) -> None:
        held = leases.update_lease(lease("isthmus-released"))
        released = leases.update_lease(replace(held, holder="", duration_seconds=1))
        assert (released.holder, released.duration_seconds, released.transitions) == ("", 1, 3)

    def test_lease_keeps_the_gateway_node_that_owns_it(self, leases: Leases) -> None:
        created = leases.update_lease(lease("isthmus-owned", gateway_node=OWNER))
        assert created.gateway_node == OWNER
        renewed = leases.update_lease(replace(created, holder="two", gateway_node=""))
        assert (renewed.holder, renewed.gateway_node) == ("two", OWNER)
        assert leases.get_lease("isthmus-owned") == renewed

    def test_annotations_are_stored_and_others_are_kept(self, leases: Leases) -> None:
        first, second = {"isthmus.cloud/cloud-id": "cloud-a"}, {"isthmus.cloud/gateway-cidrs": "192.0.2.0/24"}
        created = leases.update_lease(lease("isthmus-annotated", annotations=first))
        assert created.annotations == first
        assert leases.update_lease(replace(created, annotations=second)).annotations == first | second

    def test_lease_of_an_absent_gateway_node_is_not_created(self, leases: Leases) -> None:
        with pytest.raises(NotFound, match=ABSENT):
            leases.update_lease(lease("isthmus-unowned", gateway_node=ABSENT))
        assert leases.get_lease("isthmus-unowned") is None

    def test_one_of_many_writers_wins(self, leases: Leases) -> None:
        read = leases.update_lease(lease("isthmus-race"))

        def write(number: int) -> bool:
            try:
                leases.update_lease(replace(read, holder=f"writer-{number}"))
            except ExternalError:
                return False
            return True

        with ThreadPoolExecutor(WRITERS) as threads:
            assert list(threads.map(write, range(WRITERS))).count(True) == 1
