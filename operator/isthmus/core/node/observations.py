"""What an agent reports of networks: its node's entry in the status of each Attachment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentLink, LinkObservation, NodeObservation
from isthmus.model.reasons import Reason

from .facts import NodeFacts


def observations(node: str, attachments: Iterable[Attachment], facts: NodeFacts) -> Mapping[str, NodeObservation]:
    """This node's entries, by link name, of the Attachments that have a port on it."""
    of_node = _Observations(node, facts)
    found = ((attachment.metadata.name, of_node.of(attachment)) for attachment in attachments)
    return {name: entry for name, entry in found if entry is not None}


class _Observations:
    """This node's entries in the statuses of Attachments, as the facts of one observation give them."""

    def __init__(self, node: str, facts: NodeFacts) -> None:
        self._node = node
        self._facts = facts
        self._active = {network.name for network in facts.plan.networks}
        self._patched = {patch.neutron_port_id for patch in facts.bridge.ports.patches}

    def of(self, attachment: Attachment) -> NodeObservation | None:
        """This node's entry; None if the Attachment has no port on this node."""
        port = next((port for port in attachment.spec.ports if port.node == self._node), None)
        if port is None:
            return None
        name = attachment.metadata.name
        active = name in self._active
        forwards = self._facts.flows_installed and name not in self._facts.failures.networks
        return NodeObservation(
            node=self._node,
            observed_generation=attachment.metadata.generation or 0,
            plugged=port.port_id in self._patched and (not active or forwards),
            links=tuple(self._links(attachment)) if active else (),
        )

    def _links(self, attachment: Attachment) -> Iterator[LinkObservation]:
        """The attachment's links; a link that no probe has decided yet keeps its entry."""
        entry = next((entry for entry in attachment.status.nodes if entry.node == self._node), None)
        previous = {link.cloud_id: link for link in entry.links} if entry else {}
        for link in attachment.spec.links:
            key = (attachment.metadata.name, link.cloud_id)
            if (
                key not in self._facts.plan.link_problems
                and key not in self._facts.probes
                and link.cloud_id in previous
            ):
                yield previous[link.cloud_id]
            else:
                yield self._link(key, link)

    def _link(self, key: tuple[str, str], link: AttachmentLink) -> LinkObservation:
        facts = self._facts
        problem = facts.plan.link_problems.get(key) or facts.failures.networks.get(key[0])
        if problem is None and key not in facts.probes:
            problem = facts.probe_problem or Problem(Reason.PROBING, "no dataplane probe has been answered yet")
        elif problem is None and not facts.probes[key]:
            arrive = "packets of this network arrive" if key in facts.receiving else "nothing of this network arrives"
            problem = Problem(
                Reason.PROBE_UNANSWERED,
                f"dataplane probes are not answered by gateway {link.gateway.name}; {arrive} from the peer",
            )
        return LinkObservation(
            cloud_id=link.cloud_id,
            up=problem is None,
            reason=problem.reason if problem else Reason.PROBE_ANSWERED,
            message=problem.message if problem else "",
        )
