"""A cloud that has stretched any number of networks: one by the real controllers, the others as renamed copies of it.

Copies are made when they are asked for, so that a process that measures the controller holds nothing but what the
controller keeps.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeVar, cast

from isthmus.model.api.objects import ApiModel
from isthmus.model.facts.openstack import Network, Port, Project, Subnet
from isthmus.model.facts.peer import PeerView, Published
from isthmus.model.sharedmapping import SharedMapping
from isthmus.ports import Manifest

from .federation import FakeCloud, FakeFederation, reason

P = TypeVar("P")
S = TypeVar("S", bound=ApiModel)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
_COPIED: Final = frozenset({"NetworkExpansion", "ExpansionLink", "PortSlice", "MemberLink", "Attachment"})
AGREEMENT: Final = {
    "limits": {"networks": 10_000},
    "quotas": {"networks": 10_000, "subnets": 10_000, "ports": 100_000},
}


class Counted:
    """A port that counts its calls, and the CPU time of the fake behind it."""

    def __init__(self, port: object) -> None:
        self._port = port
        self.calls: Counter[str] = Counter()
        self.cpu_seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            began = time.thread_time()
            try:
                return method(*arguments, **named)
            finally:
                self.cpu_seconds += time.thread_time() - began

        return call


class ManyNetworks:
    """Cloud A, which has stretched `count` networks to each of `peers` other clouds, all of them ready."""

    def __init__(self, count: int, peers: int = 1) -> None:
        self.count = count
        self.federation = FakeFederation(*"abcdefghij"[: peers + 1])
        self.a, self.others = self.federation.clouds[0], self.federation.clouds[1:]
        for other in self.others:
            self.a.agree(other, agreement=AGREEMENT)
            other.agree(self.a, agreement=AGREEMENT)
        self.federation.settle()
        project, network, _ = self.a.tenant()
        for _ in range(3):
            self.a.neutron.boot(network.id, project)
        self.a.expand(network.id, *(other.cloud_id for other in self.others))
        self.federation.settle()
        assert reason(self.a.expansion()) == "Ready"
        self._network_id = network.id
        self._views = self.a.peers.views()
        self._kept = self._shared_uids()
        self.cluster, self.cloud = Counted(self.a.backends.cluster), Counted(_CopiedNetworks(self.a, self))
        self.peers = FixedViews({cloud_id: self._view(view) for cloud_id, view in self._views.items()})
        backends = replace(self.a.backends, cluster=cast(Any, self.cluster), cloud=cast(Any, self.cloud))
        self.a.restart(replace(backends, peers=cast(Any, self.peers)))

    def manifests(self, kind: str) -> Iterator[Manifest]:
        """All objects of a kind, the copies included."""
        for key, entry in list(self.a.store.entries.items()):
            if key.kind != kind:
                continue
            yield entry.manifest
            if kind in _COPIED or (kind == "Namespace" and key.name == "shop"):
                for number in range(1, self.count):
                    yield self.renamed(entry.manifest, number)

    def renamed(self, value: P, number: int) -> P:
        """A copy in which each UUID, tunnel ID and namespace is that of another network."""
        return cast(P, self._renamed(value, number))

    def original_of(self, id_: str) -> tuple[str, int]:
        """The UUID of the first network's resource, and the number of the copy that this one belongs to."""
        number = int(id_.replace("-", "")[:12], 16) ^ int(self._network_id.replace("-", "")[:12], 16)
        return self._text(id_, number), number

    def _renamed(self, value: Any, number: int) -> Any:
        if isinstance(value, str):
            return f"shop-{number}" if value == "shop" else _UUID.sub(lambda found: self._text(found[0], number), value)
        if isinstance(value, Mapping):
            return {
                self._renamed(k, number): v + number if k == "tunnelID" else self._renamed(v, number)
                for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            return type(value)(self._renamed(item, number) for item in value)
        if is_dataclass(value) and not isinstance(value, type):
            return type(value)(**{f.name: self._renamed(getattr(value, f.name), number) for f in fields(value)})
        return value

    def _text(self, id_: str, number: int) -> str:
        """Its own inverse: the number is in the first 48 bits."""
        if id_ in self._kept:
            return id_
        digits = id_.replace("-", "")
        changed = f"{int(digits[:12], 16) ^ number:012x}{digits[12:]}"
        if "-" not in id_:
            return changed
        return "-".join((changed[:8], changed[8:12], changed[12:16], changed[16:20], changed[20:]))

    def _shared_uids(self) -> frozenset[str]:
        """UUIDs that all copies have in common."""
        found = {self.a.neutron.own_project_id()}
        for cloud in self.federation.clouds:
            links = (e.manifest for k, e in cloud.store.entries.items() if k.kind == "PeerLink")
            found |= {link["metadata"]["uid"] for link in links}
        return frozenset(found)

    def _view(self, view: PeerView) -> PeerView:
        links, slices = dict(view.links), dict(view.port_slices)
        for number in range(1, self.count):
            for name, link in view.links.items():
                links[self.renamed(name, number)] = self._published(link, number)
            for name, buckets in view.port_slices.items():
                copies = {bucket: self._published(each, number) for bucket, each in buckets.items()}
                slices[self.renamed(name, number)] = copies
        return replace(view, links=SharedMapping(links), port_slices=SharedMapping(slices))

    def _published(self, published: Published[S], number: int) -> Published[S]:
        assert published.spec is not None
        wire = json.loads(published.spec.model_dump_json(by_alias=True, exclude_none=True))
        spec = type(published.spec).model_validate(self.renamed(wire, number))
        return replace(published, uid=self.renamed(published.uid, number), spec=spec)


class FixedViews:
    """A `ports.PeerReader` of what does not change."""

    def __init__(self, views: Mapping[str, PeerView]) -> None:
        self._views = views

    def start(self, changed: object) -> None: ...
    def stop(self) -> None: ...
    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None: ...

    def views(self) -> Mapping[str, PeerView]:
        return self._views


class _CopiedNetworks:
    """OpenStack of a cloud that also has the renamed networks."""

    def __init__(self, cloud: FakeCloud, many: ManyNetworks) -> None:
        self._neutron, self._many = cloud.neutron, many

    def __getattr__(self, name: str) -> Any:
        return getattr(self._neutron, name)

    def get_network(self, network_id: str) -> Network | None:
        return cast("Network | None", self._copy(self._neutron.get_network, network_id))

    def get_project(self, project_id: str) -> Project | None:
        found = self._neutron.get_project(project_id)
        if found is not None:
            return found
        original, number = self._many.original_of(project_id)
        return self._many.renamed(self._neutron.get_project(original), number)

    def get_networks(self, *network_ids: str) -> list[Network]:
        return [network for id_ in network_ids if (network := self.get_network(id_)) is not None]

    def subnets_of(self, *network_ids: str) -> list[Subnet]:
        lists = (cast(list[Subnet], self._copy(self._neutron.subnets_of, id_)) for id_ in network_ids)
        return [subnet for subnets in lists for subnet in subnets]

    def ports_of(self, *network_ids: str) -> list[Port]:
        lists = (cast(list[Port], self._copy(self._neutron.ports_of, id_)) for id_ in network_ids)
        return [port for ports in lists for port in ports]

    def _copy(self, read: Callable[[str], object], id_: str) -> object:
        if id_ in self._neutron.networks:
            return read(id_)
        original, number = self._many.original_of(id_)
        return self._many.renamed(read(original), number)
