"""Our nftables tables as nft gets them. `python -m tests.golden.test_firewall` writes it again: read the difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.adapters.linux.nft import transaction
from isthmus.core.node import clamping
from isthmus.core.node.firewall import ruleset
from isthmus.model.node.firewall import DEVICE_FAMILY, TABLE_FAMILY

DIRECTORY = Path(__file__).parent / "firewall"
CASES = {
    "nothing": ruleset((), ()),
    "one-peer": ruleset([14789], ["192.0.2.11"]),
    "a-peer-by-gre": ruleset([14789], ["192.0.2.11", "198.51.100.11"], ["198.51.100.11"]),
    "two-peers": ruleset([14790, 14789], ["198.51.100.11", "192.0.2.11", "2001:db8::11"]),
}
ON_DEVICES = {
    "two-devices": clamping.ruleset(
        [clamping.Clamp("vxlan_sys_14789", 1416), clamping.Clamp("gre_sys", 1424), clamping.Clamp("genev_sys_1", 1416)],
        {"vxlan_sys_14789": 12, "gre_sys": 9},
    ),
}


def _text(case: str) -> str:
    of_devices = case in ON_DEVICES
    ruleset, family = (ON_DEVICES[case], DEVICE_FAMILY) if of_devices else (CASES[case], TABLE_FAMILY)
    return "".join(f"{json.dumps(command)}\n" for command in transaction(ruleset, family)["nftables"])


@pytest.mark.parametrize("case", CASES | ON_DEVICES)
def test_the_table_is_as_reviewed(case: str) -> None:
    assert _text(case) == (DIRECTORY / f"{case}.jsonl").read_text()


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name in CASES | ON_DEVICES:
        (DIRECTORY / f"{name}.jsonl").write_text(_text(name))
