"""Objects of one kind as this release understands them."""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from pydantic import ValidationError

from isthmus.model.api.objects import CustomObject, first_problem
from isthmus.ports import Manifest

_LOG = logging.getLogger(__name__)
_Key = tuple[str | None, str, str | None]

T = TypeVar("T", bound=CustomObject)


class Parser(Generic[T]):
    """Parses objects of a kind. Of one that does not parse the last version that did applies, if that is known."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._last: dict[_Key, T] = {}
        self._refused: dict[_Key, Manifest] = {}
        self._logged: set[tuple[_Key, str]] = set()

    @property
    def kind(self) -> str:
        """Its name."""
        return self._kind.registration.kind

    @property
    def refused(self) -> int:
        """The number of objects that do not parse."""
        return len(self._refused)

    def unclear(self) -> tuple[Manifest, ...]:
        """The objects that do not parse and of which no earlier version is known."""
        return tuple(manifest for key, manifest in self._refused.items() if key not in self._last)

    def parse_all(self, manifests: list[Manifest]) -> tuple[T, ...]:
        """A complete list, without the objects of which nothing is understood."""
        self.retain({key_of(manifest) for manifest in manifests})
        parsed = map(self.parse, manifests)
        return tuple(obj for obj in parsed if obj is not None)

    def parse(self, manifest: Manifest) -> T | None:
        """One object; None if nothing of it is understood."""
        key = key_of(manifest)
        try:
            obj = self._kind.from_wire(manifest)
        except ValidationError as error:
            self._refused[key] = manifest
            self._log(key, error)
            return self._last.get(key)
        self._refused.pop(key, None)
        self._last[key] = obj
        return obj

    def remove(self, manifest: Manifest) -> None:
        """Forget one object."""
        self._last.pop(key_of(manifest), None)
        self._refused.pop(key_of(manifest), None)

    def retain(self, keys: set[_Key]) -> None:
        """Forget all others."""
        self._last = {key: obj for key, obj in self._last.items() if key in keys}
        self._refused = {key: manifest for key, manifest in self._refused.items() if key in keys}

    def _log(self, key: _Key, error: ValidationError) -> None:
        """Once for each object and problem."""
        problem = first_problem(error)
        if (key, problem) not in self._logged:
            self._logged.add((key, problem))
            namespace, name, _ = key
            where = f"{namespace}/{name}" if namespace else name
            _LOG.warning("%s %s is not understood: %s", self.kind, where, problem)


def key_of(manifest: Manifest) -> _Key:
    """Namespace, name and UID."""
    metadata = manifest["metadata"]
    return metadata.get("namespace"), metadata["name"], metadata.get("uid")
