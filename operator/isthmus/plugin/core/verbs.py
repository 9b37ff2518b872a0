"""Verbs and options of the plugin: the parser, the completion and docs/reference.md follow from this list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Option:
    """One option; without `metavar` it takes no value."""

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    is_repeatable: bool = False


@dataclass(frozen=True)
class Verb:
    """One verb; `argument` is the name of its only positional argument."""

    name: str
    help: str
    argument: str = ""
    options: tuple[Option, ...] = ()
    reads_cluster: bool = True


_OUTPUT = Option(("-o", "--output"), "text, or JSON with the version of its schema", "FORMAT", ("text", "json"))

VERBS: Final = (
    Verb("status", "gateway nodes, peers and networks on one screen, and what is wrong", options=(_OUTPUT,)),
    Verb("peers", "every peer and every connection, and why they are not ready", options=(_OUTPUT,)),
    Verb(
        "networks",
        "stretched networks and replicas of peers' networks, and why they are not ready",
        options=(
            Option(("-n", "--namespace"), "NetworkExpansions of this namespace only; all if absent", "NAMESPACE"),
            _OUTPUT,
        ),
    ),
    Verb("explain", "what a reason means and what to do", "CODE", (_OUTPUT,), reads_cluster=False),
    Verb(
        "version",
        "versions of the plugin, of the agents, and of the protocol with each peer",
        options=(Option(("--client",), "the plugin's only"), _OUTPUT),
    ),
    Verb("completion", "print the program kubectl_complete-isthmus, for completion in shells", reads_cluster=False),
)

COMMON: Final = (
    Option(("--kubeconfig",), "as for kubectl", "FILE"),
    Option(("--context",), "as for kubectl", "NAME"),
    Option(("--cluster",), "as for kubectl", "NAME"),
    Option(("--user",), "as for kubectl", "NAME"),
    Option(("--as",), "as for kubectl", "USER"),
    Option(("--as-group",), "as for kubectl; may be repeated", "GROUP", is_repeatable=True),
    Option(("--request-timeout",), "as for kubectl; 30s if absent", "DURATION"),
)
"""Options that are passed on to kubectl."""
