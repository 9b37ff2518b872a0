"""Generated files are up to date."""

import re
from pathlib import Path

import pytest
import yaml

from charts.generate import generated
from charts.monitoring import rules
from charts.rights import granted, parsed, with_rights
from isthmus.cli import troubleshooting
from isthmus.cli.reference import with_settings, with_verbs
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.schema import render
from isthmus.model.reasons import document
from tests.lab.diagnose import document as faults

CRDS = Path(__file__).parents[2] / "crds"
CONDITIONS = Path(__file__).parents[2] / "docs" / "conditions.md"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.registration.plural)
def test_custom_resource_definition_is_current(kind: type[CustomObject]) -> None:
    path = CRDS / f"{kind.registration.plural}.yaml"
    assert path.read_text() == render(kind), "run `make generate` and commit the result"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.registration.plural)
def test_columns_select_one_value(kind: type[CustomObject]) -> None:
    """Of several values the API server shows the first one only. Types of conditions are unique."""
    paths = [re.sub(r"\[\?\(@\.type==\"\w+\"\)\]", "", column.path) for column in kind.registration.columns]
    assert [path for path in paths if "*" in path or "?" in path or ".." in path] == []


def test_exactly_these_definitions_are_installed() -> None:
    files = {f"{kind.registration.plural}.yaml" for kind in KINDS}
    assert {p.name for p in CRDS.iterdir()} == files | {"kustomization.yaml"}
    assert set(yaml.safe_load((CRDS / "kustomization.yaml").read_text())["resources"]) == files


def test_list_of_settings_is_current() -> None:
    page = (CRDS.parent / "docs" / "reference.md").read_text()
    assert with_settings(page) == page, "run `make generate` and commit the result"


def test_list_of_verbs_is_current() -> None:
    page = (CRDS.parent / "docs" / "reference.md").read_text()
    assert with_verbs(page) == page, "run `make generate` and commit the result"


def test_table_of_rights_is_current() -> None:
    page = (CRDS.parent / "docs" / "rights.md").read_text()
    rendering = (CRDS.parent / "tests" / "chart" / "golden" / "minimal.yaml").read_text()
    assert with_rights(page, rendering) == page, "run `make chart` and commit the result"
    assert parsed(page) == granted(filter(None, yaml.safe_load_all(rendering)))


def test_documentation_of_conditions_is_current() -> None:
    assert CONDITIONS.read_text() == document.render(), "run `make generate` and commit the result"


@pytest.mark.parametrize("path", generated())
def test_generated_file_of_the_chart_is_current(path: str) -> None:
    chart = CRDS.parent / "charts" / "isthmus"
    assert (chart / path).read_text() == generated()[path], "run `make generate` and commit the result"


def test_chart_has_exactly_these_definitions() -> None:
    templates = (CRDS.parent / "charts" / "isthmus" / "templates" / "crds").iterdir()
    assert {p.name for p in templates} == {f"{kind.registration.plural}.yaml" for kind in KINDS}


def test_rules_for_prometheus_are_current() -> None:
    path = CRDS.parent / "deploy" / "prometheus" / "rules.yaml"
    assert path.read_text() == rules.native(), "run `make generate` and commit the result"


def test_table_of_faults_is_current() -> None:
    assert (CONDITIONS.parent / "faults.md").read_text() == faults.render(), "run `make generate` and commit the result"


def test_documentation_of_troubleshooting_is_current() -> None:
    page = CONDITIONS.parent / "troubleshooting.md"
    assert page.read_text() == troubleshooting.render(), "run `make generate` and commit the result"
