"""What somebody else keeps changing of what is ours in OpenStack: set back at once, but never fought over.

A value is written at most `MAX_REPAIRS` times within `WINDOW_SECONDS`. If it has changed again by then, somebody or
something disagrees, and faster repairs would only be a contest between two programs: it is left as it is, and the next
attempt is made `PAUSE_SECONDS` after the last one, or at once if another value is wanted.

Some things are never left as others made them. Ports of ours that are too many go (two attachment ports are a loop),
attachment ports that pass nothing are restored, and ports that reserve addresses in use elsewhere are made again: those
of the origin's gateways and of machines of other members, whose addresses somebody could take over otherwise.

What the network works without, and Neutron refuses, is no failure of the network: it is tried again after the pause.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from isthmus.model import names
from isthmus.model.actions import (
    Action,
    CreateAttachmentPort,
    CreateNetwork,
    CreateSecurityGroup,
    CreateSubnet,
    DeleteNetwork,
    DeletePort,
    DeleteSubnet,
    ExemptAttachmentPort,
    Problem,
    RestoreAttachmentPort,
    SetNetworkMTU,
    SetQuota,
    TagNetwork,
    UpdatePools,
    UpdateSecurityGroup,
    UpdateSubnet,
)
from isthmus.model.facts.openstack import NetworkFacts, Subnet
from isthmus.model.reasons import Reason
from isthmus.model.text import listed

from .addressing import spans_of, subtract

MAX_REPAIRS: Final = 3
WINDOW_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 3600.0
_MAX_MESSAGE_CHARACTERS: Final = 1024
_ADDRESSING: Final = frozenset({"gateway_ip", "allocation_pools"})  # Neutron refuses pools with the gateway


@dataclass(frozen=True, order=True)
class Target:
    """One thing that is to stay as we made it."""

    resource: str
    """Kind and ID, as a person looks for it in OpenStack."""
    field: str = ""
    """As Neutron calls it; empty: that the resource exists."""
    is_of_project: bool = False
    """Whether the networks of a project share it, so that what is written for any of them counts for all."""

    def __str__(self) -> str:
        return f"{self.field} of {self.resource}" if self.field else f"{self.resource} (deleted)"


@dataclass(frozen=True)
class Written:
    """A value that we wrote, and when (monotonic seconds): the last times only, oldest first."""

    value: Hashable
    at_seconds: tuple[float, ...]
    was_refused: bool = False
    """Whether Neutron refused it at that time; then it was not written."""

    def is_contested(self, now: float) -> bool:
        """Whether it is left alone now, if it is to be written again."""
        at = () if self.was_refused else self.at_seconds[-MAX_REPAIRS:]
        return len(at) == MAX_REPAIRS and at[-1] - at[0] < WINDOW_SECONDS and now - at[-1] < PAUSE_SECONDS

    def is_refused(self, now: float) -> bool:
        """Whether Neutron need not be asked for it again yet."""
        return self.was_refused and now - self.at_seconds[-1] < PAUSE_SECONDS

    def is_of_interest(self, now: float) -> bool:
        """Whether it can still decide anything."""
        is_recent = now - self.at_seconds[-1] < WINDOW_SECONDS
        return is_recent or self.is_contested(now) or self.is_refused(now)


History = Mapping[Target, Written]


@dataclass(frozen=True)
class Repairs:
    """What was written of late for one network and its project, seen at a moment (monotonic seconds)."""

    history: History = field(default_factory=dict)
    now: float = 0.0

    def permitted(
        self, actions: Iterable[Action], facts: NetworkFacts | None
    ) -> tuple[tuple[Action, ...], tuple[Target, ...]]:
        """The actions without what is contested or refused, and what is contested."""
        allowed: list[Action] = []
        contested: list[Target] = []
        for action in actions:
            if self._is_refused(action, facts):
                continue
            found = {t for t, value in written_by(action, facts).items() if self._is_contested(t, value)}
            contested += sorted(found)
            reduced = _without(action, found, facts) if found else action
            allowed += [reduced] if reduced is not None else []
        return tuple(allowed), tuple(contested)

    def after(self, action: Action, facts: NetworkFacts | None) -> History:
        """The history after an action that succeeded; `facts` as they were before it."""
        history = {target: written for target, written in self.history.items() if written.is_of_interest(self.now)}
        for target in _ended_by(action, facts):
            history.pop(target, None)
        for target, value in written_by(action, facts).items():
            before = history.get(target)
            times = before.at_seconds if before is not None and before.value == value else ()
            history[target] = Written(value, (*times, self.now)[-MAX_REPAIRS:])
        return history

    def after_refusal(self, action: Action, facts: NetworkFacts | None) -> History:
        """The history after Neutron has refused the action."""
        refused = written_by(action, facts).items()
        return {**self.history, **{target: Written(value, (self.now,), was_refused=True) for target, value in refused}}

    def _is_refused(self, action: Action, facts: NetworkFacts | None) -> bool:
        written = (self.history.get(target) for target in written_by(action, facts))
        return any(before is not None and before.is_refused(self.now) for before in written)

    def _is_contested(self, target: Target, value: Hashable) -> bool:
        written = self.history.get(target)
        return written is not None and written.value == value and written.is_contested(self.now)


def contested_problem(contested: Iterable[Target]) -> Problem | None:
    """What to tell whoever can end the contest; None if there is none."""
    targets = [str(target) for target in dict.fromkeys(contested)]
    if not targets:
        return None
    text = (
        f"set back {MAX_REPAIRS} times within {WINDOW_SECONDS / 60:.0f} minutes and changed again, now left as it is: "
        f"{listed(targets, more=', and {} more')}; find out who or what changes it, such as a deployment tool, and "
        f"stop that; the next attempt is made {PAUSE_SECONDS / 60:.0f} minutes after the last one"
    )
    return Problem(Reason.DRIFT_CONTESTED, text[:_MAX_MESSAGE_CHARACTERS])


def written_by(action: Action, facts: NetworkFacts | None) -> dict[Target, Hashable]:
    """What the action changes of what is ours, each with the value that it is to have; empty for what is always done.

    The value must not depend on what somebody made of it: who changes it differently each time wants another one than
    we do all the same.
    """
    match action:
        case SetQuota(project_id, quota):
            return {Target(f"project {project_id}", "quotas", is_of_project=True): quota}
        case CreateNetwork(project_id, _, _, description):
            return {_replica(project_id, description): None}
        case SetNetworkMTU(network_id, mtu):
            return {Target(f"network {network_id}", "mtu"): mtu}
        case TagNetwork(network_id, tag):
            return {Target(f"network {network_id}", "tags"): tag}
        case CreateSubnet():
            return {_subnet(action.network_id, action.cidr): None}
        case UpdateSubnet():
            return {Target(f"subnet {action.id}", name): value for name, value in _differences(action, facts).items()}
        case UpdatePools() if not _only_adds(action):
            return {_pools(action): action.withheld}
        case CreateAttachmentPort(network_id, host):
            return {_attachment_port(network_id): host}
        case CreateSecurityGroup(project_id, name):
            return {Target(f"security group {name} of project {project_id}", is_of_project=True): None}
        case UpdateSecurityGroup(id_, description):
            return {Target(f"security group {id_}", "rules", is_of_project=True): description}
        case RestoreAttachmentPort(id_, description) if _passes_all_frames(id_, facts):
            return {Target(f"port {id_}", "description"): description}
        case ExemptAttachmentPort(id_):
            return {Target(f"port {id_}", "qos_policy_id"): names.QOS_POLICY}
        case _:
            return {}


def is_dispensable(action: Action) -> bool:
    """Whether the network works, if less well, without what the action does."""
    return isinstance(action, ExemptAttachmentPort)


def _ended_by(action: Action, facts: NetworkFacts | None) -> tuple[Target, ...]:
    """What need not stay any more as we made it, because we end it ourselves."""
    if facts is None:
        return ()
    match action:
        case DeleteNetwork(id_) if facts.network is not None and facts.network.id == id_:
            return (_replica(facts.network.project_id, facts.network.description),)
        case DeleteSubnet(id_):
            return tuple(_subnet(s.network_id, s.cidr) for s in facts.subnets if s.id == id_)
        case DeletePort(id_):
            ours = (p for p in facts.ports if p.id == id_ and p.device_owner == names.ATTACHMENT_DEVICE_OWNER)
            return tuple(_attachment_port(port.network_id) for port in ours)
        case UpdatePools() if _only_adds(action):
            return (_pools(action),)
        case _:
            return ()


def _without(action: Action, contested: set[Target], facts: NetworkFacts | None) -> Action | None:
    """The action that leaves this as it is; None if nothing remains to be done."""
    subnet = _existing(action, facts) if isinstance(action, UpdateSubnet) else None
    if not isinstance(action, UpdateSubnet) or subnet is None:
        return None
    fields = {target.field for target in contested}
    if fields & _ADDRESSING:
        fields |= _ADDRESSING
    reduced = replace(
        action,
        gateway_ip=subnet.gateway_ip if "gateway_ip" in fields else action.gateway_ip,
        pools=None if "allocation_pools" in fields else action.pools,
        enable_dhcp=None if "enable_dhcp" in fields else action.enable_dhcp,
        dns_nameservers=None if "dns_nameservers" in fields else action.dns_nameservers,
        host_routes=None if "host_routes" in fields else action.host_routes,
    )
    return reduced if _differences(reduced, facts) else None


def _differences(action: UpdateSubnet, facts: NetworkFacts | None) -> dict[str, Hashable]:
    """The fields that the update changes, with their wanted values."""
    subnet = _existing(action, facts)
    if subnet is None:
        return {}
    servers, routes, pools = action.dns_nameservers, action.host_routes, action.pools
    differs = {
        "gateway_ip": action.gateway_ip != subnet.gateway_ip,
        "allocation_pools": pools is not None and spans_of(pools) != spans_of(subnet.pools),
        "enable_dhcp": action.enable_dhcp not in (None, subnet.enable_dhcp),
        "dns_nameservers": servers is not None and {*servers} != {*subnet.dns_nameservers},
        "host_routes": routes is not None and {*routes} != {*subnet.host_routes},
    }
    wanted: dict[str, Hashable] = {
        "gateway_ip": action.gateway_ip,
        "allocation_pools": pools,
        "enable_dhcp": action.enable_dhcp,
        "dns_nameservers": servers,
        "host_routes": routes,
    }
    return {name: wanted[name] for name, is_different in differs.items() if is_different}


def _existing(action: UpdateSubnet, facts: NetworkFacts | None) -> Subnet | None:
    return next((subnet for subnet in (facts.subnets if facts else ()) if subnet.id == action.id), None)


def _only_adds(action: UpdatePools) -> bool:
    """Whether it only gives addresses back, of which nobody has to be deprived again."""
    return not subtract(spans_of(action.replaced_pools), spans_of(action.pools))


def _passes_all_frames(port_id: str, facts: NetworkFacts | None) -> bool:
    return any(port.id == port_id and port.passes_all_frames for port in (facts.ports if facts else ()))


def _pools(action: UpdatePools) -> Target:
    return Target(f"subnet {action.subnet_id}", "allocation_pools")


def _replica(project_id: str, description: str) -> Target:
    return Target(f"network {description!r} of project {project_id}")


def _subnet(network_id: str, cidr: str) -> Target:
    return Target(f"subnet {cidr} of network {network_id}")


def _attachment_port(network_id: str) -> Target:
    return Target(f"attachment port of network {network_id}")
