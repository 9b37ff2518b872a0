"""One cloud of some release on fakes, driven by JSON lines: run as a file, with that release in PYTHONPATH.

It uses only what this release and the old ones (`tests.fakes.release`) have.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import traceback
from typing import Any

from isthmus.model import names
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts import openstack
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.store import Entry, Key

_API_VERSION = "isthmus.cloud/v1alpha1"  # the old release has the constant elsewhere
_PUBLISHED = ("PeerLink", "ExpansionLink", "PortSlice")
_KINDS = {
    "domains": openstack.Domain,
    "projects": openstack.Project,
    "networks": openstack.Network,
    "subnets": openstack.Subnet,
    "ports": openstack.Port,
    "quotas": openstack.NetworkQuota,
}


class Process:
    """The commands. Of the federation's two clouds one is driven; the other's Store holds what it publishes."""

    def __init__(self, own: str) -> None:
        federation = FakeFederation()
        self.federation = federation
        self.cloud: FakeCloud = next(cloud for cloud in federation.clouds if cloud.cloud_id == own)
        self.peer: FakeCloud = next(cloud for cloud in federation.clouds if cloud.cloud_id != own)

    def agree(self) -> None:
        self.cloud.agree(self.peer)

    def tenant(self) -> str:
        _, network, _ = self.cloud.tenant()
        return network.id

    def expand(self, network_id: str) -> None:
        self.cloud.expand(network_id, self.peer.cloud_id)

    def withdraw(self) -> None:
        self.cloud.kubectl.delete(NetworkExpansion, "web", "shop")

    def boot(self, network_id: str, addresses: list[str]) -> None:
        """Machines with these addresses."""
        for number, address in enumerate(addresses):
            port_id = f"{number:08x}-7f6c-4d59-8c0e-0a6a6a0f9e02"
            port = openstack.Port(
                id=port_id, name="", network_id=network_id, project_id="tenant", mac="fa:16:3e:00:00:01",
                addresses=(address,), device_owner="compute:nova", status="ACTIVE", host="somewhere",
            )  # fmt: skip
            self.cloud.neutron.ports[port_id] = port

    def cycle(self) -> int:
        """Run agent and controller once; returns the number of changes."""
        before = self.cloud.store.writes + self.cloud.neutron.writes
        self.cloud.play_agent()
        self.cloud.cycle()
        return self.cloud.store.writes + self.cloud.neutron.writes - before

    def published(self) -> list[Any]:
        """What the peer may read: a list of kind and object."""
        place = names.peer_namespace(self.peer.cloud_id)
        listed = ((kind, self.cloud.store.read_all(_API_VERSION, kind, place)) for kind in _PUBLISHED)
        return [[kind, document] for kind, documents in listed for document in documents]

    def read(self, documents: list[Any]) -> None:
        """What the peer publishes now."""
        place, store = names.peer_namespace(self.cloud.cloud_id), self.peer.store
        store.entries = {Key("v1", "Namespace", None, place): Entry({"metadata": {"name": place}})}
        for kind, document in documents:
            store.entries[Key(_API_VERSION, kind, place, document["metadata"]["name"])] = Entry(document)

    def state(self) -> dict[str, Any]:
        """What must not be lost, and what is agreed."""
        cloud, neutron = self.cloud, self.cloud.neutron
        links = cloud.links()
        return {
            "peer": reason(cloud.peer(self.peer.cloud_id)),
            "links": [[link.spec.state, link.spec.answer and link.spec.answer.verdict, reason(link)] for link in links],
            "ports": sum(len(link.spec.ports) for link in links),
            "remote_ports": sum(len(link.status.peer.spec.ports) for link in links if link.status.peer),
            "paths": [
                [path.cloud_id, path.tunnel_id, path.gateway.address]
                for attachment in cloud.attachments()
                for path in attachment.spec.links
            ],
            "attached": [attachment.metadata.uid for attachment in cloud.attachments()],
            "networks": sorted(neutron.networks),
            "subnets": sorted(neutron.subnets),
            "attachment_ports": sorted(p.id for p in neutron.ports.values() if p.device_owner == "isthmus:attachment"),
            "slices": sum(kind == "PortSlice" for kind, _ in self.published()),
        }

    def save(self) -> dict[str, Any]:
        """Everything that outlives the process: Kubernetes and OpenStack."""
        entries = [
            [dataclasses.astuple(key), entry.manifest, entry.applied, entry.applied_status]
            for key, entry in self.cloud.store.entries.items()
        ]
        kept = {kind: getattr(self.cloud.neutron, kind) for kind in _KINDS}
        return {
            "entries": entries,
            "version": next(self.cloud.store._versions),
            "openstack": {kind: {id_: dataclasses.asdict(x) for id_, x in held.items()} for kind, held in kept.items()},
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Start upon what another process has saved."""
        store = self.cloud.store
        store.entries = {Key(*key): Entry(*parts) for key, *parts in saved["entries"]}
        store._versions = itertools.count(saved["version"])
        for kind, held in saved["openstack"].items():
            setattr(self.cloud.neutron, kind, {id_: _record(_KINDS[kind], fields) for id_, fields in held.items()})


def _record(kind: Any, fields: dict[str, Any]) -> Any:
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: _value(name, value) for name, value in fields.items() if name in known})


def _value(name: str, value: Any) -> Any:
    if name == "tags":
        return frozenset(value)
    if name == "pools":
        return tuple(openstack.Range(**pool) for pool in value)
    return tuple(map(tuple, value)) if name == "host_routes" else tuple(value) if isinstance(value, list) else value


def main(own: str) -> None:
    """Serve commands, a list of name and arguments in each line, until standard input ends."""
    process = Process(own)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            answer = {"result": getattr(process, command)(*arguments)}
        except Exception:  # the test fails with it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=list), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
