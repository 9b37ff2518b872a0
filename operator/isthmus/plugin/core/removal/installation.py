"""What `helm install` or `kubectl apply` has created, and what both leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from isthmus.model import names
from isthmus.model.text import listed

from ..answer import Answer, ExitCode
from ..documents import Document, entries, is_true, text
from ..refusals import Misused
from .left import KINDS

ROLES: Final = (names.CONTROLLER, names.AGENT)
"""ClusterRoles, which every installation has."""
DEFINITIONS: Final = tuple(
    f"{plural}.{names.GROUP}" for plural in (*KINDS, "portslices", "memberlinks", "expansionapprovals", "ipsecpolicies")
)
NAMESPACES: Final = (names.GATEWAY_NAMESPACE, names.SYSTEM_NAMESPACE, names.IPSEC_NAMESPACE)
_NATIVE: Final = (
    "kubectl delete -k deploy/  # once controller, agents and charon are stopped; with definitions and keys"
)


@dataclass(frozen=True)
class Installation:
    """How Isthmus was installed; not at all if there is neither a release nor anything else."""

    release: str = ""
    namespace: str = names.SYSTEM_NAMESPACE
    is_native: bool = False

    @classmethod
    def parse(cls, roles: Sequence[Document], wanted: str | None) -> Installation:
        """From the ClusterRoles, which Helm annotates. Raises Misused if the release has another name."""
        annotations = ("metadata", "annotations")
        found = next((text(role, *annotations, "meta.helm.sh/release-name") for role in roles), "")
        namespace = next((text(role, *annotations, "meta.helm.sh/release-namespace") for role in roles), "")
        if wanted and roles and found and wanted != found:
            raise Misused(f"the release is {found}, and not {wanted}")
        release = found or (wanted or "" if roles else "")
        return cls(release, namespace or names.SYSTEM_NAMESPACE, bool(roles) and not release)

    @property
    def is_absent(self) -> bool:
        """Whether nothing is installed any more."""
        return not self.release and not self.is_native

    @property
    def commands(self) -> list[str]:
        """What removes it, and what else there is."""
        if self.is_native:
            return [_NATIVE]
        return [f"helm uninstall -n {self.namespace} {self.release} --wait", "kubectl isthmus uninstall"]

    def text(self, *, has_helm: bool) -> str:
        """What is done about it."""
        if self.is_absent:
            return "none"
        if self.is_native:
            return "not by Helm: it is left, and the command that removes it is shown"
        found = f"Helm release {self.namespace}/{self.release}"
        return found if has_helm else f"{found}: helm was not found, so that it is left, and the command is shown"


@dataclass(frozen=True)
class Kept:
    """What neither Helm nor anybody else deletes without being asked."""

    definitions: tuple[str, ...]
    namespaces: Mapping[str, tuple[str, ...]]
    """With the names of their Secrets."""

    @property
    def lines(self) -> list[str]:
        """For the question, and for the answer."""
        lines = [f"  namespace {name} with {_secrets(secrets)}" for name, secrets in self.namespaces.items()]
        return lines + ([f"  definitions {', '.join(self.definitions)}"] if self.definitions else [])

    @property
    def commands(self) -> list[str]:
        """What deletes it."""
        commands = [f"kubectl delete crd {' '.join(self.definitions)}"] if self.definitions else []
        return commands + ([f"kubectl delete namespace {' '.join(self.namespaces)}"] if self.namespaces else [])


def served(definitions: Iterable[Document]) -> dict[str, tuple[str, ...]]:
    """Plurals of our kinds that are defined, with the versions that the API server has of them."""
    return {
        text(item, "spec", "names", "plural"): tuple(
            text(version, "name") for version in entries(item, "spec", "versions") if is_true(version, "served")
        )
        for item in definitions
    }


def uninstalled(removed: Sequence[str], kept: Kept, deleted: Sequence[str], commands: Sequence[str]) -> Answer:
    """What was removed, and what is left to the administrator."""
    document: dict[str, Any] = {"removed": [*removed, *deleted], "left": list(commands)}

    def lines() -> list[str]:
        done = [f"Removed {len(removed)} objects of Isthmus."] if removed else []
        done += ["Deleted:", *kept.lines] if deleted else []
        if not commands:
            return [*done, "Nothing of Isthmus is left in this cluster."]
        return [*done, "Left to you, in this order:", *(f"  {command}" for command in commands)]

    return Answer("uninstall", ExitCode.FINE, document, lambda _: lines())


def _secrets(found: Sequence[str]) -> str:
    return f"{len(found)} Secrets ({listed(found, at_most=5, more=' and {} more')})" if found else "no Secret"
