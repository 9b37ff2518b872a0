"""Reports complete lists of a kind to an `Observer`."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.ports import Manifest, Observer

from .client import Client


def report_list(client: Client, path: str, kind: str, observer: Observer) -> str:
    """List a kind page by page, and report it; returns the resource version of the list. Raises ExternalError."""
    pages = client.pages(path)
    first = next(pages)
    version = str(first["metadata"]["resourceVersion"])
    observer.listed(kind, _items(first, pages), version)
    return version


def _items(first: Manifest, others: Iterator[Manifest]) -> Iterator[Manifest]:
    yield from first["items"]
    for page in others:
        yield from page["items"]
