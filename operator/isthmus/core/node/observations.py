"""What an agent reports of networks: its node's entry in the status of each Attachment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import (
    Attachment,
    LinkObservation,
    MemberObservation,
    NodeObservation,
)
from isthmus.model.names import patch_in_cloud_bridge
from isthmus.model.node.flows import LinkKey, PathKey
from isthmus.model.reasons import Reason
from isthmus.model.tracked import Tracked, changes, differing, differing_members

from .facts import NodeFacts
from .receivers import observed, path_taken, paths_to_receivers


def observations(node: str, attachments: Mapping[str, Attachment], facts: NodeFacts) -> Mapping[str, NodeObservation]:
    """This node's entries, by link name, of the Attachments that have a port on it."""
    return Observations(node).entries(attachments, facts)


class Observations:
    """Makes the entries like `observations`, at the cost of what has changed since it made them last.

    If the plan was not made from the last one, or if something changed that concerns all networks, all entries are
    made. An entry that is as before is the same object as before.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._attachments: Mapping[str, Attachment] = {}
        self._facts: NodeFacts | None = None
        self._names: dict[str, str] = {}
        """Link names by patch port on br-cloud."""
        self._plugged: dict[str, str] = {}
        """IDs of the Neutron ports by patch port on br-cloud, of the patches that exist."""
        self._entries: Tracked[str, NodeObservation] = Tracked()

    def entries(self, attachments: Mapping[str, Attachment], facts: NodeFacts) -> Mapping[str, NodeObservation]:
        """This node's entries, by link name."""
        before, self._facts = self._facts, None  # after an exception everything is made again
        if before is not None and _can_continue(before, facts):
            changed = self._changed(before, attachments, facts)
        else:
            changed = {*attachments, *self._entries}
            self._names = {patch_in_cloud_bridge(name): name for name in attachments}
            self._plugged = {patch.cloud_name: patch.neutron_port_id for patch in facts.bridge.ports.patches}
        made = {name: self._entry(attachments[name], facts) if name in attachments else None for name in changed}
        self._entries = self._entries.updated(made)
        self._attachments, self._facts = attachments, facts
        return self._entries

    def _changed(self, before: NodeFacts, attachments: Mapping[str, Attachment], facts: NodeFacts) -> set[str]:
        """Names of the networks of which anything changed."""
        changed = {*differing(self._attachments, attachments)}
        for name in changed:
            self._names[patch_in_cloud_bridge(name)] = name
        patches = differing_members(before.bridge.ports.patches, facts.bridge.ports.patches)
        for patch in patches:
            self._plugged.pop(patch.cloud_name, None)
        for patch in (patch for patch in patches if patch in facts.bridge.ports.patches):
            self._plugged[patch.cloud_name] = patch.neutron_port_id
        changed |= {self._names[patch.cloud_name] for patch in patches if patch.cloud_name in self._names}
        changed |= {*differing(before.plan.networks.by_name, facts.plan.networks.by_name)}
        changed |= {*differing(before.failures.networks, facts.failures.networks)}
        changed |= {*differing(before.dropping, facts.dropping)}
        links = {
            *differing(before.plan.link_problems, facts.plan.link_problems),
            *differing(before.probes, facts.probes),
            *differing(before.direct, facts.direct),
            *differing_members(before.receiving, facts.receiving),
        }
        return changed | {name for name, _ in links}

    def _entry(self, attachment: Attachment, facts: NodeFacts) -> NodeObservation | None:
        """This node's entry; None if the Attachment has no port on this node."""
        port = next((port for port in attachment.spec.ports if port.node == self._node), None)
        if port is None:
            return None
        name = attachment.metadata.name
        active = name in facts.plan.networks.by_name
        forwards = facts.flows_installed and name not in facts.failures.networks
        is_plugged = self._plugged.get(patch_in_cloud_bridge(name)) == port.port_id
        return NodeObservation(
            node=self._node,
            observed_generation=attachment.metadata.generation or 0,
            plugged=is_plugged and (not active or forwards),
            links=tuple(self._links(attachment, facts)) if active else (),
            members=tuple(self._members(attachment, facts)) if active else (),
            dropping=facts.dropping.get(name, ()) if active else (),
        )

    def _links(self, attachment: Attachment, facts: NodeFacts) -> Iterator[LinkObservation]:
        """The attachment's links; a link that no probe has decided yet keeps its entry."""
        entry = self._last(attachment)
        previous = {link.cloud_id: link for link in entry.links} if entry else {}
        for link in attachment.spec.links:
            key = (attachment.metadata.name, link.cloud_id)
            if _is_undecided(key, facts) and link.cloud_id in previous:
                yield previous[link.cloud_id]
            else:
                problem = _problem(key, f"gateway {link.gateway.name}", facts, key)
                yield LinkObservation(cloud_id=link.cloud_id, **_state(problem))

    def _members(self, attachment: Attachment, facts: NodeFacts) -> Iterator[MemberObservation]:
        """The other receivers, likewise."""
        entry = self._last(attachment)
        previous = {member.number: member for member in entry.members} if entry else {}
        for number, paths in paths_to_receivers(attachment).items():
            taken = path_taken(paths, facts)
            if _is_undecided(paths[taken].key, facts) and number in previous:
                yield previous[number].model_copy(update={"path": previous[number].path and taken})
            else:
                problems = {kind: _problem(path.key, path.whom, facts, path.member) for kind, path in paths.items()}
                yield observed(number, taken, problems)

    def _last(self, attachment: Attachment) -> NodeObservation | None:
        return next((entry for entry in attachment.status.nodes if entry.node == self._node), None)


def _can_continue(before: NodeFacts, after: NodeFacts) -> bool:
    """Whether it is known which networks the facts differ in."""
    return (
        changes(before.plan.networks.by_name, after.plan.networks.by_name) is not None
        and before.flows_installed == after.flows_installed
        and before.probe_problem == after.probe_problem
    )


def _is_undecided(key: PathKey, facts: NodeFacts) -> bool:
    """Whether no probe has decided on a path yet, and nothing else has either."""
    return key not in facts.plan.link_problems and key not in facts.probes


def _problem(key: PathKey, whom: str, facts: NodeFacts, member: LinkKey) -> Problem | None:
    """Why nothing passes by a path to a member; `whom` says who should answer."""
    problem = facts.plan.link_problems.get(key) or facts.failures.networks.get(key[0])
    if problem is None and key not in facts.probes:
        problem = facts.probe_problem or Problem(Reason.PROBING, "no dataplane probe has been answered yet")
    elif problem is None and not facts.probes[key]:
        arrive = "packets of this network arrive" if member in facts.receiving else "nothing of this network arrives"
        problem = Problem(
            Reason.PROBE_UNANSWERED, f"dataplane probes are not answered by {whom}; {arrive} from the peer"
        )
    return problem


def _state(problem: Problem | None) -> dict[str, Any]:
    """What is said of a path with that problem."""
    reason, message = (problem.reason, problem.message) if problem else (Reason.PROBE_ANSWERED, "")
    return {"up": problem is None, "reason": reason, "message": message}
