"""Each panel's queries parse, read only what is exported, and have an answer in a healthy cloud."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from charts.monitoring import grafana
from charts.monitoring.alerts import ALERTS
from charts.monitoring.dashboard import GRID_WIDTH, Dashboard, Query
from charts.monitoring.dashboards import DASHBOARDS
from charts.monitoring.thresholds import Thresholds

from . import exported, promtool
from .series import INTERVAL_SECONDS, healthy

VARIABLES = {"$__rate_interval": "5m", "$network": "cloud-a.n0", "$peer": ".*", "$instance": ".*"}
QUERIES = [
    (f"{dashboard.uid}: {panel.title} {number}", query)
    for dashboard in DASHBOARDS
    for panel in dashboard.panels()
    for number, query in enumerate(panel.queries)
]
EXPRESSIONS = [query.expr for _, query in QUERIES] + [a.expression(Thresholds().model_dump()) for a in ALERTS]
every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)


def _filled(expr: str) -> str:
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, "a variable that the dashboard does not have"
    return expr


def test_every_query_answers_in_a_healthy_cloud(tmp_path: Path) -> None:
    """The number of series in the answer is made 1, so that promtool can compare it."""
    checks = [
        {
            "expr": f"clamp_max(count({_filled(query.expr)}), 1)",
            "eval_time": "1h",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for _, query in QUERIES
        if not query.in_trouble
    ]
    test = {
        "interval": f"{INTERVAL_SECONDS}s",
        "input_series": [{"series": name, "values": values} for name, values in healthy().items()],
        "promql_expr_test": checks,
    }
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"tests": [test]}))
    done = promtool.run("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_is_valid(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": _filled(query.expr)} for number, (_, query) in enumerate(QUERIES)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool.run("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_expressions_read_only_what_is_exported(expr: str) -> None:
    known = exported.samples()
    selected = exported.read_by(expr)
    assert selected
    assert [(name, labels) for name, labels in selected if not labels <= known.get(name, frozenset())] == []
    assert exported.labels_of_groups(expr) <= set().union(*(known[name] for name, _ in selected))


@pytest.mark.parametrize(("name", "query"), QUERIES, ids=[name for name, _ in QUERIES])
def test_names_of_series_use_labels_that_they_have(name: str, query: Query) -> None:
    known = exported.samples()
    labels = set().union(*(known[sample] for sample, _ in exported.read_by(query.expr)))
    if found := re.search(r"\bby \(([^)]*)\)", query.expr):
        labels = set(re.findall(r"\w+", found[1]))
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= labels, name


@every_dashboard
def test_metrics_of_variables_have_the_label(dashboard: Dashboard) -> None:
    assert all(v.of_label in exported.samples()[v.metric] for v in dashboard.variables)
    used = set(re.findall(r"\$(\w+)", " ".join(query.expr for panel in dashboard.panels() for query in panel.queries)))
    assert used - {"__rate_interval"} == {variable.name for variable in dashboard.variables}


@every_dashboard
def test_panels_do_not_overlap(dashboard: Dashboard) -> None:
    panels = json.loads(grafana.render(dashboard))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < GRID_WIDTH


def test_every_alert_has_a_panel() -> None:
    linked = {alert for dashboard in DASHBOARDS for panel in dashboard.panels() for alert in panel.alerts}
    assert linked == {alert.name for alert in ALERTS}


def test_uids_are_distinct() -> None:
    assert len({dashboard.uid for dashboard in DASHBOARDS}) == len(DASHBOARDS)
