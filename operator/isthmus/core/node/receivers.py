"""What is said of the paths from one receiver of a network to the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import Attachment, MemberObservation
from isthmus.model.names import member
from isthmus.model.node.flows import LinkKey, PathKey
from isthmus.model.reasons import Reason

from .facts import NodeFacts
from .networks import direct_name
from .pathchoice import Path


class PathToReceiver(NamedTuple):
    """A path to another receiver."""

    key: PathKey
    member: LinkKey
    whom: str
    """Who should answer, in a sentence."""


def paths_to_receivers(attachment: Attachment) -> dict[int, dict[Path, PathToReceiver]]:
    """By the number of each other receiver in the network, the paths to it, of which there is one at least."""
    name, found = attachment.metadata.name, dict[int, dict[Path, PathToReceiver]]()
    if attachment.spec.role != "Receiver":
        return found
    for link in attachment.spec.links:
        for path in link.members:
            key = (name, member(link.cloud_id, path.number))
            whom = f"member {path.number} through gateway {link.gateway.name} of the origin"
            found.setdefault(path.number, {})["ThroughOrigin"] = PathToReceiver(key, key, whom)
    for direct in attachment.spec.direct_paths:
        key = (name, member(attachment.spec.origin.cloud_id, direct.number))
        whom = f"member {direct.number} at gateway {direct.gateway.name} of {direct.cloud_id}"
        named = PathToReceiver((name, direct_name(attachment, direct)), key, whom)
        found.setdefault(direct.number, {})["Direct"] = named
    return found


def path_taken(paths: Mapping[Path, PathToReceiver], facts: NodeFacts) -> Path:
    """The one of these that frames are sent by; if there is none that they can be sent by, any."""
    planned: list[Path] = [kind for kind, path in paths.items() if path.key not in facts.plan.link_problems]
    if len(planned) == 1:
        return planned[0]
    if "Direct" not in paths or (planned and paths["Direct"].member not in facts.direct):
        return "ThroughOrigin"
    return "Direct"


def observed(number: int, taken: Path, problems: Mapping[Path, Problem | None]) -> MemberObservation:
    """What is reported of a receiver; `problems` has an entry for each path to it."""
    other: Path = "Direct" if taken == "ThroughOrigin" else "ThroughOrigin"
    problem = problems[taken]
    if problem is not None and (other not in problems or problems[other] is not None):
        return MemberObservation(number=number, up=False, reason=problem.reason, message=problem.message)
    message = ""
    if taken == "ThroughOrigin" and "Direct" in problems:
        message = _why_not_direct(problems["Direct"])
    elif problem is not None:
        message = f"frames are about to be sent through the origin: {problem.message}"
    return MemberObservation(number=number, up=True, path=taken, reason=Reason.PROBE_ANSWERED, message=message)


def _why_not_direct(problem: Problem | None) -> str:
    text = f"frames are sent through the origin: {problem.message}" if problem else _NOT_FOR_LONG_ENOUGH
    return text[:1024]


_NOT_FOR_LONG_ENOUGH = (
    "frames are sent through the origin: the direct path has failed before, and has not carried again for long enough"
)
