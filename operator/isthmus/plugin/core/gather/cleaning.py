"""Objects without what an archive for support must not have, or does not need."""

from __future__ import annotations

from typing import Any, Final

from isthmus.model.redaction import REDACTED, names_secret, redacted

from ..documents import Document, text

# A complete object in an annotation of itself: also what has been removed from it since.
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_OUR_VARIABLES: Final = ("ISTHMUS_", "KUBERNETES_SERVICE_")


def cleaned(item: Document) -> dict[str, Any]:
    """The object without credentials, and without what says nothing about Isthmus."""
    document: dict[str, Any] = _without_secrets(item)
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            annotations.pop(_LAST_APPLIED, None)
        if text(item, "kind") == "Node":  # of everything else that runs there
            metadata.pop("annotations", None)
    return _definition(document) if text(item, "kind") == "CustomResourceDefinition" else document


def _definition(document: dict[str, Any]) -> dict[str, Any]:
    """Without its schema, which is in the release."""
    spec = document.get("spec")
    for version in spec.get("versions", []) if isinstance(spec, dict) else []:
        version.pop("schema", None)
    return document


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if isinstance(value, dict):
        return {key: _field(key, inner) for key, inner in value.items()}
    return value


def _field(name: str, value: Any) -> Any:
    if isinstance(value, str) and names_secret(name):
        return REDACTED
    if name == "env" and isinstance(value, list):
        return [_variable(entry) for entry in value]
    return _without_secrets(value)


def _variable(entry: Any) -> Any:
    """An environment variable of a container, with its value only if we have set it."""
    if isinstance(entry, dict) and "value" in entry and not text(entry, "name").startswith(_OUR_VARIABLES):
        return entry | {"value": REDACTED}
    return _without_secrets(entry)
