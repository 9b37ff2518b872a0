"""Deployments, DaemonSets, pods and nodes as far as a restart depends on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from isthmus.model import names

from ..documents import Document, entries, number, text, texts
from ..refusals import Refused


@dataclass(frozen=True)
class Component:
    """One of our programs, as the chart runs it."""

    name: str
    kind: str
    namespace: str
    command: tuple[str, ...]
    """Something that its image can run and that ends at once."""

    @property
    def title(self) -> str:
        """What it is called in sentences."""
        return self.name if self.name == "charon" else f"the {self.name}"

    @property
    def workload(self) -> str:
        """Name of its Deployment or DaemonSet."""
        return f"isthmus-{self.name}"

    @property
    def label(self) -> str:
        """The same with its kind, for sentences."""
        return f"{self.kind} {self.namespace}/{self.workload}"

    @property
    def reference(self) -> str:
        """Its Deployment or DaemonSet, as an argument of kubectl."""
        return f"{self.kind.lower()}/{self.workload}"

    @property
    def selector(self) -> str:
        """Labels of its pods."""
        return f"app.kubernetes.io/name=isthmus,app.kubernetes.io/component={self.name}"

    @property
    def not_in_pods(self) -> Refused:
        """Why it cannot be restarted from here."""
        where = "its node" if self.kind == "Deployment" else "the gateway nodes"
        return Refused(
            f"{self.title} does not run in pods of this cluster, for there is no {self.label}: restart its service "
            f"on {where}"
        )


COMPONENTS: Final = {
    component.name: component
    for component in (
        Component("controller", "Deployment", names.SYSTEM_NAMESPACE, ()),
        Component("agent", "DaemonSet", names.GATEWAY_NAMESPACE, ("/usr/bin/python3", "--version")),
        Component("charon", "DaemonSet", names.GATEWAY_NAMESPACE, ("/usr/sbin/swanctl", "--version")),
    )
}


@dataclass(frozen=True)
class Rollout:
    """How far a Deployment or a DaemonSet is."""

    is_observed: bool
    wanted: int
    updated: int
    available: int
    existing: int

    @classmethod
    def parse(cls, item: Document) -> Rollout:
        """As kubectl prints it; both kinds count the same under different names."""
        generation, observed = number(item, "metadata", "generation"), number(item, "status", "observedGeneration")
        is_daemonset = text(item, "kind") == "DaemonSet"
        counts = ("updatedNumberScheduled", "numberAvailable", "currentNumberScheduled")
        others = ("updatedReplicas", "availableReplicas", "replicas")
        wanted = ("status", "desiredNumberScheduled") if is_daemonset else ("spec", "replicas")
        return cls(
            (observed or 0) >= (generation or 0),
            number(item, *wanted) or 0,
            *(number(item, "status", count) or 0 for count in (counts if is_daemonset else others)),
        )

    @property
    def is_complete(self) -> bool:
        """Whether all pods are of the current template, and available."""
        return self.is_observed and self.wanted == self.updated == self.available == self.existing


@dataclass(frozen=True)
class Pod:
    """A pod of ours."""

    name: str
    uid: str
    node: str
    is_terminating: bool
    is_ready: bool
    trouble: str
    """Why it does not run; empty if it gives no reason."""

    @classmethod
    def parse(cls, item: Document) -> Pod:
        """As kubectl prints it."""
        return cls(
            name=text(item, "metadata", "name"),
            uid=text(item, "metadata", "uid"),
            node=text(item, "spec", "nodeName"),
            is_terminating=text(item, "metadata", "deletionTimestamp") != "",
            is_ready=text(_condition(item, "Ready"), "status") == "True",
            trouble=_trouble(item) or text(_condition(item, "PodScheduled"), "message"),
        )


@dataclass(frozen=True)
class Machine:
    """A node of the cluster."""

    name: str
    is_ready: bool
    images: frozenset[str]

    @classmethod
    def parse(cls, item: Document) -> Machine:
        """As kubectl prints it."""
        return cls(
            name=text(item, "metadata", "name"),
            is_ready=text(_condition(item, "Ready"), "status") == "True",
            images=frozenset(name for image in entries(item, "status", "images") for name in texts(image, "names")),
        )


def _trouble(item: Document) -> str:
    for status in entries(item, "status", "containerStatuses"):
        for state in ("waiting", "terminated"):
            if reason := text(status, "state", state, "reason"):
                return ": ".join(filter(None, (reason, text(status, "state", state, "message"))))
    return ""


def _condition(item: Document, type_: str) -> Document:
    """The condition of that type; empty if there is none."""
    return next((c for c in entries(item, "status", "conditions") if text(c, "type") == type_), {})
