"""The tables of rights in docs/rights.md: written from roles and bindings, and read back."""

from __future__ import annotations

import json
from typing import Any

from charts.rights import Right, granted, parsed, with_rights

ROLE: dict[str, Any] = {
    "kind": "Role",
    "metadata": {"name": "reader", "namespace": "here"},
    "rules": [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one", "two"], "verbs": ["get"]},
        {"apiGroups": ["isthmus.cloud"], "resources": ["attachments/status"], "verbs": ["patch", "get"]},
    ],
}
BINDING: dict[str, Any] = {
    "kind": "RoleBinding",
    "metadata": {"name": "reader", "namespace": "here"},
    "roleRef": {"kind": "Role", "name": "reader"},
    "subjects": [{"kind": "ServiceAccount", "namespace": "there", "name": "agent"}, {"kind": "Group", "name": "all"}],
}
PAGE = "before\n<!-- rights: generated; do not edit. `make chart` writes it. -->\nold\n<!-- end of rights -->\nafter\n"


def test_rights_are_those_of_bound_roles() -> None:
    found = granted([ROLE, BINDING, {**ROLE, "metadata": {"name": "unbound", "namespace": "here"}}])
    assert found == {
        Right("there/agent", "here", "secrets", "one", "get"),
        Right("there/agent", "here", "secrets", "two", "get"),
        Right("there/agent", "here", "attachments/status.isthmus.cloud", "", "get"),
        Right("there/agent", "here", "attachments/status.isthmus.cloud", "", "patch"),
    }


def test_table_can_be_read_back() -> None:
    page = with_rights(PAGE, f"{json.dumps(ROLE)}\n---\n{json.dumps(BINDING)}\n")
    assert parsed(page) == granted([ROLE, BINDING])
    assert "old" not in page
    assert (page.startswith("before\n"), page.endswith("after\n")) == (True, True)
