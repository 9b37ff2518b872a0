"""The interfaces of our ports by name, and what a view says of them; kept up to date one interface at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE, PROBE_PORT
from isthmus.model.node.switch import EchoPort, PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import ENCAPSULATIONS, TunnelEnds
from isthmus.model.tracked import Tracked, TrackedSet

from .rows import echo_interface, patch_ends, tunnel_interface


@dataclass(frozen=True)
class Interface:
    """An interface of a port of ours, and the bridge that the port is on."""

    bridge: str
    name: str
    type: str
    options: Mapping[str, str]
    external_ids: Mapping[str, str]
    bfd: Mapping[str, str] = field(default_factory=dict)
    bfd_state: str = ""
    ofport: int = 0
    error: str = ""


class InterfaceIndex:
    """Interfaces of our ports. A port counts as configured only if all its columns are as we set them."""

    def __init__(self, bfd_interval_milliseconds: int) -> None:
        self._bfd_interval_milliseconds = bfd_interval_milliseconds
        self._interfaces: dict[str, Interface] = {}
        self._peers: defaultdict[str, set[str]] = defaultdict(set)
        """Names of patches on br-cloud by the peer that they name."""
        self._tunnels: dict[str, TunnelPort] = {}
        self._echoes: dict[str, EchoPort] = {}
        self._pairs: dict[str, PatchPair] = {}
        """By the name on br-cloud."""
        self._ends: Counter[str] = Counter()
        """How many of the pairs have an end of that name."""
        self._patches: TrackedSet[PatchPair] = TrackedSet()
        self.ports = Ports(patches=self._patches)
        self.ofport: Tracked[str, int] = Tracked()
        self.bfd_up: Mapping[str, bool] = {}
        self.bfd_init: frozenset[str] = frozenset()
        self.errors: dict[str, str] = {}
        self.leftovers: frozenset[str] = frozenset()

    def is_on(self, bridge: str, name: str) -> bool:
        """Whether that bridge has that interface."""
        return name in self._interfaces and self._interfaces[name].bridge == bridge

    def continuing(self, before: Self) -> Self:
        """This index, as a later version of another one."""
        self._patches = before._patches.updated(before._patches - self._patches, self._patches)
        ports = replace(self.ports, patches=self._patches)
        self.ports = before.ports if before.ports == ports else ports
        self.ofport = before.ofport.becoming(self.ofport)
        return self

    def update(self, changed: Mapping[str, Interface | None]) -> None:
        """Take in interfaces by name; None: there is none of that name, or it is not ours any more."""
        pairs = {name for name in changed if self._is_cloud_end(name)}
        for name, interface in changed.items():
            self._put(name, interface)
        pairs |= {name for name in changed if self._is_cloud_end(name)}
        pairs |= {cloud for name in changed for cloud in self._peers.get(name, ())}
        patches = self._update_pairs(pairs)
        self._update_tunnels(changed)
        self._update_echoes(changed)
        self.ofport = self.ofport.updated(
            {name: i.ofport if i and i.ofport > 0 else None for name, i in changed.items()}
        )
        self._update_leftovers(
            {*changed, *(end for pair in patches for end in (pair.cloud_name, pair.integration_name))}
        )

    def _put(self, name: str, interface: Interface | None) -> None:
        before = self._interfaces.pop(name, None)
        if before is not None:
            self._peers[before.options.get("peer", "")].discard(name)
            self.errors.pop(name, None)
        if interface is not None:
            self._interfaces[name] = interface
            if interface.bridge == BRIDGE and interface.type == "patch":
                self._peers[interface.options.get("peer", "")].add(name)
            if interface.error:
                self.errors[name] = interface.error

    def _is_cloud_end(self, name: str) -> bool:
        return self.is_on(BRIDGE, name) and self._interfaces[name].type == "patch"

    def _update_pairs(self, names: Iterable[str]) -> set[PatchPair]:
        """Make the pairs with these names on br-cloud again; returns those that are gone or new."""
        pairs = {name: self._pair(name) for name in names}
        gone = {self._pairs[name] for name, pair in pairs.items() if name in self._pairs and self._pairs[name] != pair}
        new = {pair for name, pair in pairs.items() if pair is not None and self._pairs.get(name) != pair}
        for pair in gone:
            del self._pairs[pair.cloud_name]
            self._ends.subtract((pair.cloud_name, pair.integration_name))
        for pair in new:
            self._pairs[pair.cloud_name] = pair
            self._ends.update((pair.cloud_name, pair.integration_name))
        if gone or new:
            self._patches = self._patches.updated(gone, new)
            self.ports = replace(self.ports, patches=self._patches)
        return gone | new

    def _pair(self, name: str) -> PatchPair | None:
        if not self._is_cloud_end(name):
            return None
        here = self._interfaces[name]
        there = self._interfaces.get(here.options.get("peer", ""))
        if there is None or (there.bridge, there.type) != (INTEGRATION_BRIDGE, "patch"):
            return None
        ids = there.external_ids
        pair = PatchPair(there.name, name, ids.get("iface-id", ""), ids.get("attached-mac", ""))
        cloud, integration = patch_ends(pair)
        # Neutron's back ends add external_ids of their own to the br-int end.
        has_our_ids = integration.external_ids.items() <= ids.items()
        return pair if has_our_ids and (here.options, there.options) == (cloud.options, integration.options) else None

    def _update_tunnels(self, names: Iterable[str]) -> None:
        found = {name: self._tunnel(name) for name in names}
        if not any(found.values()) and self._tunnels.keys().isdisjoint(found):
            return
        for name, tunnel in found.items():
            self._tunnels.pop(name, None)
            if tunnel is not None:
                self._tunnels[name] = tunnel
        tunnels = frozenset(self._tunnels.values())
        if tunnels != self.ports.tunnels:
            self.ports = replace(self.ports, tunnels=tunnels)
        states = {name: self._interfaces[name].bfd_state for name in self._tunnels}
        self.bfd_up = {name: state == "up" for name, state in states.items()}
        self.bfd_init = frozenset(name for name, state in states.items() if state == "init")

    def _update_echoes(self, names: Iterable[str]) -> None:
        for name in names:
            self._echoes.pop(name, None)
            if (echo := self._echo(name)) is not None:
                self._echoes[name] = echo
        echoes = frozenset(self._echoes.values())
        if echoes != self.ports.echoes:
            self.ports = replace(self.ports, echoes=echoes)

    def _echo(self, name: str) -> EchoPort | None:
        interface = self._interfaces.get(name)
        if interface is None or interface.bridge != BRIDGE or interface.type not in ENCAPSULATIONS:
            return None
        encapsulation = ENCAPSULATIONS[interface.type].from_options(interface.options)
        echo = EchoPort(encapsulation) if encapsulation is not None else None
        if echo is None or echo.name != name or interface.bfd:
            return None
        return echo if dict(interface.options) == echo_interface(echo) else None

    def _tunnel(self, name: str) -> TunnelPort | None:
        interface = self._interfaces.get(name)
        if interface is None or interface.bridge != BRIDGE or interface.type not in ENCAPSULATIONS:
            return None
        options = dict(interface.options)
        encapsulation = ENCAPSULATIONS[interface.type].from_options(options)
        if encapsulation is None:
            return None
        tunnel = TunnelPort(name, encapsulation, TunnelEnds(options.get("local_ip", ""), options.get("remote_ip", "")))
        wanted = tunnel_interface(tunnel, self._bfd_interval_milliseconds)
        return tunnel if (options, dict(interface.bfd)) == wanted else None

    def _update_leftovers(self, names: Iterable[str]) -> None:
        unconfigured = {name for name in names if name in self._interfaces and not self._is_configured(name)}
        self.leftovers = (self.leftovers - frozenset(names)) | unconfigured

    def _is_configured(self, name: str) -> bool:
        is_tunnel = name in self._tunnels or name in self._echoes
        return name in (BRIDGE, PROBE_PORT) or is_tunnel or self._ends[name] > 0
