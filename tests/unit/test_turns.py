"""What takes many rounds is done in turns: other networks and peers are served between two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest

from isthmus.controller import reconciliation
from isthmus.core.keys.key import Key, network_key, peer_key
from isthmus.model.facts.openstack import NetworkQuota, Port, RequestedPort
from tests.fakes.federation import FakeFederation, reason
from tests.unit.test_remote_ports import lacking, remote

LIMIT, MACHINES = 1_200, 1_250
PORTS_PER_TURN, PORTS_PER_REQUEST = 500, 50
UNLIMITED = NetworkQuota(-1, -1, -1)


class Crowded:
    """A network of A with many machines that has just been stretched to B, which has no remote port yet."""

    def __init__(self) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.federation.agree()
        self.project, self.network, _ = self.a.tenant(cidr="10.20.0.0/16")
        self.a.neutron.set_quota(self.project, UNLIMITED)
        self.b.neutron.set_quota(self.b.neutron.own_project_id(), UNLIMITED)
        self.a.expand(self.network.id, "cloud-b")
        self.federation.settle()
        self.a.neutron.ports |= {port.id: port for port in map(self._machine, range(MACHINES))}
        self.federation.settle()
        self.b.settings = self.b.settings.model_copy(update={"remote_ports_per_network": LIMIT})
        self.b.restart()
        self.key = network_key(f"cloud-a.{self.network.id}")
        self.served: list[Key] = []
        self.requests = 0
        self._watch()

    def before_each_request(self, hook: Callable[[], None], create: bool = True) -> None:
        """Call this before each request for remote ports, which is then answered without effect if not `create`."""
        create_ports = self.b.neutron.create_remote_ports

        def create_remote_ports(network_id: str, ports: Sequence[RequestedPort], description: str) -> None:
            hook()
            self.requests += 1
            if create:
                create_ports(network_id, ports, description)

        self.b.neutron.create_remote_ports = create_remote_ports  # type: ignore[method-assign]

    def _watch(self) -> None:
        engine = self.b.controller.engine
        reconcile = engine.reconcile

        def watched(key: Key) -> int:
            self.served.append(key)
            return reconcile(key)

        engine.reconcile = watched  # type: ignore[method-assign]

    def _machine(self, number: int) -> Port:
        mac, address = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}", str(IPv4Address("10.20.1.0") + number)
        where = self.network.id, self.project
        return Port(
            f"{number:08x}-0000-4000-8000-000000000000", "", *where, mac, (address,), "compute:nova", "ACTIVE", ""
        )


@pytest.fixture
def crowded() -> Crowded:
    return Crowded()


def test_others_are_served_between_two_rounds_of_remote_ports(crowded: Crowded) -> None:
    queue, others = crowded.b.controller.engine.queue, [peer_key("cloud-a"), network_key("cloud-a.other")]

    def arrive() -> None:
        """With each request a peer changes and a network is to be verified, and so does the network itself."""
        queue.add([crowded.key, others[0]])
        queue.add(others[1:], urgent=False)

    crowded.before_each_request(arrive)
    crowded.b.cycle()
    turns = [index for index, key in enumerate(crowded.served) if key == crowded.key]
    assert len(remote(crowded.b)) == LIMIT
    assert crowded.requests == LIMIT // PORTS_PER_REQUEST, "as many as in one go"
    between = [crowded.served[first + 1 : then] for first, then in pairwise(turns)]
    assert all({*others} <= {*served} for served in between[: LIMIT // PORTS_PER_TURN])
    assert not crowded.b.controller.engine.failures


def test_statuses_are_right_between_rounds(crowded: Crowded) -> None:
    """The condition appears with the first round, and does not change until the last."""
    seen = []
    crowded.before_each_request(lambda: seen.append((lacking(crowded.b), reason(crowded.b.attachments()[0]))))
    crowded.b.cycle()
    per_turn = PORTS_PER_TURN // PORTS_PER_REQUEST
    final = lacking(crowded.b), reason(crowded.b.attachments()[0])
    assert final[0] is not None
    assert (final[0][0], final[1]) == ("TooManyRemotePorts", "Ready")
    assert seen == [(None, "Ready")] * per_turn + [final] * (len(seen) - per_turn)


def test_deletions_take_turns_too(crowded: Crowded) -> None:
    crowded.b.cycle()
    crowded.b.settings = crowded.b.settings.model_copy(update={"remote_ports_per_network": 0})
    crowded.b.restart()
    crowded.served.clear()
    crowded._watch()
    crowded.b.cycle()
    assert remote(crowded.b) == {}
    assert crowded.served.count(crowded.key) >= LIMIT // 200


def test_turns_that_lead_nowhere_end(crowded: Crowded, monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on each turn waits for the backoff; what is reported does not change."""
    monkeypatch.setattr(reconciliation, "_MAX_TURNS", 3)
    crowded.before_each_request(lambda: None, create=False)
    crowded.b.cycle()
    assert crowded.requests == 4 * PORTS_PER_TURN // PORTS_PER_REQUEST, "the first failure changes a status"
    assert reason(crowded.b.attachments()[0], "Degraded") == "NotSettled"
    crowded.federation.clock.move(60)
    crowded.b.cycle()
    assert crowded.requests == 5 * PORTS_PER_TURN // PORTS_PER_REQUEST
    assert reason(crowded.b.attachments()[0], "Degraded") == "NotSettled"


def test_failure_is_reported_once_until_there_is_progress(crowded: Crowded) -> None:
    """A quota that has room for some ports only: the network fails as before, with the backoff of one that fails."""
    neutron = crowded.b.neutron
    own = neutron.own_project_id()
    held = sum(port.project_id == own for port in neutron.ports.values())
    neutron.quotas[own] = replace(UNLIMITED, ports=held + 700)
    crowded.b.cycle()
    assert reason(crowded.b.attachments()[0], "Degraded") == "QuotaExceeded"
    assert 500 < len(remote(crowded.b)) < 700
    before = crowded.b.attachments()[0].status.conditions
    crowded.federation.clock.move(60)
    crowded.b.cycle()
    assert crowded.b.attachments()[0].status.conditions == before
    neutron.quotas[own] = UNLIMITED
    crowded.b.cycle()
    assert len(remote(crowded.b)) == LIMIT
    assert reason(crowded.b.attachments()[0], "Degraded") == "AsExpected"
