"""Parsing nft's output, including errors on misconfigured nodes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from isthmus.adapters.linux import nft
from isthmus.core.node import firewall
from isthmus.model.errors import ExternalError, Forbidden, Unavailable, Unsupported
from isthmus.model.node.firewall import FirewallView, Ruleset
from isthmus.model.node.flows import Traffic

WANTED = firewall.ruleset([14789, 14790], ["192.0.2.11", "2001:db8::11"])


def listing(ruleset: Ruleset) -> dict[str, Any]:
    """As nft lists what `transaction` adds."""
    entries: list[dict[str, Any]] = [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}]
    for command in nft.transaction(ruleset)["nftables"][2:]:
        ((kind, facts),) = command["add"].items()
        used = {"packets": 7, "bytes": 700} if kind == "counter" else {}
        entries.append({kind: facts | used | {"handle": len(entries)}})
    return {"nftables": entries}


def test_what_was_written_is_read_back() -> None:
    assert nft.parse(listing(WANTED)) == FirewallView(WANTED, dict.fromkeys(firewall.COUNTERS, Traffic(7, 700)))


@pytest.mark.parametrize(
    "extra",
    [
        {"map": {"name": "m", "table": "isthmus", "type": "ipv4_addr", "map": "verdict"}},
        {"set": {"name": "s", "type": "ipv4_addr", "flags": ["timeout"]}},
        {"set": {"name": "s", "type": "ipv4_addr", "elem": [{"prefix": {"addr": "192.0.2.0", "len": 24}}]}},
        {"chain": {"name": "c"}},
        {"chain": {"name": "c", "type": "filter", "hook": "output", "prio": 0, "policy": "drop"}},
        {"rule": {"chain": "output", "expr": [{"drop": None}], "comment": "x"}},
        {"table": {"family": "inet", "name": "isthmus", "flags": "dormant"}},
    ],
)
def test_what_is_not_of_our_form_makes_a_difference(extra: dict[str, Any]) -> None:
    document = listing(WANTED)
    document["nftables"].append(extra)
    found = nft.parse(document).ruleset
    assert found != WANTED
    assert len(found.unexpected) == 1


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed", Forbidden),
        ("netlink: Error: cache initialization failed: Protocol not supported", Unsupported),
        ("Error: Could not process rule: Operation not supported", Unsupported),
        ("Error: Could not process rule: No such file or directory\nadd rule inet isthmus", Unsupported),
        ("Error: Could not process rule: Device or resource busy", Unavailable),
    ],
)
def test_failures_are_told_apart(monkeypatch: pytest.MonkeyPatch, message: str, error: type[ExternalError]) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", message)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(error):
        nft.Nft().replace_table(WANTED)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": [{"set": 1}]}', '{"nftables": [{"counter": {}}]}'])
def test_an_answer_that_cannot_be_read_is_no_empty_table(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(Unavailable):
        nft.Nft().view()


def test_table_at_which_nft_crashes_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nft 1.0.6 does at one with flags: it is replaced like any other."""

    def run(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], -6, '{"nftables": [', "corrupted double-linked list")

    monkeypatch.setattr(subprocess, "run", run)
    ruleset = nft.Nft().view().ruleset
    assert ruleset.unexpected
    assert ruleset != Ruleset()


def test_nothing_is_given_up_before_the_rest_is() -> None:
    before, after = firewall.ruleset([14789], ["192.0.2.11"]), firewall.ruleset([14790], ["192.0.2.12"])
    assert firewall.widened(after, before) == firewall.ruleset([14789, 14790], ["192.0.2.11", "192.0.2.12"])
    assert firewall.widened(Ruleset(), before) == before
    assert firewall.widened(after, Ruleset()) == after


def test_the_document_is_json() -> None:
    assert json.loads(json.dumps(nft.transaction(WANTED))) == nft.transaction(WANTED)
