"""The ports of br-cloud: in one transaction, and one by one if that is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.core.node.diff import PortComparison
from isthmus.core.node.plan import NodePlan
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unavailable
from isthmus.model.names import patch_in_cloud_bridge
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import IkeView
from isthmus.model.node.switch import BridgeView, PatchPair, Ports
from isthmus.ports import Ovsdb

from .attempts import Attempts

_MAX_PATCHES = 500  # in one transaction


class Bridge:
    """Adds and removes ports; what the database refuses of one port does not keep the others from it."""

    def __init__(self, ovsdb: Ovsdb) -> None:
        self._ovsdb = ovsdb
        self._comparison = PortComparison()

    def forget(self) -> None:
        """Compare all ports the next time."""
        self._comparison = PortComparison()

    def unwanted(self, plan: NodePlan, bridge: BridgeView) -> frozenset[str]:
        """Our interfaces that are not planned, or are configured differently."""
        return self._comparison.unwanted(plan, bridge)

    def add(
        self, plan: NodePlan, inputs: NodeInputs, bridge: BridgeView, ike: IkeView | None, attempts: Attempts
    ) -> BridgeView:
        """Add missing ports, tunnel ports only behind a loaded connection; returns the bridge as it is then."""
        loaded = [c.name for c in plan.connections if ike is not None and ike.loaded.get(c.name) == c.digest]
        missing = self._comparison.missing(plan, bridge, loaded)
        if plan.ports == Ports() or (bridge.exists and missing == Ports()):
            return bridge
        with attempts.node():
            if not bridge.exists:
                self._ovsdb.ensure_bridge()
            if missing != Ports():
                self._add(missing, inputs, attempts)
        return self._ovsdb.view()

    def remove(self, plan: NodePlan, bridge: BridgeView, attempts: Attempts) -> BridgeView:
        """Remove unwanted ports, and the bridge with the last of them; returns the bridge as it is then."""
        unwanted = self._comparison.unwanted(plan, bridge)
        if not unwanted and (plan.ports != Ports() or not bridge.exists):
            return bridge
        with attempts.node():
            if unwanted:
                self._remove(unwanted, bridge.ports.patches, attempts)
            if plan.ports == Ports() and bridge.exists:
                self._ovsdb.remove_bridge()
        return self._ovsdb.view()

    def _add(self, missing: Ports, inputs: NodeInputs, attempts: Attempts) -> None:
        for part in _parts(missing):
            try:
                self._ovsdb.apply(part, ())
            except Unavailable:
                raise
            except ExternalError:
                self._add_one_by_one(part, inputs, attempts)

    def _add_one_by_one(self, missing: Ports, inputs: NodeInputs, attempts: Attempts) -> None:
        names = {patch_in_cloud_bridge(name): name for name in inputs.attachments}
        for tunnel in sorted(missing.tunnels, key=lambda t: t.name):
            with attempts.connection(tunnel.name):
                self._ovsdb.apply(Ports(tunnels=frozenset({tunnel})), ())
        for echo in sorted(missing.echoes, key=lambda e: e.name):
            with attempts.node():
                self._ovsdb.apply(Ports(echoes=frozenset({echo})), ())
        for patch in sorted(missing.patches, key=lambda p: p.cloud_name):
            with attempts.network(names[patch.cloud_name]):
                self._ovsdb.apply(Ports(patches=frozenset({patch})), ())

    def _remove(self, unwanted: frozenset[str], patches: Iterable[PatchPair], attempts: Attempts) -> None:
        try:
            self._ovsdb.apply(Ports(), unwanted)
        except Unavailable:
            raise
        except ExternalError:
            for group in _groups(unwanted, patches):
                try:
                    self._ovsdb.apply(Ports(), group)
                except ExternalError as error:
                    text = f"removing ports {', '.join(sorted(group))}: {error}"
                    attempts.failed(Problem(error.reason, text[:1024]))


def _parts(ports: Ports) -> Iterator[Ports]:
    """The ports for one transaction each, so that none takes longer than a request to the database may take."""
    patches = sorted(ports.patches, key=lambda p: p.cloud_name)
    yield Ports(ports.tunnels, frozenset(patches[:_MAX_PATCHES]), ports.echoes)
    for first in range(_MAX_PATCHES, len(patches), _MAX_PATCHES):
        yield Ports(patches=frozenset(patches[first : first + _MAX_PATCHES]))


def _groups(interfaces: frozenset[str], patches: Iterable[PatchPair]) -> Iterator[frozenset[str]]:
    """Interfaces to be removed together: both ends of a patch, anything else alone."""
    pairs = {end: {p.cloud_name, p.integration_name} for p in patches for end in (p.cloud_name, p.integration_name)}
    yield from sorted({frozenset(pairs.get(name, {name}) & interfaces) for name in interfaces}, key=min)
