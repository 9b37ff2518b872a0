"""A stored object that does not parse is no deleted one: a controller that starts with it leaves alone what it is for.

Everything else goes on, and condition, metric and log name the object.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from isthmus.controller.gauges import publish
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.names import API_VERSION
from isthmus.telemetry.metrics import NOT_UNDERSTOOD
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, reason
from tests.fakes.scenario import Stretched
from tests.fakes.store import Key, Manifest

CYCLES = 4
SPOILED: dict[str, dict[str, Any]] = {
    "CloudPeer": {"spec": {"gatewayCIDRs": "many"}},
    "IPsecPolicy": {"spec": {"dpdDelaySeconds": "soon"}},
    "NetworkExpansion": {"spec": {"peers": "all"}},
    "PeerLink": {"status": {"peer": "unknown"}},
    "ExpansionLink": {"status": {"peer": "unknown"}},
    "Attachment": {"spec": {"role": "Spectator"}},
    "PortSlice": {"spec": {"ports": "some"}},
    "GatewayNode": {"status": {"addresses": "unknown"}},
}
AT_ORIGIN_ONLY = ("NetworkExpansion", "PortSlice")
CASES = [("a", kind) for kind in SPOILED] + [("b", kind) for kind in SPOILED if kind not in AT_ORIGIN_ONLY]


@pytest.fixture
def stretched() -> Stretched:
    found = Stretched()
    for number in range(2):
        found.a.neutron.boot(found.network.id, found.project, f"10.20.0.{10 + number}")
    found.federation.settle()
    return found


def _keys(cloud: FakeCloud, kind: str) -> list[Key]:
    return [key for key in cloud.store.entries if (key.api_version, key.kind) == (API_VERSION, kind)]


def _merge(cloud: FakeCloud, key: Key, parts: dict[str, Any]) -> None:
    entry = cloud.store.entries[key].copy()
    for part, fields in parts.items():
        entry.manifest[part] = entry.manifest.get(part, {}) | fields
    cloud.store.put(key, entry, spec_changed=True)


@contextmanager
def _spoiled(cloud: FakeCloud, kind: str, parts: dict[str, Any] | None = None) -> Iterator[None]:
    """All objects of the kind do not parse, and the controller is started again."""
    spoiled = parts or SPOILED[kind]
    before = {key: cloud.store.entries[key].manifest for key in _keys(cloud, kind)}
    assert before
    originals = {
        key: {part: {name: manifest[part].get(name) for name in fields} for part, fields in spoiled.items()}
        for key, manifest in before.items()
    }
    for key in before:
        _merge(cloud, key, spoiled)
    cloud.restart()
    yield
    for key, original in originals.items():
        if key in cloud.store.entries:
            _merge(cloud, key, original)


def _made(stretched: Stretched) -> tuple[object, ...]:
    """What exists, but for statuses."""
    clouds = stretched.federation.clouds
    stored = [{k: _without_status(m) for k, m in cloud.store.contents().items()} for cloud in clouds]
    return stored, [cloud.neutron.contents() for cloud in clouds]


def _without_status(manifest: Manifest) -> Manifest:
    return {name: part for name, part in manifest.items() if name != "status"}


def _cycle(stretched: Stretched) -> None:
    for _ in range(CYCLES):
        for cloud in stretched.federation.clouds:
            cloud.cycle()
            stretched.federation.clock.move(GRACE_SECONDS)


def _known(cloud: FakeCloud) -> dict[str, float]:
    """The metric."""
    publish(cloud.controller.engine.state.snapshot(), cloud.backends.metrics)
    return {kind: count for (kind,), count in cloud.backends.metrics.values(NOT_UNDERSTOOD).items() if count}


@pytest.mark.parametrize(("side", "kind"), CASES)
def test_nothing_is_withdrawn_or_removed(stretched: Stretched, kind: str, side: str) -> None:
    cloud: FakeCloud = getattr(stretched, side)
    before = _made(stretched)
    with _spoiled(cloud, kind):
        spoiled = _made(stretched)
        _cycle(stretched)
        assert _made(stretched) == spoiled
    stretched.federation.settle()
    assert _made(stretched) == before
    assert reason(stretched.a.expansion()) == "Ready"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("NetworkExpansion", {"spec": {"networkID": 5}}), ("CloudPeer", {"spec": {"cloudID": ["cloud-b"]}})],
)
def test_object_that_does_not_even_tell_what_it_is_about(
    stretched: Stretched, kind: str, parts: dict[str, Any]
) -> None:
    before = _made(stretched)
    with _spoiled(stretched.a, kind, parts):
        spoiled = _made(stretched)
        _cycle(stretched)
        assert _made(stretched) == spoiled
    stretched.federation.settle()
    assert _made(stretched) == before


def test_other_networks_go_on(stretched: Stretched) -> None:
    a, b = stretched.a, stretched.b
    with _spoiled(a, "NetworkExpansion"):
        _, network, _ = a.tenant("bakery", "10.21.0.0/24")
        a.expand(network.id, "cloud-b", namespace="bakery")
        stretched.federation.settle()
        assert reason(a.expansion("bakery")) == "Ready"
        assert len(b.neutron.networks) == 2


def test_no_tunnel_id_is_offered_twice(stretched: Stretched) -> None:
    a = stretched.a
    _, network, _ = a.tenant("bakery", "10.21.0.0/24")
    with _spoiled(a, "ExpansionLink"):
        a.expand(network.id, "cloud-b", namespace="bakery")
        _cycle(stretched)
        assert reason(a.expansion("bakery")) == "NotUnderstood"
        assert len(_keys(a, "ExpansionLink")) == 1
    stretched.federation.settle()
    assert reason(a.expansion("bakery")) == "Ready"
    ids = [link.spec.offer.tunnel_id for link in a.links() if link.spec.offer]
    assert len(set(ids)) == 2


def test_object_that_is_deleted_is_withdrawn(stretched: Stretched) -> None:
    with _spoiled(stretched.a, "NetworkExpansion"):
        _cycle(stretched)
        (key,) = _keys(stretched.a, "NetworkExpansion")
        stretched.a.store.remove(key)
        for _ in range(3):
            _cycle(stretched)
        assert stretched.a.links() == []
        assert stretched.b.neutron.networks == {}


def test_last_version_that_was_understood_applies(stretched: Stretched) -> None:
    """As long as the process knows it."""
    a, kubectl = stretched.a, stretched.a.kubectl
    (key,) = _keys(a, "NetworkExpansion")
    _merge(a, key, SPOILED["NetworkExpansion"])
    before = _made(stretched)
    stretched.federation.settle()
    assert _made(stretched) == before
    a.store.delete(key)
    a.kubectl.delete(CloudPeer, "cloud-b")
    _cycle(stretched)
    assert kubectl.get(CloudPeer, "cloud-b") is None or reason(a.peer("cloud-b")) == "Withdrawing"


@pytest.mark.parametrize("kind", ["CloudPeer", "NetworkExpansion"])
def test_condition_metric_and_log_name_the_object(
    stretched: Stretched, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    a = stretched.a
    (key,) = _keys(a, kind)
    others = _conditions(a, key)
    with _spoiled(a, kind):
        _cycle(stretched)
        found = _conditions(a, key)
        field = next(iter(SPOILED[kind]["spec"]))
        assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "NotUnderstood")
        assert field in found["Ready"]["message"]
        assert {**found, "Ready": None} == {**others, "Ready": None}
        assert _known(a) == {kind: 1.0}
        assert (
            caplog.text.count(f"{kind} {f'{key.namespace}/' if key.namespace else ''}{key.name} is not understood") == 2
        )
        writes = a.store.writes
        _cycle(stretched)
        assert a.store.writes == writes
    stretched.federation.settle()
    assert _known(a) == {}
    assert _conditions(a, key)["Ready"]["status"] == "True"


def _conditions(cloud: FakeCloud, key: Key) -> dict[str, Any]:
    manifest = cloud.store.read(key)
    assert manifest is not None
    return {condition["type"]: condition for condition in manifest["status"]["conditions"]}
