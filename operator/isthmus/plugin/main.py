"""`kubectl isthmus`: reads and changes with kubectl, and prints an answer."""

from __future__ import annotations

import json
import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from isthmus.model import names

from .arguments import options_for_kubectl, parse
from .core import completion, resources
from .core.answer import Answer, ExitCode
from .core.diagnosis import UnknownTarget, diagnose
from .core.explain import UnknownReason, explain
from .core.networks import networks
from .core.peers import peers
from .core.refusals import Misused, Refused
from .core.status import status
from .core.tables import Style
from .core.versions import versions
from .kubectl import Kubectl, NotRead, Reading
from .readings import KINDS, observe, read
from .release import own_version

_INTERRUPTED: Final = 130
_EXPANSIONS: Final = "networkexpansions"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _run(words)
    except (UnknownReason, UnknownTarget, Misused) as error:
        return _failed(error, ExitCode.USAGE)
    except Refused as error:
        return _failed(error, ExitCode.WRONG)
    except NotRead as error:
        return _failed(error, ExitCode.NOT_READ)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # of a pager that was closed; nothing may be flushed into it at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FINE


def _run(words: Sequence[str]) -> int:
    if words[:1] == ["__complete"]:
        _print(completion.candidates(words[1:]))
        return ExitCode.FINE
    chosen = parse(words)
    if chosen.verb == "completion":
        _print([completion.SCRIPT.rstrip()])
        return ExitCode.FINE
    answer = _answer(chosen)
    as_json = chosen.output == "json"
    _print([json.dumps(answer.to_document(), indent=2)] if as_json else answer.text(_style()))
    return answer.code


def _answer(chosen: Namespace) -> Answer:
    if chosen.verb == "explain":
        return explain(chosen.code)
    if chosen.verb == "version":
        return _versions(chosen)
    kubectl = Kubectl(options_for_kubectl(chosen))
    if chosen.verb == "status":
        return _status(kubectl)
    if chosen.verb == "networks":
        return _networks(kubectl, chosen)
    if chosen.verb == "diagnose":
        return _diagnosis(kubectl, chosen.name, chosen.namespace or "")
    if chosen.verb == "peers":
        reading = _required(kubectl.get(("cloudpeers", "gatewaynodes", "peerlinks")).result(), "cloudpeers")
        return peers(resources.cloud(reading.items, datetime.now(UTC)), reading.unread)
    # Not needed, and not paid for, by verbs that only print something.
    from . import agreements, approving, gather, pairing, probing, restart, topology, uninstall

    verbs = {**agreements.VERBS, **approving.VERBS, **gather.VERBS, **pairing.VERBS, **restart.VERBS, **uninstall.VERBS}
    return {**verbs, **probing.VERBS, **topology.VERBS}[chosen.verb](kubectl, chosen)


def _networks(kubectl: Kubectl, chosen: Namespace) -> Answer:
    kinds = (_EXPANSIONS,) if chosen.namespace else (_EXPANSIONS, "attachments")
    namespace = chosen.namespace or ""
    reading = _required(kubectl.get(kinds, namespace).result(), _EXPANSIONS, _hint(namespace))
    return networks(resources.cloud(reading.items), namespace, reading.unread)


def _hint(namespace: str) -> str:
    """For users without the right to list the objects of all namespaces."""
    return "" if namespace else "; if you have rights in one namespace, name it: -n NAMESPACE"


def _status(kubectl: Kubectl) -> Answer:
    readings, unread = observe(kubectl)
    of_objects = [gap for gap in unread if gap.resource in KINDS]
    if len(of_objects) == len(KINDS):
        raise NotRead.of(of_objects, "; with rights in one namespace: kubectl isthmus networks -n NAMESPACE")
    return status(readings.cloud, readings.processes, unread)


def _diagnosis(kubectl: Kubectl, name: str | None, namespace: str) -> Answer:
    readings, unread = read(kubectl, namespace, _hint(namespace))
    try:
        return diagnose(readings, name, unread)
    except UnknownTarget as error:
        if not unread:
            raise
        raise NotRead(f"{error}: {NotRead.of(unread)}") from None


def _versions(chosen: Namespace) -> Answer:
    client = own_version()
    if chosen.client:
        return versions(client, names.API_VERSION, None)
    reading = Kubectl(options_for_kubectl(chosen)).get(("gatewaynodes", "peerlinks")).result()
    return versions(client, names.API_VERSION, resources.cloud(reading.items), reading.unread)


def _required(reading: Reading, plural: str, hint: str = "") -> Reading:
    """The reading, if it has the kind that the verb is about; `hint` is for users without the right."""
    missing = [gap for gap in reading.unread if gap.resource == plural]
    if missing:
        raise NotRead.of(missing, hint)
    return reading


def _style() -> Style:
    """Colour and width of the terminal, if it is one (https://no-color.org)."""
    if not sys.stdout.isatty():
        return Style()
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(colour, max(40, min(120, shutil.get_terminal_size().columns)))


def _print(lines: Sequence[str]) -> None:
    """Print all lines at once, also to a terminal that cannot show every character."""
    encoding = sys.stdout.encoding or "ascii"
    text = "".join(f"{line}\n" for line in lines).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(text)
    sys.stdout.flush()


def _failed(error: Exception, code: ExitCode) -> int:
    message = str(error).encode("ascii", "backslashreplace").decode()
    print(f"kubectl isthmus: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
