"""Writes the list of settings in docs/reference.md from the models: `python -m isthmus.cli.reference PAGE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from pydantic.fields import FieldInfo

from isthmus.model.settings import AgentSettings, ControllerSettings, Form, Settings

_BEGIN = "<!-- settings: written by `make generate` -->\n"
_END = "<!-- end of settings -->\n"
_WIDTH = 100


def with_settings(page: str) -> str:
    """The page with the current list of settings between its two marks."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{settings()}\n{_END}{after}"


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
        text = f"- **`{name}`** ({_default(field)}): {meaning} Must be {form.text}."
        yield fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "optional" if field.default is None else f"default `{field.default}`"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_settings(path.read_text()))
