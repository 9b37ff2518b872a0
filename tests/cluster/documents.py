"""Documents for a structural schema: mostly valid, with a few fields at or beyond the limits of what it allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from hypothesis import strategies as st

from isthmus.model.types import CIDR_PATTERN, IP_PATTERN, IPV6_PATTERN, TIME_PATTERN

Schema = Mapping[str, Any]
JSON = st.SearchStrategy[Any]

_WRONG: JSON = st.sampled_from([None, True, "", "x", "0", -1, 0, 1, 2**53, 1.5, [], [1], {}, {"name": "x"}])
_ODD = ["\x85", "\u202e", "\ufffe", "\U0001f9d1\u200d\U0001f680", "a\n", "10.0.0.1/8", "00.0.0.0", "x" * 300]
_ODD_TEXT = st.text(max_size=8) | st.sampled_from(_ODD)
_NETWORKS = st.builds(
    lambda address, length: str(ip_network((address, length), strict=False)), st.ip_addresses(v=4), st.integers(0, 32)
)
# Those of documentation, and all kinds that mean something else.
_IPV6 = st.ip_addresses(v=6, network="2001:db8::/32") | st.ip_addresses(v=6)
_ADDRESSES_V6 = _IPV6.map(str)
_NETWORKS_V6 = st.builds(
    lambda address, length: str(ip_network((address, length), strict=False)), _IPV6, st.integers(0, 128)
)
_TIMES = st.datetimes().map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20))


def documents(schema: Schema) -> JSON:
    """Values for a schema; of every hundred nodes a few are replaced by something odd."""
    return st.integers(0, 39).flatmap(lambda dice: odd(schema) if dice == 0 else _usual(schema))


def odd(schema: Schema) -> JSON:
    """A value at or beyond the limits of a schema, or of another type."""
    match schema["type"]:
        case "integer":
            limits = [schema[name] for name in ("minimum", "maximum") if name in schema] or [0]
            return _WRONG | st.sampled_from([limit + step for limit in limits for step in (-1, 0, 1)])
        case "string":
            length = schema.get("maxLength", 64)
            return _WRONG | _ODD_TEXT | st.sampled_from(["a" * length, "a" * (length + 1), "é" * length])
        case "array":
            too_many = st.lists(
                documents(schema["items"]), min_size=min(schema.get("maxItems", 8), 24) + 1, max_size=25
            )
            return _WRONG | too_many
        case _:
            return _WRONG


def _usual(schema: Schema) -> JSON:
    match schema["type"]:
        case "object":
            return _objects(schema)
        case "array":
            return _lists(schema)
        case "boolean":
            return st.booleans()
        case "integer":
            low, high = schema.get("minimum", -(2**40)), schema.get("maximum", 2**40)
            return st.sampled_from([low, high]) | st.integers(low, high)
        case "string":
            return _texts(schema)
        case other:
            raise ValueError(f"no documents of type {other}")


def _objects(schema: Schema) -> JSON:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    required = schema.get("required", ())
    needed = {name: documents(properties[name]) for name in required}
    optional = {name: documents(inner) for name, inner in properties.items() if name not in needed}
    unknown = st.sampled_from([{}, {}, {}, {"unknown": 1}])
    return st.builds(lambda known, more: more | known, st.fixed_dictionaries(needed, optional=optional), unknown)


def _lists(schema: Schema) -> JSON:
    keys = schema.get("x-kubernetes-list-map-keys", ())
    low = schema.get("minItems", 0)
    high = min(schema.get("maxItems", 3), max(low, 3))
    items = st.lists(documents(schema["items"]), min_size=low, max_size=high)
    return items.map(lambda entries: list({_key(entry, keys, n): entry for n, entry in enumerate(entries)}.values()))


def _key(entry: Any, keys: tuple[str, ...], number: int) -> str:
    """Entries of a list map differ in its keys."""
    known = keys and isinstance(entry, dict) and all(key in entry for key in keys)
    return repr([entry[key] for key in keys]) if known else str(number)


def _texts(schema: Schema) -> JSON:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    low, high = schema.get("minLength", 0), schema.get("maxLength", 64)
    if schema.get("pattern") == CIDR_PATTERN:
        return _NETWORKS | _NETWORKS_V6
    if schema.get("pattern") == IPV6_PATTERN:
        return _ADDRESSES_V6
    if schema.get("pattern") == IP_PATTERN:
        return _ADDRESSES_V6 | st.ip_addresses(v=4).map(str)
    if schema.get("pattern") == TIME_PATTERN:
        return _TIMES | st.from_regex(TIME_PATTERN.removesuffix("$") + r"\Z")
    if "pattern" not in schema:
        return st.text(min_size=low, max_size=min(high, 80))
    pattern = re.sub(r"\\x\{(\w+)\}", lambda code: rf"\u{code[1]:0>4}", schema["pattern"])
    return st.from_regex(pattern.removesuffix("$") + r"\Z").filter(lambda text: low <= len(text) <= high)
