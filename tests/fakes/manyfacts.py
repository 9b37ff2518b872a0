"""Facts of any number of stretched networks, and how many requests OpenStack gets."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from isthmus.controller.factfeed import FactFeed
from isthmus.controller.facts import FactCache
from isthmus.controller.scopes import network_facts_of as network_facts
from isthmus.core.snapshot.cache import Cache
from isthmus.core.snapshot.index import OwnCloud, Snapshot
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentSpec, Record
from isthmus.model.api.v1alpha1.expansionlink import NetworkIdentity
from isthmus.model.facts.openstack import Network, NetworkFacts, NetworkQuota, Port, Range, Subnet
from isthmus.model.names import SYSTEM_NAMESPACE
from tests.fakes.federation import FakeClock, FakeFederation, reason
from tests.fakes.many import AGREEMENT
from tests.fakes.networkcloud import FakeNetworkCloud

RESYNC_SECONDS = 30.0
NETWORKS_PER_PROJECT = 10


class ManyFacts:
    """A cloud with that many stretched networks of its own or of a peer, whose facts are cached."""

    def __init__(self, count: int, origin: str = "cloud-a") -> None:
        self.clock = FakeClock()
        self.cloud = FakeNetworkCloud()
        domain = self.cloud.create_domain("isthmus-cloud-b", "isthmus peer cloud-b")
        names = [f"p{number}" for number in range(-(-count // NETWORKS_PER_PROJECT))]
        projects = [self.cloud.create_project(domain.id, name, name) for name in names]
        for project in projects:
            self.cloud.set_quota(project.id, NetworkQuota(1000, 1000, 1000))
        attachments = []
        for number in range(count):
            project = projects[number % len(projects)]
            id_, cidr = str(uuid.UUID(int=number)), "10.20.0.0/24"
            pools = (Range("10.20.0.2", "10.20.0.190"),)
            self.cloud.networks[id_] = Network(id_, "web", project.id, 1400)
            subnet = Subnet(str(uuid.uuid4()), "web", id_, project.id, 4, cidr, "10.20.0.1", pools, True)
            self.cloud.subnets[subnet.id] = subnet
            identity = NetworkIdentity(cloud_id=origin, network_id=id_)
            record = Record(network_id=id_, project_id=project.id)
            attachments.append(
                Attachment(
                    metadata=ObjectMeta(name=identity.link_name, namespace=SYSTEM_NAMESPACE, uid="u"),
                    spec=AttachmentSpec(
                        origin=identity, role="Origin" if origin == "cloud-a" else "Receiver", record=record
                    ),
                )
            )
        cache = Cache()
        for attachment in attachments:
            cache.put(attachment)
        own = OwnCloud("cloud-a", ("192.0.2.0/24",), 300.0)
        self.snapshot = Snapshot(own, datetime(2026, 1, 1, tzinfo=UTC), cache)
        self.names = [attachment.metadata.name for attachment in attachments]
        self.cache: FactCache[NetworkFacts] = FactCache(self.fetch)
        for name in self.names:
            self.cache._cached[name] = NetworkFacts("not fetched yet")
        self.feed = FactFeed(self.cloud, self.clock, self.cache, network_facts, RESYNC_SECONDS)

    def fetch(self, snapshot: Snapshot, name: str) -> NetworkFacts:
        """One by one."""
        return network_facts(self.cloud, snapshot, name)

    def run(self, seconds: int) -> tuple[set[str], float]:
        """Tick every second; which facts changed, and how many requests were sent a second."""
        before, changed = self.cloud.requests, set[str]()
        for _ in range(seconds):
            changed |= self.feed.tick(self.snapshot)
            self.clock.move(1)
        return changed, (self.cloud.requests - before) / seconds

    def boot(self, name: str) -> Port:
        """Create a machine's port on a network."""
        network = self.cloud.networks[name.partition(".")[2]]
        port = Port(str(uuid.uuid4()), "", network.id, network.project_id, "", ("10.20.0.9",), "compute:nova", "", "")
        self.cloud.ports[port.id] = port
        return port


def requests_for_created_port(count: int) -> int:
    """Requests with that many networks, besides the lists of what changed, until a port that was created is known."""
    many, name = ManyFacts(count), many_names(count)[7]
    many.run(60)
    many.feed._part_at = float("inf")
    _, idle = many.run(5)
    port = many.boot(name)
    changed, during = many.run(5)
    assert changed == {name}, "seen within five seconds"
    before = many.cloud.requests
    found = many.cache.get(many.snapshot, name)
    assert port in found.ports
    assert many.cache.is_fresh(name)
    return round((during - idle) * 5) + many.cloud.requests - before


def requests_for_added_expansion(others: int) -> int:
    """Requests at the origin until one expansion is Ready, while that many other networks are stretched.

    The fake lists ports once more, and does not read pools before it writes.
    """
    federation = FakeFederation()
    a, b = federation.clouds
    a.agree(b, agreement=AGREEMENT)
    b.agree(a, agreement=AGREEMENT)
    for cloud in federation.clouds:
        cloud.neutron.set_quota(cloud.neutron.own_project_id(), NetworkQuota(0, 0, 2 * others + 10))
    federation.settle()
    for number in range(others):
        a.expand(a.tenant(f"shop{number}")[1].id, "cloud-b", namespace=f"shop{number}")
    federation.settle()
    network = a.tenant("extra")[1]
    before = a.neutron.requests
    a.expand(network.id, "cloud-b", namespace="extra")
    for _ in range(6):
        for cloud in federation.clouds:
            cloud.play_agent()
            cloud.cycle(resync=False)
    assert reason(a.expansion("extra")) == "Ready"
    return a.neutron.requests - before


def many_names(count: int) -> list[str]:
    """Names of their Attachments."""
    return [f"cloud-a.{uuid.UUID(int=number)}" for number in range(count)]
