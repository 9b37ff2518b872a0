"""Settings of a process from its configuration file and its environment, or a sentence for each mistake in them.

A sentence names the file or the variable, the setting and what it must be, but never a value, which may be a secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from isthmus.model.settings import AgentSettings, ControllerSettings, Form, Settings

from .configurationfile import BadConfiguration, read_document
from .environment import drop_service_links, own_variables, variable_of
from .spelling import did_you_mean, quoted

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

S = TypeVar("S", bound=Settings)

DEFAULT_FILE: Final = "/etc/isthmus/config.yaml"
_FILE_VARIABLE: Final = "ISTHMUS_CONFIG"
# One file may serve both processes, so each of them accepts the settings of the other.
_FIELDS: Final = frozenset(ControllerSettings.model_fields) | frozenset(AgentSettings.model_fields)
_VARIABLES: Final = frozenset(map(variable_of, _FIELDS)) | {_FILE_VARIABLE}


def load(kind: type[S]) -> S:
    """Read the file that ISTHMUS_CONFIG names, or the default one if it exists; environment variables win over it.

    Raises BadConfiguration with all mistakes.
    """
    drop_service_links(os.environ)
    named = os.environ.get(_FILE_VARIABLE)
    path = Path(named or DEFAULT_FILE)
    document = read_document(path)
    settings, problems = _validated(kind, document or {})
    mistakes = [
        *_unknown(document or {}, path),
        *_missing(problems, path, is_there=document is not None, is_named=bool(named)),
        *(_invalid(problem, path, kind) for problem in problems if problem["type"] != "missing"),
    ]
    if settings is None or mistakes:
        raise BadConfiguration("\n".join(mistakes))
    return settings


def _validated(kind: type[S], document: Mapping[str, Any]) -> tuple[S | None, list[ErrorDetails]]:
    try:
        return kind(**{name: value for name, value in document.items() if name in kind.model_fields}), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_context=False)


def _unknown(document: Mapping[str, Any], path: Path) -> Iterator[str]:
    for name in document:
        if name not in _FIELDS:
            yield f"{path}: {quoted(name)}: unknown setting{did_you_mean(name, _FIELDS)}"
    for name in sorted(own_variables(os.environ) - _VARIABLES):
        yield f"environment variable {quoted(name)}: unknown setting{did_you_mean(name, _VARIABLES)}"


def _missing(problems: list[ErrorDetails], path: Path, *, is_there: bool, is_named: bool) -> Iterator[str]:
    names = ", ".join(str(problem["loc"][0]) for problem in problems if problem["type"] == "missing")
    required = f"required: {names}" if names else ""
    if is_there and names:
        yield f"{path}: {required}"
    elif not is_there and (names or is_named):
        file = f"{path}, named by {_FILE_VARIABLE}, does not exist" if is_named else f"{path} does not exist"
        yield "; ".join(filter(None, [f"no configuration file: {file}", required]))


def _invalid(problem: ErrorDetails, path: Path, kind: type[Settings]) -> str:
    """What the setting must be; pydantic's own words are for programmers."""
    name = str(problem["loc"][0])
    form = next(item for item in kind.model_fields[name].metadata if isinstance(item, Form))
    is_unquoted = problem["type"] == "string_type" and isinstance(problem["input"], int | float)
    hint = "; put it in quotes" if is_unquoted else ""
    variable = variable_of(name)
    source = f"environment variable {variable}" if variable in own_variables(os.environ) else f"{path}: {name}"
    return f"{source}: must be {form.text}{hint}"
