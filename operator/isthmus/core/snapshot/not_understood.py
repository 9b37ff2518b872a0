"""Stored objects of ours that this release does not understand: they do not parse, and must not look deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.portslice import PortSlice

from .deleted import version_number

Key = tuple[str, str]
_Place = tuple[type[CustomObject], Key]


@dataclass(frozen=True)
class NotUnderstood:
    """One such object, with what can be read of it."""

    kind: type[CustomObject]
    namespace: str
    """Empty for cluster-scoped kinds."""
    name: str
    problem: str
    """What is wrong with which field."""
    uid: str | None = None
    resource_version: str | None = None
    generation: int = 0
    spec: Mapping[str, Any] = field(default_factory=dict)
    """As it is stored; empty if it is no JSON object."""
    conditions: tuple[Mapping[str, Any], ...] = ()
    """As they are stored."""

    @classmethod
    def of(cls, kind: type[CustomObject], manifest: Mapping[str, Any], problem: str) -> NotUnderstood:
        """The object that a manifest describes."""
        metadata = manifest["metadata"]
        generation, spec = metadata.get("generation"), manifest.get("spec")
        status = manifest.get("status")
        conditions = status.get("conditions") if isinstance(status, Mapping) else None
        return cls(
            kind,
            metadata.get("namespace") or "",
            metadata["name"],
            problem,
            metadata.get("uid"),
            metadata.get("resourceVersion"),
            generation if isinstance(generation, int) else 0,
            spec if isinstance(spec, Mapping) else {},
            tuple(c for c in conditions if isinstance(c, Mapping)) if isinstance(conditions, list) else (),
        )

    @property
    def place(self) -> _Place:
        """Its kind, and its namespace and name."""
        return self.kind, (self.namespace, self.name)

    @property
    def version(self) -> int:
        """Its resource version as a number."""
        return version_number(self.resource_version)

    @property
    def subject(self) -> str | None:
        """What it is about, if that is one network: its link name, of a NetworkExpansion the network ID."""
        if self.kind in (Attachment, ExpansionLink, ExpansionApproval, MemberLink):
            return self.name
        if self.kind is PortSlice:
            return self.name.rpartition(".")[0]
        return self.text("networkID") if self.kind is NetworkExpansion else None

    def text(self, name: str) -> str | None:
        """A field of its spec, if that is a text."""
        found = self.spec.get(name)
        return found if isinstance(found, str) else None

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.registration.kind} {where}"


@dataclass
class NotUnderstoodObjects:
    """All of them, by kind, namespace and name."""

    _held: dict[_Place, NotUnderstood] = field(default_factory=dict)
    _by_subject: dict[str | None, dict[_Place, NotUnderstood]] = field(default_factory=dict)
    _reported: dict[_Place, str | None] = field(default_factory=dict)
    """By place the version of which the object's own status says that it is not understood, as far as possible."""

    def __bool__(self) -> bool:
        return bool(self._held)

    def __iter__(self) -> Iterator[NotUnderstood]:
        return iter(tuple(self._held.values()))

    def get(self, kind: type[CustomObject], key: Key) -> NotUnderstood | None:
        """That object, if it is one of them."""
        return self._held.get((kind, key))

    def about(self, *subjects: str) -> Iterator[NotUnderstood]:
        """Those about one of these networks, and those that are not about one network."""
        for subject in (*subjects, None):
            yield from self._by_subject.get(subject, {}).values()

    def add(self, found: NotUnderstood) -> None:
        """Add or replace one, unless a newer version is known."""
        known = self._held.get(found.place)
        if known is None or not known.version >= found.version > 0:
            self._remove(known)
            self._held[found.place] = found
            self._by_subject.setdefault(found.subject, {})[found.place] = found

    def discard(self, kind: type[CustomObject], key: Key, *, until: int = 0) -> None:
        """Remove one, unless it is newer than the version `until`, if that is not 0."""
        known = self._held.get((kind, key))
        if known is not None and not 0 < until < known.version:
            self._remove(known)

    def report(self, kind: type[CustomObject], key: Key, resource_version: str | None) -> None:
        """Note that the status of that version was written, or that the API server does not accept it."""
        if (kind, key) in self._held:
            self._reported[kind, key] = resource_version

    def unreported(self) -> Iterator[NotUnderstood]:
        """Those of which the present version was not reported."""
        return (f for f in self if self._reported.get(f.place, "") != f.resource_version)

    def missing_in(self, kind: type[CustomObject], listed: AbstractSet[Key], newest: int) -> tuple[Key, ...]:
        """Those of a kind that a list of that version shows to be gone."""
        held = [found for (of_kind, _), found in self._held.items() if of_kind is kind]
        gone = (f for f in held if f.place[1] not in listed and not 0 < newest < f.version)
        return tuple(found.place[1] for found in gone)

    def counts(self) -> dict[str, int]:
        """Their number by kind."""
        return dict(Counter(kind.registration.kind for kind, _ in self._held))

    def _remove(self, known: NotUnderstood | None) -> None:
        if known is not None:
            del self._held[known.place]
            del self._by_subject[known.subject][known.place]
            self._reported.pop(known.place, None)
