"""Our nftables tables, by `nft -j` (libnftables-json(5)): one call is one transaction of the kernel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

from isthmus.model.errors import ExternalError, Forbidden, Unavailable, Unsupported
from isthmus.model.names import NFTABLES_TABLE
from isthmus.model.node.firewall import (
    TABLE_FAMILY,
    Chain,
    FirewallView,
    NamedSet,
    Rule,
    Ruleset,
    canonical_json,
)
from isthmus.model.node.flows import Traffic

_TIMEOUT_SECONDS = 10
_BASE_CHAIN = {"type": "filter", "policy": "accept"}
_INCIDENTAL = frozenset({"family", "table", "handle", "index", "dev"})
"""What a listing says of each object beside what it is. A chain's device is not in the listing of nft 1.0.6."""
_ABSENT = "No such file or directory"
_ERRORS: dict[str, type[ExternalError]] = {
    "Operation not permitted": Forbidden,
    _ABSENT: Unsupported,  # of a whole table that is added: this kernel does not have one of the expressions
    "not supported": Unsupported,
    "cache initialization failed": Unsupported,
}


class Nft:
    """`ports.Firewall` for the table of one family, by one process for each call."""

    def __init__(self, family: str = TABLE_FAMILY) -> None:
        self._family = family

    def view(self) -> FirewallView:
        """Numeric (`-n`), because the names of ICMP types and codes differ between versions of nft.

        nft 1.0.6 can crash where a table has flags, which ours has not: then it is another table than any of ours.
        """
        done = _run("-n", "list", "table", self._family, NFTABLES_TABLE)
        if done.returncode < 0:
            return FirewallView(Ruleset(unexpected=frozenset({canonical_json({"signal": -done.returncode})})))
        if done.returncode and _ABSENT in done.stderr:
            return FirewallView()
        try:
            return parse(json.loads(_checked(done).stdout))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise Unavailable(f"nft list table: cannot read the answer: {error!r}"[:500]) from error

    def replace_table(self, ruleset: Ruleset) -> None:
        """The table is added before it is deleted, which would be an error where it is not there."""
        _checked(_run("-f", "-", text=json.dumps(transaction(ruleset, self._family))))

    def remove_table(self) -> None:
        """As `replace_table`, without a new one."""
        self.replace_table(Ruleset())


def parse(listing: dict[str, Any]) -> FirewallView:
    """The answer to `nft -j -n list table`; anything else raises AttributeError, LookupError, TypeError, ValueError."""
    chains, sets, rules, unexpected = [], [], [], []
    dropped: dict[str, Traffic] = {}
    for kind, described in (item for entry in listing["nftables"] for item in entry.items()):
        facts = {name: value for name, value in described.items() if name not in _INCIDENTAL}
        if kind == "counter":
            dropped[facts["name"]] = Traffic(int(facts["packets"]), int(facts["bytes"]))
        elif kind == "chain" and facts == _BASE_CHAIN | {name: facts.get(name) for name in ("name", "hook", "prio")}:
            chains.append(Chain(facts["name"], facts["hook"], int(facts["prio"])))
        elif kind == "set" and facts.keys() - {"elem"} == {"name", "type"} and _plain(facts.get("elem", [])):
            sets.append(NamedSet(facts["name"], facts["type"], frozenset(facts.get("elem", ()))))
        elif kind == "rule" and facts.keys() == {"chain", "expr"}:
            rules.append(Rule(facts["chain"], canonical_json(facts["expr"])))
        elif kind != "metainfo" and not (kind == "table" and facts == {"name": NFTABLES_TABLE}):
            unexpected.append(canonical_json({kind: facts}))
    counters = frozenset(dropped)
    return FirewallView(
        Ruleset(frozenset(chains), counters, frozenset(sets), frozenset(rules), frozenset(unexpected)), dropped
    )


def transaction(ruleset: Ruleset, family: str = TABLE_FAMILY) -> dict[str, Any]:
    """The input of `nft -j -f` that makes our table of this family, and nothing else, exactly this one."""
    table, in_table = {"family": family, "name": NFTABLES_TABLE}, {"family": family, "table": NFTABLES_TABLE}
    return {"nftables": list(_commands(ruleset, table, in_table))}


def _plain(elements: list[Any]) -> bool:
    return all(isinstance(element, int | str) for element in elements)


def _commands(ruleset: Ruleset, table: dict[str, str], in_table: dict[str, str]) -> Iterator[dict[str, Any]]:
    yield {"add": {"table": table}}
    yield {"delete": {"table": table}}
    if ruleset == Ruleset():
        return
    yield {"add": {"table": table}}
    for counter in sorted(ruleset.counters):
        yield {"add": {"counter": in_table | {"name": counter}}}
    for wanted in sorted(ruleset.sets, key=lambda s: s.name):
        elements = {"elem": sorted(wanted.elements, key=str)} if wanted.elements else {}
        yield {"add": {"set": in_table | {"name": wanted.name, "type": wanted.type} | elements}}
    for chain in sorted(ruleset.chains, key=lambda c: c.name):
        hook: dict[str, Any] = {"name": chain.name, "hook": chain.hook, "prio": chain.priority}
        hook |= {"dev": chain.device} if chain.device else {}
        yield {"add": {"chain": in_table | _BASE_CHAIN | hook}}
    for rule in sorted(ruleset.rules, key=lambda r: (r.chain, r.statements)):
        yield {"add": {"rule": in_table | {"chain": rule.chain, "expr": json.loads(rule.statements)}}}


def _run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["nft", "-j", *arguments]
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except FileNotFoundError as error:
        raise Unsupported("nft is not installed on this node") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"nft: {error}") from error


def _checked(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode:
        said = " ".join(done.stderr.split())[:500] or f"exit status {done.returncode}"
        raise next((kind for words, kind in _ERRORS.items() if words in said), Unavailable)(f"nft: {said}")
    return done
