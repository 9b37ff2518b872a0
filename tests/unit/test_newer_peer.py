"""A peer of a newer release publishes what this one does not know: it is reported, and what is stretched stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.names import API_VERSION
from isthmus.model.protocol import READ_AS
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Stretched
from tests.fakes.store import Key

NAMED = {"name": "gw-named", "address": "gw-named.example.org"}


@pytest.fixture
def ready() -> Stretched:
    return Stretched()


def edit(cloud: FakeCloud, reader: FakeCloud, kind: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a spec that a cloud publishes past the schema of our release, as the newer one's API server stores it."""
    (key,) = (k for k in cloud.store.entries if (k.kind, k.namespace) == (kind, names.peer_namespace(reader.cloud_id)))
    entry = cloud.store.entries[key].copy()
    change(entry.manifest["spec"])
    cloud.store.put(key, entry, spec_changed=True)


def understood(cloud: FakeCloud, peer: str) -> tuple[str, str]:
    condition = condition_of(cloud.peer(peer).status.conditions, "Understood")
    assert condition is not None
    return condition.status, condition.message


def test_everything_of_a_peer_of_this_release_is_understood(ready: Stretched) -> None:
    assert understood(ready.a, "cloud-b") == understood(ready.b, "cloud-a") == ("True", "")


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("state", lambda spec: spec.update(state="Drained")),
        ("gateways[]", lambda spec: spec["gateways"].append(NAMED)),
        ("ipsec.espProposals[]", lambda spec: spec["ipsec"]["espProposals"].insert(0, "aes256gcm16+mlkem768")),
    ],
)
def test_unknown_part_of_a_peer_link(ready: Stretched, field: str, change: Callable[[dict[str, Any]], Any]) -> None:
    edit(ready.b, ready.a, "PeerLink", change)
    ready.a.cycle()
    assert reason(ready.a.peer("cloud-b")) == "Ready"
    assert understood(ready.a, "cloud-b") == ("False", f"left out: PeerLink: {field}")
    assert reason(ready.a.expansion()) == "Ready"


def test_newer_versions_beside_a_common_one(ready: Stretched) -> None:
    edit(ready.b, ready.a, "PeerLink", lambda spec: spec.update(protocolVersions=[1, 2, 3, 4]))
    ready.a.cycle()
    assert reason(ready.a.peer("cloud-b")) == "Ready"


def test_without_a_common_version_there_is_no_agreement(ready: Stretched) -> None:
    edit(ready.b, ready.a, "PeerLink", lambda spec: spec.update(protocolVersions=[900]))
    ready.a.cycle()
    assert reason(ready.a.peer("cloud-b")) == "ProtocolVersionsDiffer"


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(state="Paused"),
        lambda spec: spec["answer"].update(verdict="Draining", reason="not known"),
        lambda spec: spec.update(ports=[{"id": "anything else"}]),
    ],
)
def test_unknown_part_of_an_answer(ready: Stretched, change: Callable[[dict[str, Any]], Any]) -> None:
    def with_other_mtu(spec: dict[str, Any]) -> None:
        change(spec)
        spec["mtu"] = 1300

    edit(ready.b, ready.a, "ExpansionLink", with_other_mtu)
    ready.a.cycle()
    (link,) = ready.a.links()
    assert link.status.mtu == 1300, "what is understood of it is in use"
    (attachment,) = ready.a.attachments()
    assert [path.cloud_id for path in attachment.spec.links] == ["cloud-b"]
    assert understood(ready.a, "cloud-b")[0] == "False"


def test_unknown_state_of_an_offer_that_was_accepted(ready: Stretched) -> None:
    edit(ready.a, ready.b, "ExpansionLink", lambda spec: spec.update(state="Paused", mtu=1300))
    ready.b.cycle()
    (attachment,) = ready.b.attachments()
    assert (attachment.spec.mtu, len(attachment.spec.links)) == (1300, 1)


def test_accepted_subnet_that_is_not_understood_any_more_is_kept(ready: Stretched) -> None:
    edit(ready.a, ready.b, "ExpansionLink", lambda spec: spec["offer"]["subnets"].append({"id": "new", "prefix": "::"}))
    ready.b.cycle()
    (link,) = ready.b.links()
    assert link.spec.answer is not None
    assert link.spec.answer.reason == "Accepted", "another subnet, of a kind that is not known, is left out"
    known = ready.subnet.id
    edit(
        ready.a,
        ready.b,
        "ExpansionLink",
        lambda spec: spec["offer"].update(
            subnets=[{"id": known, "ranges": []}, {**spec["offer"]["subnets"][0], "id": ready.network.id}]
        ),
    )
    ready.b.cycle()
    assert len(ready.b.neutron.subnets) == 1
    (link,) = ready.b.links()
    assert link.spec.answer is not None
    assert (link.spec.answer.verdict, link.spec.answer.reason) == ("Accepted", "InvalidOffer")
    assert known in link.spec.answer.message


def test_offer_in_a_state_that_was_never_understood_is_refused() -> None:
    ready = Stretched()
    ready.withdraw()
    ready.federation.settle()
    ready.a.expand(ready.network.id, "cloud-b")
    for _ in range(4):
        ready.a.cycle()
    edit(ready.a, ready.b, "ExpansionLink", lambda spec: spec.update(state="Paused"))
    ready.b.cycle()
    (link,) = ready.b.links()
    assert link.spec.answer is not None
    assert (link.spec.answer.verdict, link.spec.answer.reason) == ("Refused", "InvalidOffer")


def test_what_an_older_release_read_is_read_again(ready: Stretched) -> None:
    """The fields that it dropped are not lost, although UID and generation are those that are stored."""
    (link,), peer_link = ready.a.links(), ready.a.kubectl.get(PeerLink, "cloud-a", names.peer_namespace("cloud-b"))
    assert link.status.peer is not None
    assert peer_link is not None
    assert peer_link.status.peer is not None
    assert (link.status.peer.read_as, peer_link.status.peer.read_as) == (READ_AS, READ_AS)
    expected = link.status, peer_link.status
    for kind, dropped in (("ExpansionLink", "ports"), ("PeerLink", "gateways")):
        name = link.metadata.name if kind == "ExpansionLink" else "cloud-a"
        entry = ready.a.store.entries[Key(API_VERSION, kind, names.peer_namespace("cloud-b"), name)]
        del entry.manifest["status"]["peer"]["readAs"]
        entry.manifest["status"]["peer"]["spec"].pop(dropped, None)
    ready.a.restart()
    ready.a.cycle()
    (link,), peer_link = ready.a.links(), ready.a.kubectl.get(PeerLink, "cloud-a", names.peer_namespace("cloud-b"))
    assert peer_link is not None
    assert (link.status, peer_link.status) == expected
