"""A peer's credential ends: it is reported before that, and so is one that must be handed over again."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.controller.gauges import publish
from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.peertoken import lifetime_of
from isthmus.telemetry.metrics import PEER_CREDENTIAL_ENDS
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.store import Key

NAMESPACE = names.peer_namespace("cloud-b")
ACCOUNT = Key("v1", "ServiceAccount", NAMESPACE, names.PEER_ACCOUNT)


def token(**claims: object) -> str:
    parts = ({"alg": "RS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "signature"))


def kubeconfig(bearer: str) -> bytes:
    document = {
        "clusters": [{"name": "p", "cluster": {"server": "https://192.0.2.9"}}],
        "users": [{"name": "p", "user": {"token": bearer}}],
        "contexts": [{"name": "p", "context": {"cluster": "p", "user": "p"}}],
        "current-context": "p",
    }
    return json.dumps(document).encode()


class TestLifetime:
    def test_of_a_token_request(self) -> None:
        lifetime = lifetime_of(token(iat=1_767_225_600, exp=1_769_817_600.5))
        assert lifetime is not None
        assert lifetime.begins == datetime(2026, 1, 1, tzinfo=UTC)
        assert lifetime.ends.replace(microsecond=0) == datetime(2026, 1, 31, tzinfo=UTC)

    @pytest.mark.parametrize(
        "bearer",
        ["", "opaque", "a.b.c", token(), token(iss="kubernetes/serviceaccount"), token(exp="soon"), token(exp=True)],
    )
    def test_of_a_token_that_does_not_tell(self, bearer: str) -> None:
        assert lifetime_of(bearer) is None

    @given(st.floats() | st.integers() | st.text(max_size=5), st.floats() | st.integers() | st.none())
    def test_of_any_claims(self, ends: object, begins: object) -> None:
        lifetime = lifetime_of(token(exp=ends, iat=begins))
        assert lifetime is None or lifetime.begins <= lifetime.ends


@pytest.fixture
def federation() -> FakeFederation:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    return federation


def state(cloud: FakeCloud, type_: str) -> tuple[str, str, str]:
    condition = condition_of(cloud.peer("cloud-b").status.conditions, type_)
    assert condition is not None
    return condition.status, condition.reason, condition.message


def _store(cloud: FakeCloud, content: bytes) -> None:
    metadata = {"name": "peer-cloud-b", "namespace": names.SYSTEM_NAMESPACE}
    data = {names.KUBECONFIG_KEY: base64.b64encode(content).decode()}
    cloud.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


class TestOurs:
    @pytest.mark.parametrize(
        ("days", "left", "expected"),
        [
            (30, timedelta(days=20), ("False", "CredentialValid")),
            (30, timedelta(days=6, hours=23), ("True", "CredentialExpiring")),
            (3, timedelta(days=2), ("False", "CredentialValid")),
            (3, timedelta(hours=23), ("True", "CredentialExpiring")),
            (30, timedelta(0), ("True", "CredentialExpired")),
        ],
    )
    def test_end_is_reported_before(
        self, federation: FakeFederation, days: int, left: timedelta, expected: tuple[str, str]
    ) -> None:
        a, _ = federation.clouds
        ends = federation.clock.now() + left
        bearer = token(iat=(ends - timedelta(days=days)).timestamp(), exp=ends.timestamp())
        _store(a, kubeconfig(bearer))
        a.cycle()
        status, why, message = state(a, "CredentialExpiring")
        assert (status, why) == expected
        assert f"{ends:%Y-%m-%d %H:%M} UTC" in message
        assert ("isthmus peer-kubeconfig cloud-a --renew" in message) == (status == "True")
        assert bearer not in str(a.store.entries[Key("isthmus.cloud/v1alpha1", "CloudPeer", None, "cloud-b")])
        assert reason(a.peer("cloud-b")) == "Ready"

    def test_time_alone_brings_the_warning_and_an_event(self, federation: FakeFederation) -> None:
        a, _ = federation.clouds
        now = federation.clock.now()
        _store(a, kubeconfig(token(iat=now.timestamp(), exp=(now + timedelta(days=30)).timestamp())))
        a.cycle()
        assert state(a, "CredentialExpiring")[0] == "False"
        federation.clock.move(24 * 86_400)
        a.cycle()
        assert state(a, "CredentialExpiring")[:2] == ("True", "CredentialExpiring")
        assert ("cloud-b", "Warning", "CredentialExpiring") in [event[:3] for event in a.store.events]

    def test_legacy_token_does_not_tell(self, federation: FakeFederation) -> None:
        a, _ = federation.clouds
        _store(a, kubeconfig(token(iss="kubernetes/serviceaccount")))
        a.cycle()
        assert state(a, "CredentialExpiring")[:2] == ("Unknown", "ExpiryUnknown")

    def test_metric(self, federation: FakeFederation) -> None:
        a, _ = federation.clouds
        ends = federation.clock.now() + timedelta(days=30)
        _store(a, kubeconfig(token(exp=ends.timestamp())))
        a.cycle()
        publish(a.controller.engine.state.snapshot(), a.backends.metrics)
        assert a.backends.metrics.values(PEER_CREDENTIAL_ENDS) == {("cloud-b",): ends.timestamp()}


class TestTheirs:
    def _hand_over(self, federation: FakeFederation, days: int = 30) -> None:
        a, _ = federation.clouds
        until = federation.clock.now() + timedelta(days=days)
        entry = a.store.entries[ACCOUNT].copy()
        entry.manifest["metadata"].setdefault("annotations", {})[names.HANDED_OVER_ANNOTATION] = (
            f"{until:%Y-%m-%dT%H:%M:%SZ}"
        )
        a.store.put(ACCOUNT, entry, spec_changed=False)
        federation.settle()

    def _delete_namespace(self, federation: FakeFederation) -> None:
        a, _ = federation.clouds
        a.kubectl.delete_manifest("v1", "Namespace", NAMESPACE)
        federation.settle()

    def test_nothing_handed_over_yet(self, federation: FakeFederation) -> None:
        a, _ = federation.clouds
        status, why, message = state(a, "CredentialsHandedOver")
        assert (status, why) == ("False", "NotHandedOver")
        assert "isthmus peer-kubeconfig cloud-b" in message
        assert not [event for event in a.store.events if "HandedOver" in event[2]]

    def test_handed_over_until_it_ends(self, federation: FakeFederation) -> None:
        a, _ = federation.clouds
        self._hand_over(federation)
        assert state(a, "CredentialsHandedOver")[:2] == ("True", "HandedOver")
        federation.clock.move(31 * 86_400)
        a.cycle()
        assert state(a, "CredentialsHandedOver")[:2] == ("False", "HandoverExpired")
        assert ("cloud-b", "Warning", "HandoverExpired") in [event[:3] for event in a.store.events]

    def test_namespace_deleted_by_hand_voids_what_was_handed_over(self, federation: FakeFederation) -> None:
        a, b = federation.clouds
        self._hand_over(federation)
        self._delete_namespace(federation)
        assert ACCOUNT in a.store.entries, "the account was created again"
        status, why, message = state(a, "CredentialsHandedOver")
        assert (status, why) == ("False", "AccountRecreated")
        assert "isthmus peer-kubeconfig cloud-b" in message
        federation.settle()
        assert state(a, "CredentialsHandedOver")[1] == "AccountRecreated", "it stays until it was done"
        self._hand_over(federation)
        assert state(a, "CredentialsHandedOver")[:2] == ("True", "HandedOver")
        assert reason(b.peer("cloud-a")) == "Ready"

    def test_legacy_token_works_until_an_administrator_removes_it(self, federation: FakeFederation) -> None:
        a, _ = federation.clouds
        metadata = {"name": names.PEER_TOKEN, "namespace": NAMESPACE}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"token": "dG9rZW4="}}
        a.kubectl.apply_manifest(secret)
        federation.settle()
        status, why, message = state(a, "CredentialsHandedOver")
        assert (status, why) == ("True", "LegacyCredential")
        assert f"delete Secret {names.PEER_TOKEN} in namespace {NAMESPACE}" in message
        self._delete_namespace(federation)
        assert state(a, "CredentialsHandedOver")[1] == "AccountRecreated"
        assert Key("v1", "Secret", NAMESPACE, names.PEER_TOKEN) not in a.store.entries, "it is not created again"


class Recorded:
    """A port that records what it was asked."""

    def __init__(self, port: object) -> None:
        self._port = port
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, *arguments))
            return method(*arguments, **named)

        return call


def test_secrets_are_watched_and_not_asked_for() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    secret = Key("v1", "Secret", names.SYSTEM_NAMESPACE, "peer-cloud-b")
    manifest = a.store.read(secret)
    assert manifest is not None
    a.store.remove(secret)
    recorded = Recorded(a.backends.cluster)
    a.restart(replace(a.backends, cluster=cast(Any, recorded)))
    a.cycle()
    assert reason(a.peer("cloud-b")) == "KubeconfigNotFound"
    recorded.calls.clear()
    controller = a.controller
    controller.feed.changed("Secret", manifest | {"metadata": manifest["metadata"] | {"namespace": "elsewhere"}})
    controller.refresh()
    controller.drain()
    assert reason(a.peer("cloud-b")) == "KubeconfigNotFound", "a Secret of another namespace"
    controller.feed.changed("Secret", manifest)
    controller.refresh()
    b.cycle()
    for _ in range(3):
        controller.refresh()
        controller.engine.verify()
        controller.drain()
    assert reason(a.peer("cloud-b")) != "KubeconfigNotFound"
    assert [call for call in recorded.calls if "Secret" in call and names.SYSTEM_NAMESPACE in call] == []
    controller.feed.removed("Secret", manifest)
    controller.refresh()
    controller.drain()
    assert reason(a.peer("cloud-b")) == "KubeconfigNotFound"


def test_no_text_shows_a_kubeconfig() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    federation.agree()
    a.cycle()
    assert a.controller.engine.state.kubeconfigs() == {"cloud-b": b"kubeconfig"}
    assert "b'kubeconfig'" not in repr(a.controller.engine.state.snapshot())
