"""The tables of every account's rights in docs/rights.md, from a rendering of the chart.

`python -m charts.rights RENDERING PAGE` writes it; a test fails when the page differs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from isthmus.model.markdown import with_section

_BEGIN: Final = "<!-- rights: generated; do not edit. `make chart` writes it. -->\n"
_END: Final = "<!-- end of rights -->\n"
_TITLE: Final = "### "
_HEAD: Final = "| in namespace | resource, and name of the only one | verbs |\n|---|---|---|\n"
EVERYWHERE: Final = "all"

Document = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource, of an account `namespace/name`."""

    account: str
    scope: str
    """A namespace, or all."""
    resource: str
    """As kubectl names it, such as `attachments/status.isthmus.cloud`."""
    name: str
    """Of the only object; empty for any."""
    verb: str


def granted(documents: Iterable[Document]) -> set[Right]:
    """What roles and bindings grant to service accounts."""
    found = list(documents)
    roles = {_identity(d, d["kind"]): d["rules"] for d in found if d["kind"] in ("Role", "ClusterRole")}
    bindings = [d for d in found if d["kind"] in ("RoleBinding", "ClusterRoleBinding")]
    return {right for binding in bindings for right in _bound(binding, roles)}


def _identity(document: Document, kind: str) -> tuple[str, str, str]:
    namespace = "" if kind == "ClusterRole" else document["metadata"].get("namespace", "")
    return kind, namespace, document["metadata"]["name"]


def _bound(binding: Document, roles: Mapping[tuple[str, str, str], Any]) -> Iterator[Right]:
    reference, scope = binding["roleRef"], binding["metadata"].get("namespace", "")
    role = (reference["kind"], "" if reference["kind"] == "ClusterRole" else scope, reference["name"])
    for subject in binding["subjects"]:
        if subject["kind"] == "ServiceAccount":
            account = f"{subject['namespace']}/{subject['name']}"
            yield from (Right(account, scope or EVERYWHERE, *right) for rule in roles[role] for right in expanded(rule))


def expanded(rule: Document) -> Iterator[tuple[str, str, str]]:
    """Resource, name and verb of all rights that a rule grants."""
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for name in rule.get("resourceNames") or [""]:
                yield from ((f"{resource}.{group}".rstrip("."), name, verb) for verb in rule["verbs"])


def sections(rights: Iterable[Right]) -> str:
    """The rights as Markdown: a table for each account, with a row for each object."""
    rows: dict[str, dict[str, list[str]]] = {}
    for right in sorted(rights):
        object_ = right.resource + (f" {right.name}" if right.name else "")
        rows.setdefault(right.account, {}).setdefault(f"| {right.scope} | `{object_}` |", []).append(right.verb)
    return "".join(
        "\n".join(
            [f"{_TITLE}{account}\n", _HEAD.rstrip(), *(f"{row} {', '.join(verbs)} |" for row, verbs in table.items())]
        )
        + "\n\n"
        for account, table in rows.items()
    )


def parsed(page: str) -> set[Right]:
    """The rights in the tables of a page."""
    found = set()
    for section in _section(page).split(_TITLE)[1:]:
        account, _, rows = section.partition("\n\n")
        for scope, object_, verbs in re.findall(r"^\| (\S+) \| `([^`]+)` \| (.+) \|$", rows, re.MULTILINE):
            resource, _, name = object_.partition(" ")
            found |= {Right(account, scope, resource, name, verb) for verb in verbs.split(", ")}
    return found


def with_rights(page: str, rendering: str) -> str:
    """The page with the tables of this rendering."""
    rights = granted(filter(None, yaml.safe_load_all(rendering)))
    return with_section(page, _BEGIN, _END, sections(rights))


def _section(page: str) -> str:
    return page.partition(_BEGIN)[2].partition(_END)[0]


def main(rendering: str, page: str) -> None:
    """Write the tables."""
    path = Path(page)
    path.write_text(with_rights(path.read_text(), Path(rendering).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
