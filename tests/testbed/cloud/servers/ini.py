"""Configuration files in the format of OpenStack's services."""

from collections.abc import Mapping

Sections = Mapping[str, Mapping[str, object]]


def render(sections: Sections) -> str:
    """The text of a file."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in options.items())
        for name, options in sections.items()
    )


def merge(*layers: Sections) -> Sections:
    """Merge sections; options of later layers take precedence."""
    merged: dict[str, dict[str, object]] = {}
    for layer in layers:
        for name, options in layer.items():
            merged.setdefault(name, {}).update(options)
    return merged


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
