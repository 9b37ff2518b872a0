"""Our nftables table as nft gets it. `python -m tests.golden.test_firewall` writes it again: read the difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.adapters.linux.nft import transaction
from isthmus.core.node.firewall import ruleset

DIRECTORY = Path(__file__).parent / "firewall"
CASES = {
    "nothing": ruleset((), ()),
    "one-peer": ruleset([14789], ["192.0.2.11"]),
    "a-peer-by-gre": ruleset([14789], ["192.0.2.11", "198.51.100.11"], ["198.51.100.11"]),
    "two-peers": ruleset([14790, 14789], ["198.51.100.11", "192.0.2.11", "2001:db8::11"]),
}


def _text(case: str) -> str:
    return "".join(f"{json.dumps(command)}\n" for command in transaction(CASES[case])["nftables"])


@pytest.mark.parametrize("case", CASES)
def test_the_table_is_as_reviewed(case: str) -> None:
    assert _text(case) == (DIRECTORY / f"{case}.jsonl").read_text()


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name in CASES:
        (DIRECTORY / f"{name}.jsonl").write_text(_text(name))
