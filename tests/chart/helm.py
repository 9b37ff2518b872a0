"""Helm without a cluster."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.testbed.assets import ensure

REPOSITORY: Final = Path(__file__).parents[2]
CHART: Final = REPOSITORY / "charts" / "isthmus"
VALUES: Final = Path(__file__).with_name("values")
MINIMAL: Final[Mapping[str, Any]] = yaml.safe_load((VALUES / "minimal.yaml").read_text())
_RELEASE: Final = "isthmus"

Document = dict[str, Any]


class HelmError(Exception):
    """Helm failed; the message is its stderr."""


@functools.cache
def _program() -> Path:
    return ensure("helm").helm


def run(*arguments: str, values: str = "") -> str:
    """Run Helm with the values of a YAML text, and without any configuration of this machine; returns its stdout."""
    with tempfile.TemporaryDirectory() as home, tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(values)
        file.flush()
        homes = {f"HELM_{kind}_HOME": home for kind in ("CACHE", "CONFIG", "DATA")}
        environment = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": f"{home}/none", **homes}
        command = [str(_program()), *arguments, *(["--values", file.name] if values else [])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise HelmError(done.stderr or done.stdout)
    return done.stdout


def template(values: str, *options: str, namespace: str = "isthmus-system", kubernetes: str = "1.36.0") -> str:
    """The rendering of the chart."""
    where = ["--namespace", namespace, "--kube-version", kubernetes]
    return run("template", _RELEASE, str(CHART), *where, *options, values=values)


def rendered(path: Path) -> str:
    """The rendering for a file of values, as it is kept in the tree."""
    heading = f"# Generated from {path.relative_to(REPOSITORY)}; do not edit. `make chart` writes it.\n"
    return heading + template(path.read_text())


@functools.cache
def _documents(values: str) -> tuple[Document, ...]:
    return tuple(filter(None, yaml.safe_load_all(template(values))))


def documents(values: Mapping[str, Any] = MINIMAL) -> list[Document]:
    """All objects of the rendering."""
    return list(_documents(yaml.safe_dump(dict(values))))


def only(found: list[Document], kind: str, name: str, namespace: str | None = None) -> Document:
    """The one object with that identity."""
    (one,) = [
        document
        for document in found
        if (document["kind"], document["metadata"]["name"]) == (kind, name)
        and namespace in (None, document["metadata"].get("namespace"))
    ]
    return one
