"""Writes parts of docs/reference.md: settings from the models, and the verbs of `kubectl isthmus` from their list.

Run as `python -m isthmus.cli.reference PAGE`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from isthmus.model.markdown import item, with_section, wrapped
from isthmus.model.settings import AgentSettings, ControllerSettings, Form, Settings
from isthmus.plugin.core.verbs import COMMON, VERBS, Option


def with_settings(page: str) -> str:
    """The page with the current list of settings between its two marks."""
    return _replaced(page, "settings", settings())


def with_verbs(page: str) -> str:
    """The page with the current verbs of `kubectl isthmus` between their two marks."""
    return _replaced(page, "verbs", verbs())


def verbs() -> str:
    """Every verb and every option of `kubectl isthmus` as Markdown."""
    items = []
    for verb in VERBS:
        usage = " ".join(filter(None, (verb.name, verb.argument_usage, *map(_usage, verb.options))))
        items.append(item(f"**`{usage}`**: {verb.help}."))
    passed = ", ".join(f"`{option.names[0]}`" for option in COMMON)
    return "\n".join([*items, "", wrapped(f"Options that are passed on to kubectl: {passed}."), ""])


def _usage(option: Option) -> str:
    value = "|".join(option.choices) or option.metavar
    usage = f"{option.names[0]} {value}".rstrip()
    return usage if option.is_required else f"[{usage}]"


def _replaced(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name}: written by `make generate` -->\n", f"<!-- end of {name} -->\n"
    return with_section(page, begin, end, f"\n{text}\n")


def settings() -> str:
    """Every setting of every process as Markdown."""
    own = {kind: dict(kind.model_fields) for kind in (Settings, ControllerSettings, AgentSettings)}
    shared = own[Settings]
    parts = {
        "Both processes": shared,
        "Controller only": {k: v for k, v in own[ControllerSettings].items() if k not in shared},
        "Agent only": {k: v for k, v in own[AgentSettings].items() if k not in shared},
    }
    return "\n".join(f"### {title}\n" + "\n".join(_items(fields)) + "\n" for title, fields in parts.items())


def _items(fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        form = next(item for item in field.metadata if isinstance(item, Form))
        meaning = " ".join((field.description or "").split())
        yield item(f"**`{name}`** ({_default(field)}): {meaning} Must be {form.text}.")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "optional" if field.default is None else f"default `{field.default}`"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_verbs(with_settings(path.read_text())))
