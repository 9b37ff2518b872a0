"""The renderings in the tree are those of the chart."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from isthmus.model.api.kinds import KINDS
from tests.chart.helm import CHART, MINIMAL, REPOSITORY, VALUES, documents, rendered, run
from tests.chart.render import RENDERINGS


@pytest.mark.parametrize("values", RENDERINGS, ids=lambda path: path.stem)
def test_rendering_is_current(values: Path) -> None:
    assert RENDERINGS[values].read_text() == rendered(values), "run `make chart` and commit the result"


@pytest.mark.parametrize("values", sorted(VALUES.iterdir()), ids=lambda path: path.stem)
def test_helm_finds_nothing_to_complain_about(values: Path) -> None:
    report = run("lint", "--strict", "--namespace", "isthmus-system", str(CHART), values=values.read_text())
    assert "0 chart(s) failed" in report


def test_every_object_is_rendered_once() -> None:
    identities = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents()]
    assert len(identities) == len(set(identities))


def test_every_object_belongs_to_isthmus_by_its_labels() -> None:
    without = [
        f"{d['kind']} {d['metadata']['name']}"
        for d in documents({**MINIMAL, "crds": {"enabled": True}})
        if d["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "isthmus"
    ]
    assert without == []


@pytest.mark.parametrize("keep", [True, False])
def test_definitions_are_those_of_the_models(keep: bool) -> None:
    found = documents({**MINIMAL, "crds": {"enabled": True, "keep": keep}})
    definitions = {d["metadata"]["name"]: d for d in found if d["kind"] == "CustomResourceDefinition"}
    assert len(definitions) == len(KINDS)
    for kind in KINDS:
        plain = yaml.safe_load((REPOSITORY / "crds" / f"{kind.registration.plural}.yaml").read_text())
        definition = definitions[plain["metadata"]["name"]]
        assert definition["spec"] == plain["spec"]
        annotations = definition["metadata"].get("annotations", {})
        assert annotations == ({"helm.sh/resource-policy": "keep"} if keep else {})


def test_definitions_can_be_left_out() -> None:
    assert [d for d in documents() if d["kind"] == "CustomResourceDefinition"] == []


def test_a_package_holds_nothing_but_the_chart(tmp_path: Path) -> None:
    run("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.iterdir()
    listed = subprocess.run(["tar", "tzf", package], capture_output=True, text=True, check=True).stdout.split()
    assert {path.partition("/")[0] for path in listed} == {"isthmus"}
    assert "isthmus/values.schema.json" in listed
