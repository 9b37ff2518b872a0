"""What `kubectl isthmus uninstall` does next, what it waits for, and what it says of that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.plugin.core.leases import leases
from isthmus.plugin.core.refusals import Misused
from isthmus.plugin.core.removal.installation import Installation
from isthmus.plugin.core.removal.left import Left, Stage, left
from isthmus.plugin.core.removal.steps import Delete, Forget, hanging, steps, summary
from tests.fakes.kubectl import documents, lease, stretched
from tests.fakes.removal import (
    ATTACHMENT,
    AWAY,
    FINALIZER,
    NETWORK,
    PEER,
    Document,
    ending,
    forgotten,
    gateway,
    item,
    role,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


ACTIVE = leases([lease("isthmus-controller", NOW.isoformat())], NOW)


def test_order() -> None:
    """Networks, then peers, then what the controller and the agents remove by themselves."""
    everything = [NETWORK, PEER, ATTACHMENT, gateway("cloud-b")]
    stages = [left(everything[number:]).stage for number in range(5)]
    assert stages == [Stage.NETWORKS, Stage.PEERS, Stage.REST, Stage.REST, Stage.NOTHING]
    assert left([gateway()]).stage is Stage.NOTHING, "a gateway node without connections is not in use"
    assert steps(left(everything), forget_unreachable=True) == [Delete("NetworkExpansion", "shop", ("web",))]
    assert steps(left(everything[1:]), forget_unreachable=True) == [Delete("CloudPeer", "", ("cloud-b",))]
    assert steps(left(everything[2:]), forget_unreachable=True) == []


def test_what_is_being_deleted_is_not_deleted_again() -> None:
    assert steps(left([ending(NETWORK), PEER]), forget_unreachable=False) == []
    other = item("NetworkExpansion", "new", "shop")
    assert steps(left([ending(NETWORK), other]), forget_unreachable=False) == [
        Delete("NetworkExpansion", "shop", ("new",))
    ]


def test_many_networks_are_deleted_in_parts() -> None:
    many = [item("NetworkExpansion", f"n{number}", f"ns{number % 2}") for number in range(250)]
    found = steps(left(many), forget_unreachable=False)
    assert [(step.namespace, len(step.names)) for step in found if isinstance(step, Delete)] == [
        ("ns0", 100), ("ns0", 25), ("ns1", 100), ("ns1", 25),
    ]  # fmt: skip


def test_only_unreachable_peers_are_forgotten_and_only_if_wanted() -> None:
    deleted = Delete("CloudPeer", "", ("cloud-b", "cloud-c"))
    assert steps(left([PEER, AWAY]), forget_unreachable=False) == [deleted]
    assert steps(left([PEER, AWAY]), forget_unreachable=True) == [Forget("cloud-c"), deleted]
    assert steps(left([PEER, ending(AWAY)]), forget_unreachable=True)[0] == Forget("cloud-c"), "an interrupted run"
    assert steps(left([forgotten(AWAY)]), forget_unreachable=True) == []


@pytest.mark.parametrize(
    ("items", "processes", "parts"),
    [
        (
            [item("NetworkExpansion", "web", "shop", conditions=[("Ready", "False", "OpenStack does not answer")])],
            ACTIVE,
            [
                "NetworkExpansion shop/web is still there",
                "60 s: OpenStack does not answer",
                f"finalizer is {FINALIZER}",
            ],
        ),
        ([NETWORK], {}, ["the controller has not reported why", "no controller is active"]),
        (
            [item("NetworkExpansion", "web", "shop", finalizers=["example.org/x"])],
            ACTIVE,
            ["finalizers that are not of Isthmus: example.org/x"],
        ),
        (
            [PEER, ending(AWAY)],
            ACTIVE,
            ["CloudPeer cloud-c (and 1 more)", "no answer", "gone for good: kubectl isthmus forget cloud-c"],
        ),
        (
            [
                PEER,
                item("Attachment", "x.y", "isthmus-system", conditions=[("Ready", "False", "replica in use by p1")]),
            ],
            ACTIVE,
            ["CloudPeer cloud-b is still there", "Attachment isthmus-system/x.y: replica in use by p1"],
        ),
        (
            [gateway("cloud-b", "cloud-b")],
            ACTIVE,
            [
                "GatewayNode gw-a1",
                "it has connections to cloud-b",
                "its agent does not run",
                "gw-a1 isthmus.cloud/gateway-",
            ],
        ),
    ],
)
def test_object_that_hangs_is_named_with_its_reason(items: list[Document], processes: Any, parts: list[str]) -> None:
    sentence = str(hanging(left(items), processes, 60))
    assert [part for part in parts if part not in sentence] == []
    assert "\n" not in sentence
    assert sentence.endswith("run the command again to go on")


def test_summary_shows_what_goes() -> None:
    found = left([NETWORK, PEER, AWAY, ATTACHMENT])
    lines = summary("cloud-a", found, "Helm release isthmus-system/isthmus", forget_unreachable=False)
    assert lines == [
        "Isthmus is removed from cloud-a:",
        "  networks      shop/web",
        "  replicas      1 of peers' networks, each when no machine is left on it",
        "  peers         cloud-b, cloud-c (not reachable: will be waited for)",
        "  installation  Helm release isthmus-system/isthmus",
        "Machines on both sides lose the connection.",
    ]
    many = left([item("NetworkExpansion", f"n{number}", "shop") for number in range(12)])
    assert summary("", many, "", forget_unreachable=True)[1].endswith("shop/n9 and 2 more")
    assert summary("", Left(), "none", forget_unreachable=True)[-1] == "  installation  none"


def test_objects_of_a_real_controller_are_understood() -> None:
    found = left(documents(stretched().clouds[0]))
    assert [each.label for each in found.expansions] == ["NetworkExpansion shop/web"]
    assert [each.label for each in found.peers] == ["CloudPeer cloud-b"]
    assert {each.kind for each in found.rest} == {"Attachment", "PeerLink", "GatewayNode"}


def test_installation_is_recognised() -> None:
    assert Installation.parse([role("mine")], None) == Installation("mine")
    assert Installation.parse([role("mine")], "mine") == Installation("mine")
    assert Installation.parse([role()], None) == Installation(is_native=True)
    assert Installation.parse([role()], "other") == Installation("other")
    assert Installation.parse([], "other").is_absent
    with pytest.raises(Misused, match="the release is mine, and not other"):
        Installation.parse([role("mine")], "other")
