"""An inventory: sections of named objects, and the difference of two inventories as text."""

import difflib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.inventory import kubernetes, node, openstack

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Inventory:
    """Everything in one cloud at one time."""

    sections: Mapping[str, Section]


def take(cloud: Cloud) -> Inventory:
    """List everything in a cloud: Neutron, Keystone, its gateway node, Kubernetes.

    Waits for Neutron's agents and for deleted namespaces first: pending work would look like a change of ours.
    """
    cloud.wait_until_at_rest()
    cloud.wait_deleted()
    return Inventory(
        {
            **openstack.sections(cloud.openstack()),
            **node.sections(cloud.gateway),
            **kubernetes.sections(cloud.kubectl),
        }
    )


def difference(before: Inventory, after: Inventory) -> str:
    """Added, removed and changed objects as text; empty if there are none."""
    names = sorted(before.sections.keys() | after.sections.keys())
    lines = [
        line for name in names for line in _compare(name, before.sections.get(name, {}), after.sections.get(name, {}))
    ]
    return "\n".join(lines)


def difference_once_settled(before: Inventory, cloud: Cloud, timeout_seconds: float = 180.0) -> str:
    """The difference that remains once Neutron's agents, which clean up asynchronously, had enough time."""
    deadline = time.monotonic() + timeout_seconds
    while (left := difference(before, take(cloud))) and time.monotonic() < deadline:
        time.sleep(1.0)
    return left


def _compare(section: str, before: Section, after: Section) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            yield f"- {section}: {key}: {json.dumps(before[key], default=str)}"
        elif key not in before:
            yield f"+ {section}: {key}: {json.dumps(after[key], default=str)}"
        elif before[key] != after[key]:
            yield f"~ {section}: {key}"
            changes = difflib.unified_diff(_lines(before[key]), _lines(after[key]), lineterm="", n=0)
            yield from (f"    {change}" for change in changes if not change.startswith(("---", "+++", "@@")))


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True, default=str).splitlines()
