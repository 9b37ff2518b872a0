"""Verbs `verify` and `bench`: `isthmus probe` in the pods of agents, or what was printed on nodes without pods."""

from __future__ import annotations

import shlex
import subprocess
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from . import terminal
from .core.answer import Answer
from .core.bundles.numbers import ranged
from .core.failures import sentence
from .core.probing.answer import Measured, benched, verified
from .core.probing.report import BadReport, Report, parse
from .core.probing.targets import Target, targets
from .core.refusals import Misused, Refused
from .core.restart.workloads import COMPONENTS, Pod
from .kubectl import Kubectl, NotRead
from .readings import read

_AGENT: Final = COMPONENTS["agent"]
_PROGRAM: Final = ("/usr/bin/python3", "-P", "-m", "isthmus.cli.main")  # as in images/Containerfile
_FRAMES, _MOST_FRAMES = 20, 200
_SECONDS, _MOST_SECONDS = 10, 60
# The longest that a command of these limits takes, with the search for the largest size, and what kubectl needs.
_TIMEOUT_SECONDS: Final = 120.0
_UNKNOWN_COMMAND: Final = "invalid choice: 'probe'"


def verify(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Short frames and frames as long as the MTU."""
    count = ranged("--count", chosen.count, _FRAMES, _MOST_FRAMES)
    return verified(_measured(kubectl, chosen, ("--count", str(count))))


def bench(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Frames at a pace, and counters."""
    seconds = ranged("--seconds", chosen.seconds, _SECONDS, _MOST_SECONDS)
    return benched(_measured(kubectl, chosen, ("--seconds", str(seconds))))


VERBS: Final[Mapping[str, Callable[[Kubectl, Namespace], Answer]]] = MappingProxyType(
    {"verify": verify, "bench": bench}
)


def _measured(kubectl: Kubectl, chosen: Namespace, options: Sequence[str]) -> list[Measured]:
    given = [_parsed(name) for name in chosen.report or ()]
    readings, unread = read(kubectl)
    gaps = [gap for gap in unread if gap.resource in ("attachments", "networkexpansions")]
    if any(gap.resource == "attachments" for gap in gaps):
        raise NotRead.of(gaps)
    wanted = targets(readings.cloud, chosen.network, chosen.peer)
    if given:
        return [_of_report(target, given) for target in wanted]
    pods = {pod.node: pod for pod in _pods(kubectl)}
    return [_of_pod(kubectl, target, pods.get(target.node), options) for target in wanted]


def _of_report(target: Target, given: Sequence[Report]) -> Measured:
    found = [report for report in given if (report.link_name, report.cloud_id) == (target.link_name, target.cloud_id)]
    return Measured(target, found[-1]) if found else Measured(target, None, "no --report is of this link")


def _of_pod(kubectl: Kubectl, target: Target, pod: Pod | None, options: Sequence[str]) -> Measured:
    command = ("probe", target.link_name, target.cloud_id, "--mtu", str(target.mtu), *options)
    if pod is None:
        cause = f"no agent runs in a pod on {target.node}. Run this there, as root, and give the file to --report:"
        return Measured(target, None, cause, f"isthmus {shlex.join(command)} > report.json")
    terminal.report(f"{target.label}: sending from {target.node}")
    where = ("exec", "-n", _AGENT.namespace, pod.name, "-c", _AGENT.name, "--request-timeout=0", "--")
    process = kubectl.start((*where, *_PROGRAM, *command), stdin=subprocess.DEVNULL)
    try:
        stdout, stderr = process.communicate(timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Measured(target, None, f"kubectl exec has not ended within {_TIMEOUT_SECONDS:.0f} s")
    if process.returncode != 0:
        return Measured(target, None, _failure(stderr))
    try:
        return Measured(target, parse(stdout))
    except BadReport as error:
        return Measured(target, None, str(error))


def _failure(stderr: str) -> str:
    if _UNKNOWN_COMMAND in stderr:
        return "the agent's release has no command probe: kubectl isthmus version"
    # kubectl adds a line of its own to what the command has printed.
    own = [line.removeprefix("isthmus: ") for line in stderr.splitlines() if line.startswith("isthmus: ")]
    return sentence(own[-1]).removeprefix("kubectl failed: ") if own else sentence(stderr)


def _pods(kubectl: Kubectl) -> list[Pod]:
    try:
        found = kubectl.find("pods", "-n", _AGENT.namespace, "-l", _AGENT.selector)
    except Refused as error:
        raise NotRead(str(error)) from None
    return [pod for pod in map(Pod.parse, found) if pod.is_ready and not pod.is_terminating]


def _parsed(name: str) -> Report:
    try:
        return parse(terminal.read_file(name, "report").decode("utf-8", "replace"))
    except BadReport as error:
        raise Misused(f"{name}: {error}") from None
