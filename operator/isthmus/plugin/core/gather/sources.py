"""What is read for the archive, as arguments of `kubectl get`. Secrets are never among it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from isthmus.model import names

from ..refusals import Misused

PART_OF: Final = "app.kubernetes.io/part-of=isthmus"
KINDS: Final = (
    "gatewaynodes",
    "cloudpeers",
    "ipsecpolicies",
    "peerlinks",
    "expansionlinks",
    "portslices",
    "memberlinks",
    "networkexpansions",
    "expansionapprovals",
    "attachments",
)
_WORKLOADS: Final = "pods,deployments.apps,daemonsets.apps,jobs.batch"
_POLICIES: Final = "validatingadmissionpolicies,validatingadmissionpolicybindings"
_DEFINITIONS: Final = tuple(f"{plural}.{names.GROUP}" for plural in KINDS)
_SINCE: Final = re.compile(r"[1-9][0-9]{0,5}[smh]")


@dataclass(frozen=True)
class Source:
    """One list, and the file in the archive that holds it."""

    file: str
    arguments: tuple[str, ...]

    @property
    def label(self) -> str:
        """What it is called when it could not be read."""
        return self.file.removeprefix("objects/").removesuffix(".json")

    @property
    def has_several_kinds(self) -> bool:
        """Whether some of them may be readable while others are not."""
        return "," in self.arguments[0]


def kind(plural: str) -> Source:
    """All objects of one of our kinds."""
    return Source(f"objects/{plural}.json", (f"{plural}.{names.VERSION}.{names.GROUP}", "-A"))


def _labelled(file: str, what: str, label: str, namespace: str = "") -> Source:
    return Source(file, (what, *(("-n", namespace) if namespace else ()), "-l", label))


def _named(file: str, what: str, name: str, namespace: str) -> Source:
    """A list of at most one object: `kubectl get NAME` would fail without it."""
    return Source(file, (what, "-n", namespace, f"--field-selector=metadata.name={name}"))


def _workloads(namespace: str) -> Source:
    return _labelled(f"workloads/{namespace}.json", _WORKLOADS, PART_OF, namespace)


LEASES: Final = Source("objects/leases.json", ("leases.coordination.k8s.io", "-n", names.SYSTEM_NAMESPACE))
WORKLOADS: Final = (_workloads(names.SYSTEM_NAMESPACE), _workloads(names.GATEWAY_NAMESPACE))
OTHERS: Final = (
    Source(
        "events/of-our-kinds.json", ("events", "-A", f"--field-selector=involvedObject.apiVersion={names.API_VERSION}")
    ),
    Source(f"events/{names.SYSTEM_NAMESPACE}.json", ("events", "-n", names.SYSTEM_NAMESPACE)),
    Source(f"events/{names.GATEWAY_NAMESPACE}.json", ("events", "-n", names.GATEWAY_NAMESPACE)),
    _named("settings/controller.json", "configmaps", names.CONTROLLER, names.SYSTEM_NAMESPACE),
    _named("settings/agent.json", "configmaps", names.AGENT, names.GATEWAY_NAMESPACE),
    _labelled("cluster/nodes.json", "nodes", f"{names.GATEWAY_LABEL}=true"),
    _labelled("cluster/namespaces-of-peers.json", "namespaces", names.PEER_LABEL),
    _labelled("cluster/admission-policies.json", _POLICIES, PART_OF),
    Source("cluster/definitions.json", ("customresourcedefinitions", *_DEFINITIONS, "--ignore-not-found")),
)


def since(value: str | None) -> str:
    """The argument of --since. Raises Misused."""
    if value is None:
        return "1h"
    if not _SINCE.fullmatch(value):
        raise Misused("--since must be a number with a unit: 90s, 30m or 24h")
    return value
