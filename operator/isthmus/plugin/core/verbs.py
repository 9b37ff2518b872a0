"""Verbs and options of the plugin: the parser, the completion and docs/reference.md follow from this list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .restart.workloads import COMPONENTS


@dataclass(frozen=True)
class Option:
    """One option; without `metavar` it takes no value."""

    names: tuple[str, ...]
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    is_repeatable: bool = False
    is_required: bool = False


@dataclass(frozen=True)
class Verb:
    """One verb; `argument` is the name of its only positional argument."""

    name: str
    help: str
    argument: str = ""
    options: tuple[Option, ...] = ()
    reads_cluster: bool = True
    argument_is_optional: bool = False
    argument_choices: tuple[str, ...] = ()
    argument_is_repeatable: bool = False

    @property
    def argument_usage(self) -> str:
        """The argument as a synopsis writes it: `[NETWORK...]`; empty if the verb has none."""
        usage = ("|".join(self.argument_choices) or self.argument) + "..." * self.argument_is_repeatable
        return f"[{usage}]" if self.argument_is_optional else usage


_OUTPUT = Option(("-o", "--output"), "text, or JSON with the version of its schema", "FORMAT", ("text", "json"))

_YES = Option(("--yes",), "do not ask")
_TIMEOUT = Option(("--timeout",), "how long to wait for the end, 1 to 3600; 60 if absent", "SECONDS")
_OF_PEER = Option(("-n", "--namespace"), "networks of the peer with this namespace only; all if absent", "NAMESPACE")
_CODE = Option(("--code-file",), "read the pairing code from there, - for standard input, and do not ask", "FILE")
_OFFER = (
    Option(("--server",), "our API server as the peer reaches it, https://...", "URL", is_required=True),
    Option(("--ca-file",), "authority of that server's certificate; this cluster's if absent", "FILE"),
    Option(("--policy",), "IPsecPolicy to use; the only one if absent, or a new one with the defaults", "NAME"),
    Option(("--out",), "the file to write; OURS.for.THEIRS.isthmus if absent", "FILE"),
    Option(("--hours",), "for how long the file is valid, 1 to 720; 72 if absent", "HOURS"),
    Option(("--days",), "for how long the credential in it is valid, 1 to 365; 30 if absent", "DAYS"),
    Option(("--unchecked",), "do not try the URL from here"),
)

_PROBED = (
    Option(("--peer",), "the link to this peer only; to all if absent", "PEER"),
    Option(
        ("--report",),
        "a file that isthmus probe has written on the gateway node, where no agent runs in a pod; may be repeated",
        "FILE",
        is_repeatable=True,
    ),
    _OUTPUT,
)

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
    Verb(
        "diagnose",
        "which layer to a peer fails, whose it is, and what to do; NAME is a peer or a network, all peers if absent",
        "NAME",
        options=(
            Option(("-n", "--namespace"), "NetworkExpansions of this namespace only; all if absent", "NAMESPACE"),
            _OUTPUT,
        ),
        argument_is_optional=True,
    ),
    Verb(
        "verify",
        "send frames of several sizes up to the MTU over a stretched network and back: loss, round trips, the largest",
        "NETWORK",
        (Option(("--count",), "frames of each size, 1 to 200; 20 if absent", "N"), *_PROBED),
    ),
    Verb(
        "bench",
        "the same at a pace, with what machines send and receive meanwhile, and what cannot be measured so",
        "NETWORK",
        (Option(("--seconds",), "for how long, 1 to 60; 10 if absent", "SECONDS"), *_PROBED),
    ),
    Verb(
        "topology",
        "peers, tunnels and networks as a tree or as a graph for Graphviz; or as a page in the browser that is kept "
        "up to date",
        options=(
            Option(("--serve",), "serve the page on 127.0.0.1 only, with your own rights, until interrupted"),
            Option(("--port",), "port of the page, 1024 to 65535; any free one if absent", "PORT"),
            Option(("--no-browser",), "print the address of the page, and open no browser"),
            Option(
                _OUTPUT.names, "text, JSON with the version of its schema, or DOT", "FORMAT", (*_OUTPUT.choices, "dot")
            ),
        ),
    ),
    Verb(
        "invite",
        "invite another cloud: write the invitation, and print the pairing code",
        "PEER",
        (
            *_OFFER,
            Option(
                ("--encapsulation",),
                "of the tunnel in both clouds; VXLAN if absent",
                "KIND",
                ("VXLAN", "Geneve", "GRE"),
            ),
            Option(
                ("--tunnel-port",),
                "UDP port of the tunnel in both clouds; 14789 for VXLAN and 16081 for Geneve if absent",
                "PORT",
            ),
            Option(("--code-file",), "write the pairing code there, and do not print it", "FILE"),
            _OUTPUT,
        ),
    ),
    Verb("join", "take another cloud's invitation, and write the answer", "FILE", (*_OFFER, _CODE, _YES, _OUTPUT)),
    Verb("accept", "take the answer to an invitation: the agreement begins", "FILE", (_CODE, _YES, _OUTPUT)),
    Verb("cordon", "offer nothing new to a peer, and accept nothing new from it", "PEER", (_OUTPUT,)),
    Verb("uncordon", "the opposite of cordon, and of drain", "PEER", (_OUTPUT,)),
    Verb(
        "drain",
        "disconnect all networks from a peer at a deadline that the tenants of both clouds see",
        "PEER",
        (
            Option(
                ("--grace",),
                "time to the deadline, 1 to 2592000; what the CloudPeer has if absent",
                "SECONDS",
            ),
            _YES,
            _OUTPUT,
        ),
    ),
    Verb(
        "revoke",
        "end an agreement or an invitation: withdraw all networks, delete CloudPeer and Secrets",
        "PEER",
        (Option(("--credential",), "only void the peer's credentials for our API server"), _YES, _TIMEOUT, _OUTPUT),
    ),
    Verb(
        "forget",
        "as revoke, for a peer that is gone for good: without waiting for its confirmation",
        "PEER",
        (
            Option(("--network",), "only this withdrawn network: the name of its ExpansionLink", "LINK"),
            _YES,
            _TIMEOUT,
            _OUTPUT,
        ),
    ),
    Verb(
        "approve",
        "accept networks that peers offer and that await a decision, by name or ID; lists them if NETWORK is absent",
        "NETWORK",
        (_OF_PEER, _OUTPUT),
        argument_is_optional=True,
        argument_is_repeatable=True,
    ),
    Verb(
        "refuse",
        "refuse networks that peers offer, by name or ID; lists what awaits a decision if NETWORK is absent",
        "NETWORK",
        (
            Option(("--reason",), "why, for the tenant at the origin; one line", "TEXT"),
            Option(("--disconnect",), "also networks that are accepted already: their machines are disconnected"),
            _OF_PEER,
            _OUTPUT,
        ),
        argument_is_optional=True,
        argument_is_repeatable=True,
    ),
    Verb(
        "gather",
        "write objects, events, logs of our pods, status and diagnosis to an archive for whoever helps; never a Secret",
        options=(
            Option(("--out",), "the file to write; isthmus-TIME.tar.gz if absent", "FILE"),
            Option(("--since",), "of logs, how far back they go, such as 90s, 30m or 24h; 1h if absent", "DURATION"),
            _OUTPUT,
        ),
    ),
    Verb(
        "restart",
        "replace pods of a component, node by node, while what is stretched stays connected",
        "COMPONENT",
        (
            Option(("--node",), "the pod of this node only; all if absent", "NODE"),
            Option(("--timeout",), "how long each node may take, 1 to 3600; 180 if absent", "SECONDS"),
            _YES,
            _OUTPUT,
        ),
        argument_choices=tuple(COMPONENTS),
    ),
    Verb(
        "uninstall",
        "withdraw all networks, end all agreements, and remove Isthmus; keys and definitions only if you say so",
        options=(
            Option(("--forget-unreachable",), "do not wait for the confirmation of peers that are not reachable"),
            Option(("--release",), "the Helm release; the one that the cluster names if absent", "NAME"),
            Option(("--delete-keys",), "also delete what Helm keeps: definitions, and namespaces with all Secrets"),
            Option(("--timeout",), "how long to wait while nothing goes, 1 to 3600; 300 if absent", "SECONDS"),
            _YES,
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
