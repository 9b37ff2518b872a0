"""ConfigMaps with dashboards, as Grafana's sidecar finds them."""

from __future__ import annotations

import json
from typing import Any

from charts.monitoring.dashboards import DASHBOARDS
from tests.chart.helm import CHART, MINIMAL, documents


def _dashboards(**metrics: Any) -> dict[str, dict[str, Any]]:
    """By the names of their files."""
    found = documents({**MINIMAL, "metrics": metrics})
    maps = [d for d in found if d["kind"] == "ConfigMap" and "grafana_dashboard" in d["metadata"]["labels"]]
    return {name: json.loads(text) for document in maps for name, text in document["data"].items()}


def test_there_is_none_by_default() -> None:
    assert _dashboards() == {}


def test_dashboards_are_those_of_the_files() -> None:
    files = {f"isthmus-{d.file}": json.loads((CHART / "dashboards" / d.file).read_text()) for d in DASHBOARDS}
    assert _dashboards(dashboards={"enabled": True}) == files
    assert {path.name for path in (CHART / "dashboards").iterdir()} == {dashboard.file for dashboard in DASHBOARDS}


def test_links_lead_to_where_the_runbooks_are() -> None:
    for dashboard in _dashboards(dashboards={"enabled": True}, runbooks="https://example.org/x").values():
        (runbooks,) = [v for v in dashboard["templating"]["list"] if v["name"] == "runbooks"]
        assert (runbooks["query"], runbooks["current"]["value"]) == ("https://example.org/x", "https://example.org/x")
