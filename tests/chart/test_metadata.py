"""Chart.yaml."""

from __future__ import annotations

import tomllib

import yaml

from tests.chart.helm import CHART, REPOSITORY


def test_chart_has_the_version_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (project["version"], project["version"])
    assert chart["annotations"]["artifacthub.io/license"] == project["license"]
