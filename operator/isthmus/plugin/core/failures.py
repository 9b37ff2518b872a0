"""What kubectl printed when it failed, as one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from isthmus.model.text import printable

from .answer import Unread

_MAX_CHARACTERS: Final = 300
_LOG_LINE: Final = re.compile(r"[IWEF]\d{4} ")  # of klog; the error follows as a line of its own
_FORBIDDEN: Final = re.compile(r'\(Forbidden\): .*cannot list resource "([a-z]+)"[^"]*(?:"[^"]*")? ?(.*)')
_NOT_ALLOWED: Final = re.compile(r'\(Forbidden\): .*cannot (\w+) resource "([a-z/]+)"[^"]*(?:"[^"]*")? ?(.*)')
_REFUSALS: Final = (" is invalid", "(Invalid)", "(BadRequest)", "(Conflict)", "(AlreadyExists)", "(NotFound)", "denied")
_MISSING: Final = re.compile(
    r'the server doesn\'t have a resource type "?([a-z]+)|could not find the requested resource'
)
_CONTEXT: Final = re.compile(r'context "([^"]*)" does not exist|context was not found for specified context: (.*)')
_CLUSTER: Final = re.compile(r'no server found for cluster "([^"]*)"|cluster "([^"]*)" does not exist')
_USER: Final = re.compile(r'auth info "([^"]*)" does not exist')
_KUBECONFIG: Final = re.compile(r'(?:stat|error loading config file) "?([^":]+)"?: (?:open [^:]+: )?(.*)')
_UNREACHABLE: Final = (
    "Unable to connect to the server",
    "The connection to the server",
    "context deadline exceeded",
    "net/http: request canceled",
)


def refused(stderr: str) -> tuple[Unread, ...]:
    """Resources that the API server does not let the user list."""
    found = {match[1]: match[2] for line in _lines(stderr) if (match := _FORBIDDEN.search(line))}
    return tuple(Unread(name, f"no right to list them {_scope(scope)}".rstrip()) for name, scope in found.items())


def is_refusal(stderr: str) -> bool:
    """Whether the API server answered, and did not do what was asked, for another reason than missing rights."""
    text = _last(stderr)
    return not _NOT_ALLOWED.search(text) and any(mark in text for mark in _REFUSALS)


def is_missing_kind(stderr: str) -> bool:
    """Whether the API server does not know a kind."""
    return any(_MISSING.search(line) for line in _lines(stderr))


def sentence(stderr: str) -> str:
    """Why kubectl failed."""
    text = _last(stderr)
    if match := _NOT_ALLOWED.search(text):
        return f"no right to {match[1]} {match[2]} {_scope(match[3])}".rstrip()
    if match := _CONTEXT.search(text):
        return f"the kubeconfig has no context {(match[1] or match[2])!r}; list them with: kubectl config get-contexts"
    if match := _CLUSTER.search(text):
        return f"the kubeconfig has no cluster {(match[1] or match[2])!r}; list them with: kubectl config get-clusters"
    if match := _USER.search(text):
        return f"the kubeconfig has no user {match[1]!r}; list them with: kubectl config get-users"
    if match := _KUBECONFIG.search(text):
        return f"the kubeconfig {match[1]} cannot be read: {match[2]}"
    if "localhost:8080" in text:
        return "there is no kubeconfig: set KUBECONFIG or --kubeconfig"
    if "Unauthorized" in text or "must be logged in" in text:
        return f"the API server rejects the credential: {text}"
    if any(mark in text for mark in _UNREACHABLE):
        return f"the API server does not answer: {text}"
    return f"kubectl failed: {text}"


def definitions(served: Sequence[str], wanted: str) -> str:
    """Why our kinds are missing, by the versions of our API group that the server has."""
    if not served:
        return "Isthmus is not installed in this cluster: it has no API group isthmus.cloud"
    if wanted in served:
        return f"not all definitions of isthmus.cloud/{wanted} are installed: apply those of this release again"
    listed = ", ".join(printable(version) for version in served)
    return f"this plugin reads isthmus.cloud/{wanted}, and the cluster serves {listed}: use the plugin of its release"


def _last(stderr: str) -> str:
    lines = _lines(stderr)
    return lines[-1] if lines else "no message"


def _lines(stderr: str) -> list[str]:
    lines = [printable(line).strip()[:_MAX_CHARACTERS] for line in stderr.splitlines()]
    return [line for line in lines if line and not _LOG_LINE.match(line) and not line.startswith("Warning:")]


def _scope(text: str) -> str:
    """`at the cluster scope`, `in the namespace "shop"`."""
    return text.split(":")[0].strip()
