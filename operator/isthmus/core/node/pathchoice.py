"""By which of its two paths a member of a network is sent to: directly, or through the origin.

A choice is this cloud's alone: whatever the other cloud chooses, it accepts frames by both paths. So nothing has to be
agreed on, and each frame is sent once, by the path that is chosen at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from isthmus.model.node.flows import LinkKey, PathKey, PlannedLink, PlannedNetwork

_SILENT_AFTER: Final = 3  # consecutive probes without an answer
_UNBROKEN_SECONDS: Final = 10.0  # of answers, before frames return to a direct path that had failed


Path = Literal["Direct", "ThroughOrigin"]


class TwoPaths(NamedTuple):
    """The paths to a member that has both."""

    direct: PlannedLink
    through_origin: PlannedLink


@dataclass(frozen=True)
class Heard:
    """What is known of the probes of one path. Times are those of a monotonic clock, in seconds."""

    unanswered: int = 0
    """Since the last answer."""
    since: float | None = None
    """Since when all probes were answered; None if the last one was not, or none was sent."""

    def then(self, answered: bool, now: float) -> Heard:
        """After another probe."""
        if not answered:
            return Heard(min(self.unanswered + 1, _SILENT_AFTER))
        return self if self.since is not None else Heard(0, now)

    @property
    def is_silent(self) -> bool:
        """Whether probes have stopped coming back."""
        return self.unanswered >= _SILENT_AFTER


_NOTHING_HEARD: Final = Heard()


@dataclass(frozen=True)
class Choice:
    """The path to a member that has both, and what is known of them."""

    is_direct: bool = False
    has_failed: bool = False
    """Whether the direct path has been left: frames do not return to it with its first answer."""
    direct: Heard = _NOTHING_HEARD
    through_origin: Heard = _NOTHING_HEARD

    def probed(self, direct: bool | None, through_origin: bool | None, now: float) -> Choice:
        """After a probe of either path was answered, or was not; None: nothing is known."""
        return replace(
            self,
            direct=self.direct if direct is None else self.direct.then(direct, now),
            through_origin=self.through_origin
            if through_origin is None
            else self.through_origin.then(through_origin, now),
        )

    def decided(self, bfd_up: bool, now: float) -> Choice:
        """With the path that is right now; `bfd_up` is that of the tunnel of the direct path.

        The last one stays while neither path works.
        """
        if self.is_direct:
            is_down = self.direct.is_silent or not bfd_up
            leaves = is_down and self.through_origin.since is not None
            return replace(self, is_direct=False, has_failed=True) if leaves else self
        if self.direct.since is None or not bfd_up:
            return self
        is_proven = not self.has_failed or now - self.direct.since >= _UNBROKEN_SECONDS
        if is_proven or self.through_origin.is_silent:
            return replace(self, is_direct=True, has_failed=False)
        return self


def first_choice(last: str | None) -> Choice:
    """The choice for a member whose second path is new to this agent; `last` is what it reported before it started.

    One that had left the direct path does not return at once.
    """
    return Choice(is_direct=last == "Direct", has_failed=last == "ThroughOrigin")


def members_with_two_paths(network: PlannedNetwork | None) -> dict[LinkKey, TwoPaths]:
    """Those of a network."""
    if network is None:
        return {}
    direct = {link.member: link for link in network.links if link.direct is not None}
    return {
        (network.name, link.member): TwoPaths(direct[link.member], link)
        for link in network.links
        if link.is_handed_on and link.member in direct
    }


def rechosen(choice: Choice, before: TwoPaths, after: TwoPaths) -> Choice:
    """The choice after the paths have changed: what was heard of one that leads elsewhere now means nothing."""
    same_direct, same_through = (leads_alike(*pair) for pair in zip(before, after, strict=True))
    return replace(
        choice,
        direct=choice.direct if same_direct else _NOTHING_HEARD,
        through_origin=choice.through_origin if same_through else _NOTHING_HEARD,
    )


def leads_alike(one: PlannedLink, other: PlannedLink) -> bool:
    """Whether both are the same path, though other things about them may differ."""
    return (one.tunnel_port, one.tunnel_id) == (other.tunnel_port, other.tunnel_id)


def paths_taken(network: PlannedNetwork, direct: Mapping[LinkKey, bool]) -> dict[str, Path]:
    """By the names of the other receivers of a network, the paths that frames to them are sent by.

    `direct` has the members with two paths that are sent to directly.
    """
    taken: dict[str, Path] = {
        link.member: "ThroughOrigin" if link.is_handed_on else "Direct"
        for link in network.links
        if link.number is not None
    }
    for key in members_with_two_paths(network):
        taken[key[1]] = "Direct" if key in direct else "ThroughOrigin"
    return taken


def path_before(network: PlannedNetwork, member: str) -> Path | None:
    """The only path to a member before it had another one; None if it was none."""
    return paths_taken(network, {}).get(member)


def probes_of(paths: Mapping[LinkKey, TwoPaths]) -> dict[PathKey, str]:
    """The source MAC addresses of the probes of both paths to each member."""
    return {(name, link.path): link.probe_mac for (name, _), two in paths.items() for link in two}
