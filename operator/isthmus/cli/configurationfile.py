"""The configuration file as YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class BadConfiguration(Exception):
    """What is wrong with a configuration, one line for each mistake."""


def read_document(path: Path) -> Mapping[str, Any] | None:
    """Its settings by name, or None where no such file exists; raises BadConfiguration where it cannot be read."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadConfiguration(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadConfiguration(f"{path}: is not valid YAML{_place(error)}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadConfiguration(f"{path}: must hold one setting a line, such as cloud_id: cloud-a")
    return {str(name): value for name, value in document.items()}


def _place(error: Exception) -> str:
    """Without the text that YAML quotes."""
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
