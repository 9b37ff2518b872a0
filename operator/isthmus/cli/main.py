"""`isthmus controller`, `isthmus agent`, administrators' `peer-kubeconfig` and `probe`, and the checks of the chart."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from isthmus.model.errors import ExternalError
from isthmus.model.settings import AgentSettings, ControllerSettings, Settings
from isthmus.model.types import CloudID

from .configuration import load
from .configurationfile import BadConfiguration

S = TypeVar("S", bound=Settings)

_BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process; returns its exit status."""
    chosen = parser().parse_args(arguments)
    try:
        if chosen.command == "controller":
            return _controller()
        if chosen.command == "agent":
            return _agent()
        if chosen.command in ("check-unused", "check-installation"):
            return _check(chosen.command)
        if chosen.command == "probe":
            return _probe(chosen)
        return _peer_kubeconfig(chosen.peer, chosen.server, chosen.days, chosen.ca_file)
    except BadConfiguration as error:
        print("\n".join(f"isthmus: configuration: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return _BAD_CONFIGURATION
    except ExternalError as error:
        print(f"isthmus: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """What `isthmus` accepts; docs/commands.md is written from it."""
    parser = argparse.ArgumentParser(prog="isthmus", description="Stretch networks between OpenStack clouds.")
    parser.add_argument("--version", action="version", version=f"isthmus {version('isthmus')}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("controller", help="mirror projects and networks; one for each cloud")
    commands.add_parser("agent", help="configure br-cloud and IPsec; one on each gateway node")
    commands.add_parser("check-unused", help="fail while Isthmus is in use; run before it is uninstalled")
    commands.add_parser(
        "check-installation", help="fail unless controller and gateway nodes are ready; run by helm test"
    )
    hand_over = commands.add_parser(
        "peer-kubeconfig", help="print the read-only kubeconfig that a peer's administrator needs from us"
    )
    hand_over.add_argument("peer", type=_cloud_id, metavar="CLOUD_ID", help="the peer's cloud ID")
    where = hand_over.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--server", type=_https, metavar="URL", help="our API server as the peer reaches it, https://..."
    )
    where.add_argument("--renew", action="store_true", help="for the server, and its authority, of the last kubeconfig")
    hand_over.add_argument(
        "--ca-file",
        metavar="FILE",
        help="authority of that server's certificate; this cluster's if absent, or the last kubeconfig's to renew it",
    )
    hand_over.add_argument(
        "--days",
        type=_between(1, 365, "days"),
        default=30,
        help="for how long it is valid, 1 to 365; 30 if absent; the server may shorten it",
    )
    _add_probe(commands.add_parser("probe", help="send dataplane probes on one link, as root on its gateway node"))
    return parser


def _add_probe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("link", metavar="LINK", help="name of the Attachment")
    parser.add_argument("peer", type=_cloud_id, metavar="CLOUD_ID", help="the peer's cloud ID")
    parser.add_argument("--mtu", type=_between(68, 9216, "bytes"), required=True, help="of the network, in bytes")
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument(
        "--count", type=_between(1, 200, "frames"), default=20, help="frames of each size, 1 to 200; 20 if absent"
    )
    how_many.add_argument(
        "--seconds", type=_between(1, 60, "seconds"), help="send at a pace for so long, and read the link's counters"
    )


def _controller() -> int:
    settings = _settings(ControllerSettings)
    # Imported late: each process runs in an environment that has only what it needs.
    from isthmus.controller.assembly import assemble
    from isthmus.controller.run import run

    run(settings, assemble(settings))
    return 0


def _agent() -> int:
    settings = _settings(AgentSettings)
    from isthmus.agent.assembly import assemble
    from isthmus.agent.run import run

    run(settings, assemble(settings))
    return 0


def _peer_kubeconfig(peer: str, server: str | None, days: int, ca_file: str | None) -> int:
    from isthmus.adapters.kubernetes import KubernetesCluster

    from .handover import certificates, hand_over

    authority = certificates(ca_file) if ca_file else None
    own = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    made = hand_over(KubernetesCluster(own, "isthmus"), peer, server, days, authority)
    print(made.kubeconfig, end="")
    print(f"isthmus: valid until {made.ends:%Y-%m-%d %H:%M} UTC", file=sys.stderr)
    return 0


def _check(command: str) -> int:
    """In a pod with its service account, elsewhere with $KUBECONFIG."""
    from isthmus.adapters.kubernetes import KubernetesCluster

    from . import checks

    cluster = KubernetesCluster(os.environ.get("KUBECONFIG") or None, "isthmus")
    problems = checks.unused(cluster) if command == "check-unused" else checks.installation(cluster, time.sleep)
    print("\n".join(problems) or f"isthmus: {command}: no problem found")
    return 1 if problems else 0


def _probe(chosen: argparse.Namespace) -> int:
    """Whether frames come back is in what is printed; it is no failure of the command."""
    from isthmus.adapters.linux.probe import PacketProbe

    from . import probe

    with probe.exclusive():
        if chosen.seconds is None:
            report = probe.verify(PacketProbe(), chosen.link, chosen.peer, chosen.mtu, chosen.count)
        else:
            from isthmus.adapters.openvswitch.openflow import OvsOfctl

            flows = OvsOfctl(load(AgentSettings).ovsdb_socket).view
            report = probe.bench(PacketProbe(), flows, chosen.link, chosen.peer, chosen.mtu, chosen.seconds)
    print(probe.printed(report))
    return 0


def _settings(kind: type[S]) -> S:
    """The process's settings, with logging set up by them."""
    from isthmus.telemetry.logs import set_up

    settings = load(kind)
    set_up(settings.log_level, settings.log_format)
    return settings


def _cloud_id(text: str) -> str:
    try:
        return TypeAdapter(CloudID).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError(
            "must be a cloud ID: at most 40 lower-case letters, digits and hyphens"
        ) from None


def _between(least: int, most: int, what: str) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= 9 and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"must be a whole number of {what} from {least} to {most}")
        return int(text)

    return number


def _https(text: str) -> str:
    if not text.startswith("https://"):
        raise argparse.ArgumentTypeError("must begin with https://, or the peer will refuse it")
    return text


if __name__ == "__main__":
    sys.exit(main())
