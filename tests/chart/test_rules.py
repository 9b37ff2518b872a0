"""The PrometheusRule, which has the rules of deploy/prometheus/rules.yaml unless values say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from charts.monitoring.alerts import ALERTS
from charts.monitoring.thresholds import Thresholds
from isthmus.model.api.objects import wire_name
from tests.chart.helm import MINIMAL, REPOSITORY, Document, documents, only


def _rules(**values: Any) -> list[Document]:
    found = documents({**MINIMAL, "metrics": {"rules": {"enabled": True, **values}}})
    (group,) = only(found, "PrometheusRule", "isthmus", "isthmus-system")["spec"]["groups"]
    assert group["name"] == "isthmus"
    rules: list[Document] = group["rules"]
    return rules


def _names(rules: list[Document]) -> list[str]:
    return [rule["alert"] for rule in rules]


def _changed(thresholds: Mapping[str, float]) -> list[str]:
    pairs = zip(_rules(), _rules(thresholds=dict(thresholds)), strict=True)
    return [before["alert"] for before, after in pairs if before["expr"] != after["expr"]]


def test_there_is_none_by_default() -> None:
    assert [document for document in documents() if document["kind"] == "PrometheusRule"] == []


def test_rules_are_those_of_the_file_for_prometheus() -> None:
    file = yaml.safe_load((REPOSITORY / "deploy" / "prometheus" / "rules.yaml").read_text())
    assert _rules() == file["groups"][0]["rules"]


def test_alerts_can_be_left_out() -> None:
    left_out = ALERTS[0].name, ALERTS[-1].name
    assert _names(_rules(disabled=list(left_out))) == [alert.name for alert in ALERTS if alert.name not in left_out]


def test_every_threshold_changes_the_alerts_that_use_it() -> None:
    for name in Thresholds.model_fields:
        users = [alert.name for alert in ALERTS if f"${name}" in alert.expr]
        assert users
        assert _changed({wire_name(name): 99}) == users


def test_further_labels_and_the_place_of_the_runbooks() -> None:
    found = documents(
        {
            **MINIMAL,
            "metrics": {"runbooks": "https://example.org", "rules": {"enabled": True, "alertLabels": {"a": "b"}}},
        }
    )
    (group,) = only(found, "PrometheusRule", "isthmus")["spec"]["groups"]
    assert {rule["labels"]["a"] for rule in group["rules"]} == {"b"}
    assert group["rules"][0]["annotations"]["runbook_url"] == f"https://example.org/{ALERTS[0].name}.html"
