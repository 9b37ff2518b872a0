"""A peer's objects are parsed one by one; an invalid one is reported by name and does not affect others."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.model.facts.peer import PeerView

NETWORK = "6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11"


def _link(name: str, **spec: Any) -> dict[str, Any]:
    identity = {"cloudID": "cloud-b", "networkID": NETWORK}
    answer = {"uid": "u", "generation": 1, "verdict": "Accepted"}
    good = {"cloudID": "cloud-a", "peerCloudID": "cloud-b", "origin": identity, "answer": answer, "mtu": 1416}
    return {"metadata": {"name": name, "uid": f"uid-{name}", "generation": 3}, "spec": good | spec}


def test_valid_object_is_read() -> None:
    view = PeerView.of_documents("cloud-a", [], [_link("good")])
    link = view.links["good"]
    assert (link.uid, link.generation, link.problem) == ("uid-good", 3, "")
    assert link.spec is not None
    assert link.spec.mtu == 1416
    assert view.reachable
    assert view.complete


@pytest.mark.parametrize(
    "spec",
    [
        {"mtu": 1},
        {"mtu": "many"},
        {"cloudID": "Not A Cloud"},
        {"origin": None},
        {"answer": {"uid": "u" * 65, "generation": 1, "verdict": "Accepted"}},
    ],
)
def test_invalid_object_is_reported_and_does_not_affect_others(spec: dict[str, Any]) -> None:
    view = PeerView.of_documents("cloud-a", [], [_link("wrong", **spec), _link("good")])
    assert view.links["wrong"].spec is None
    assert view.links["wrong"].problem.startswith("spec.")
    assert len(view.links["wrong"].problem) <= 512
    assert view.links["good"].spec is not None


def test_unknown_fields_are_dropped() -> None:
    view = PeerView.of_documents("cloud-a", [], [_link("newer", invented={"x": 1})])
    assert view.links["newer"].spec is not None
    assert view.not_understood == {}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metadata": None},
        {"metadata": {"name": "a"}},
        {"metadata": {"name": "/", "uid": "u", "generation": 1}},
        {"metadata": {"name": "a", "uid": "u", "generation": -1}},
        {"metadata": {"name": "a", "uid": "u", "generation": 2**63}},
    ],
)
def test_object_without_identity_is_ignored(document: dict[str, Any]) -> None:
    assert PeerView.of_documents("cloud-a", [document], [document]).links == {}


def test_peers_link_has_the_peers_name() -> None:
    stranger = {"metadata": {"name": "cloud-c", "uid": "u", "generation": 1}, "spec": {}}
    assert PeerView.of_documents("cloud-a", [stranger], []).peer_link is None
    own = stranger | {"metadata": {"name": "cloud-a", "uid": "u", "generation": 1}}
    view = PeerView.of_documents("cloud-a", [stranger, own], [])
    assert view.peer_link is not None
    assert view.peer_link.spec is None
