"""charon of a gateway node in memory, and the SAs that it installs in the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from isthmus.model import names
from isthmus.model.errors import Unavailable
from isthmus.model.node.ipsec import IKE_CHILDREN, IkeConnection, IkeState, IkeView, SecurityAssociation

from .node import FakeNode


class FakeIke:
    """ports.Ike; a peer that answers establishes SAs immediately."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> IkeView:
        node = self._ask()
        loaded = {name: connection.digest for name, connection in node.loaded.items()}
        states = {name: self._state(name, loaded.get(name)) for name in node.negotiated}
        up = {name for name, state in states.items() if state.children_installed}
        return IkeView(str(node.charon_instance), loaded, states, "5.9.8", frozenset(node.refused - up))

    def load(self, connection: IkeConnection, key: bytes) -> None:
        node = self._ask()
        node.loaded[connection.name], node.keys[connection.name] = connection, key
        node.refused.discard(connection.name)
        node.changed(f"load {connection.name}")

    def unload(self, name: str) -> None:
        node = self._ask()
        node.loaded.pop(name, None)
        node.keys.pop(name, None)
        self._end(name, node.negotiated.pop(name, set()))
        assert name not in {t.name for t in node.ports.tunnels}, "connection unloaded while its tunnel port exists"
        node.changed(f"unload {name}")

    def initiate(self, name: str) -> None:
        node = self._ask()
        if not node.peer_answers or name not in node.loaded:
            return
        if node.peer_key in {None, node.keys[name]}:
            self.establish(name)
        else:
            node.refused.add(name)

    def establish(self, name: str) -> None:
        """Establish SAs for a loaded connection, as if the peer had agreed."""
        connection = self._node.loaded[name]
        self._node.negotiated.setdefault(name, set()).add(connection.digest)
        ends = (connection.local_address, connection.remote_address)
        for incoming, spi in _spis(self._node.charon_instance, name, [connection.digest]):
            source, destination = reversed(ends) if incoming else ends
            self._node.associations |= {SecurityAssociation(source, destination, spi, "esp", 1)}

    def retire(self, name: str) -> None:
        node = self._ask()
        digests = node.negotiated.get(name, set())
        current = {node.loaded[name].digest} if name in node.loaded else set()
        if current <= digests:
            self._end(name, digests - current)
            node.negotiated.pop(name, None)
            node.negotiated |= {name: current} if current else {}
        node.changed(f"retire {name}")

    def _state(self, name: str, loaded: str | None) -> IkeState:
        digests = self._node.negotiated[name]
        spis = frozenset(spi for _, spi in _spis(self._node.charon_instance, name, digests))
        return IkeState(True, IKE_CHILDREN if loaded in digests else frozenset(), digests != {loaded}, spis)

    def _end(self, name: str, digests: Iterable[str]) -> None:
        gone = {spi for _, spi in _spis(self._node.charon_instance, name, digests)}
        self._node.associations = frozenset(a for a in self._node.associations if a.spi not in gone)

    def _ask(self) -> FakeNode:
        if not self._node.charon_answers:
            raise Unavailable("charon does not answer")
        return self._node


def _spis(instance: int, name: str, digests: Iterable[str]) -> Iterator[tuple[bool, int]]:
    """(inbound, SPI) of the SAs of each negotiated child."""
    for digest, child, end in product(digests, IKE_CHILDREN, ("in", "out")):
        yield end == "in", int(names.digest(str(instance), name, digest, child, end, digits=8), 16)
