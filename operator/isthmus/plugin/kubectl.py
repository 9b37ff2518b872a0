"""The user's own kubectl: every credential, proxy and context that works for it works for the plugin."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .core.answer import Unread
from .core.documents import Document, entries, text
from .core.failures import definitions, is_missing_kind, refused, sentence

GROUP: Final = "isthmus.cloud"
VERSION: Final = "v1alpha1"


class NotRead(Exception):
    """The cluster could not be read; the text is a sentence that says why."""


@dataclass(frozen=True)
class Reading:
    """Objects that were read, and kinds of which none could be."""

    items: tuple[Document, ...] = ()
    unread: tuple[Unread, ...] = ()


class Request:
    """A `kubectl get` that runs. Two of them may run at the same time."""

    def __init__(self, kubectl: Kubectl, arguments: Sequence[str]) -> None:
        self._kubectl = kubectl
        self._process = kubectl.start(("get", *arguments, "-o", "json"))

    def result(self) -> Reading:
        """Wait for it; raises NotRead if nothing could be read for another reason than missing rights."""
        stdout, stderr = self._process.communicate()
        unread = refused(stderr)
        if self._process.returncode != 0 and not unread:
            if is_missing_kind(stderr):
                raise NotRead(definitions(self._kubectl.served_versions(), VERSION))
            raise NotRead(sentence(stderr))
        return Reading(tuple(entries(_parsed(stdout), "items")), unread)


class Kubectl:
    """kubectl with the options that were passed to the plugin."""

    def __init__(self, options: Sequence[str]) -> None:
        path = shutil.which("kubectl")
        if path is None:
            raise NotRead("kubectl was not found in any directory of PATH: install it, or add its directory to PATH")
        self._command = (path, *options)

    def get(self, plurals: Sequence[str], namespace: str = "") -> Request:
        """Objects of these kinds of ours, of one namespace or of all."""
        kinds = ",".join(f"{plural}.{VERSION}.{GROUP}" for plural in plurals)
        return Request(self, (kinds, *(("-n", namespace) if namespace else ("-A",))))

    def get_leases(self, namespace: str) -> Request:
        """All Leases of a namespace."""
        return Request(self, ("leases.coordination.k8s.io", "-n", namespace))

    def served_versions(self) -> list[str]:
        """Versions of our API group that the server has; none if it has no such group."""
        process = self.start(("get", "--raw", f"/apis/{GROUP}"))
        stdout, _ = process.communicate()
        return [text(version, "version") for version in entries(_parsed(stdout), "versions")] if stdout else []

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        """Run kubectl beside this process; it may ask the terminal, so it keeps the standard input."""
        try:
            return subprocess.Popen(
                [*self._command, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise NotRead(f"kubectl cannot be run: {error.strerror}") from None


def _parsed(stdout: str) -> dict[str, Any]:
    try:
        document = json.loads(stdout)
    except ValueError:
        raise NotRead("kubectl printed something else than JSON") from None
    return document if isinstance(document, dict) else {}
