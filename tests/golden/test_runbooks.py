"""Every alert has a runbook, and every runbook an alert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charts.monitoring import index
from charts.monitoring.alerts import ALERTS
from isthmus.plugin.core.verbs import VERBS

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Remedy"]
NAMES = [alert.name for alert in ALERTS]


def test_there_is_a_page_for_each_alert() -> None:
    assert {path.stem for path in RUNBOOKS.iterdir()} == {*NAMES, "README"}


@pytest.mark.parametrize("name", NAMES)
def test_page_has_all_sections(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS
    assert all(text.strip() for text in re.split(r"^## .*$", page, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("name", NAMES)
def test_diagnosis_has_commands_of_the_plugin(name: str) -> None:
    diagnosis = (RUNBOOKS / f"{name}.md").read_text().partition("## Diagnosis\n")[2].partition("\n## ")[0]
    verbs = re.findall(r"^kubectl isthmus (\w+)", diagnosis, re.MULTILINE)
    assert verbs
    assert set(verbs) <= {verb.name for verb in VERBS}


def test_index_is_current() -> None:
    assert (RUNBOOKS / "README.md").read_text() == index.render(), "run `make generate` and commit the result"


def test_alerts_have_the_name_of_the_project_and_a_static_summary() -> None:
    assert [alert.name for alert in ALERTS if not re.fullmatch(r"Isthmus([A-Z][A-Za-z]+)", alert.name)] == []
    assert [alert.name for alert in ALERTS if "{{" in alert.summary or not alert.summary.endswith(".")] == []
    assert len(set(NAMES)) == len(NAMES)
