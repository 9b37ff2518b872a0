"""The user's own kubectl: every credential, proxy and context that works for it works for the plugin."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from isthmus.model.names import GROUP, VERSION

from .core.answer import Unread
from .core.documents import Document, entries, text
from .core.failures import definitions, is_missing_kind, is_refusal, refused, sentence
from .core.refusals import Refused


class NotRead(Exception):
    """The cluster could not be read; the text is a sentence that says why."""

    @classmethod
    def of(cls, unread: Sequence[Unread], hint: str = "") -> NotRead:
        """For these, with each cause once; `hint` is for users without the right."""
        by_cause: dict[str, list[str]] = {}
        for gap in unread:
            by_cause.setdefault(gap.cause, []).append(gap.resource)
        return cls("; ".join(f"{', '.join(resources)}: {cause}" for cause, resources in by_cause.items()) + hint)


class NotServed(NotRead):
    """The API server does not know a kind of ours; `served` has the versions of our API group that it knows."""

    def __init__(self, served: Sequence[str]) -> None:
        super().__init__(definitions(served, VERSION))
        self.served = tuple(served)


@dataclass(frozen=True)
class Reading:
    """Objects that were read, and kinds of which none could be."""

    items: tuple[Document, ...] = ()
    unread: tuple[Unread, ...] = ()


class Request:
    """One or several `kubectl get`, the first of which runs. Two requests may run at the same time."""

    def __init__(self, kubectl: Kubectl, *queries: Sequence[str]) -> None:
        self._kubectl = kubectl
        self._first, *self._others = queries
        self._process = kubectl.start(("get", *self._first))

    def result(self) -> Reading:
        """Wait for it; raises NotRead if nothing could be read for another reason than missing rights.

        The others run once the first is done, all at once: by then whatever asks for a credential has got one.
        """
        readings = [self._reading(self._process)]
        processes = [self._kubectl.start(("get", *query)) for query in self._others]
        readings += map(self._reading, processes)
        items = chain.from_iterable(reading.items for reading in readings)
        return Reading(tuple(items), tuple(gap for reading in readings for gap in reading.unread))

    def complete(self) -> tuple[Document, ...]:
        """All objects; raises NotRead also for kinds that the user has no right to."""
        reading = self.result()
        if reading.unread:
            raise NotRead.of(reading.unread)
        return reading.items

    def _reading(self, process: subprocess.Popen[str]) -> Reading:
        stdout, stderr = process.communicate()
        unread = refused(stderr)
        if process.returncode != 0 and not unread:
            if is_missing_kind(stderr):
                raise NotServed(self._kubectl.served_versions())
            raise NotRead(sentence(stderr))
        return Reading(tuple(entries(_parsed(stdout), "items")) if stdout else (), unread)


class Kubectl:
    """kubectl with the options that were passed to the plugin."""

    def __init__(self, options: Sequence[str]) -> None:
        path = shutil.which("kubectl")
        if path is None:
            raise NotRead("kubectl was not found in any directory of PATH: install it, or add its directory to PATH")
        self._command = (path, *options)

    def get(self, plurals: Sequence[str], namespace: str = "") -> Request:
        """Objects of these kinds of ours, of one namespace or of all.

        As the API server writes them: kubectl needs several times as long to read, sort and indent thousands of them.
        """
        where = f"/apis/{GROUP}/{VERSION}" + (f"/namespaces/{quote(namespace, safe='')}" if namespace else "")
        return Request(self, *(("--raw", f"{where}/{plural}") for plural in plurals))

    def get_list(self, *arguments: str) -> Request:
        """Whatever `kubectl get` lists with these arguments."""
        return Request(self, (*arguments, "-o", "json"))

    def get_leases(self, namespace: str) -> Request:
        """All Leases of a namespace."""
        return self.get_list("leases.coordination.k8s.io", "-n", namespace)

    def served_versions(self) -> list[str]:
        """Versions of our API group that the server has; none if it has no such group."""
        process = self.start(("get", "--raw", f"/apis/{GROUP}"))
        stdout, _ = process.communicate()
        return [text(version, "version") for version in entries(_parsed(stdout), "versions")] if stdout else []

    def find(self, *arguments: str) -> list[Document]:
        """Objects of these names or with these labels, those that exist."""
        document = _parsed(self.run("get", *arguments, "--ignore-not-found", "-o", "json") or "{}")
        return list(entries(document, "items")) if "items" in document else [document] if document else []

    def apply(self, manifests: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> None:
        """Apply objects, which go to the standard input: they may be Secrets. A dry run changes nothing."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        flags = ("--dry-run=server",) if dry_run else ()
        manager = ("--field-manager=kubectl-isthmus", "--force-conflicts")
        self.run("apply", "--server-side", *manager, *flags, "-f", "-", stdin=document)

    def patch(self, kind: str, name: str, patch: str, *, dry_run: bool = False) -> None:
        """Apply a JSON patch (RFC 6902), which has no secrets: it is on the command line."""
        flags = ("--dry-run=server",) if dry_run else ()
        self.run("patch", kind, name, "--type=json", *flags, "-p", patch)

    def may(self, verb: str, resource: str, subresource: str, namespace: str) -> bool:
        """Whether the user has that right."""
        sub = (f"--subresource={subresource}",) if subresource else ()
        process = self.start(("auth", "can-i", verb, resource, *sub, "-n", namespace, "-q"))
        process.communicate()
        return process.returncode == 0

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises Refused if the API server does not do it, NotRead if it was not even asked."""
        process = self.start(arguments, stdin=None if stdin is None else subprocess.PIPE)
        stdout, stderr = process.communicate(stdin)
        if process.returncode == 0:
            return stdout
        raise Refused(sentence(stderr)) if is_refusal(stderr) else NotRead(sentence(stderr))

    def start(self, arguments: Sequence[str], *, stdin: int | None = None) -> subprocess.Popen[str]:
        """Run kubectl beside this process; it may ask the terminal, so it keeps the standard input if it needs none."""
        try:
            return subprocess.Popen(
                [*self._command, *arguments],
                stdin=stdin,
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
