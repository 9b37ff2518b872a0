"""Dashboards in Grafana's JSON: schema version 39, which is that of Grafana 11."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from .dashboard import GRID_WIDTH, Dashboard, Panel, Query, Variable
from .pages import INDEX, RUNBOOKS, page

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_LEGEND: Final = {"displayMode": "list", "placement": "bottom", "showLegend": True}
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "colorMode": "none",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name",
    },
    "state-timeline": {
        "alignValue": "left",
        "legend": _LEGEND,
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "table": {"cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""}, "showHeader": True},
}
_UP_OR_DOWN: Final = [
    {
        "type": "value",
        "options": {
            "0": {"color": "red", "index": 0, "text": "down"},
            "1": {"color": "green", "index": 1, "text": "up"},
        },
    }
]

# Of a table: each series is a row, of which only the labels matter.
_LABELS_ONLY: Final = {
    "id": "organize",
    "options": {"excludeByName": {"Time": True, "Value": True, "__name__": True, "job": True}},
}


def render(dashboard: Dashboard) -> str:
    """The JSON of a dashboard."""
    document = {
        "annotations": {"list": []},
        "description": dashboard.description,
        "editable": True,
        "graphTooltip": 1,
        "links": [_to_other_dashboards(), _link("Runbooks", INDEX)],
        "panels": list(_panels(dashboard)),
        "refresh": "30s",
        "schemaVersion": 39,
        "tags": ["isthmus"],
        "templating": {"list": [_data_source(), *map(_variable, dashboard.variables), _runbooks()]},
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "title": dashboard.title,
        "uid": dashboard.uid,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Rows and panels, placed from left to right and from top to bottom; panels of one line have one height."""
    number, x, y, height = 0, 0, 0, 0
    for row in dashboard.rows:
        number, y = number + 1, y + height
        place = {"h": 1, "w": GRID_WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": place}
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > GRID_WIDTH:
                x, y = 0, y + height
            number, height = number + 1, panel.height
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            x += panel.width


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [_target(panel, number, query) for number, query in enumerate(panel.queries)],
        **({"transformations": [_LABELS_ONLY]} if panel.kind == "table" else {}),
        **({"links": [_link(alert, page(alert)) for alert in panel.alerts]} if panel.alerts else {}),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": panel.unit, "mappings": _UP_OR_DOWN if panel.unit == "bool" else []}
    if panel.unit == "bool":
        found |= {"unit": "short", "thresholds": {"mode": "absolute", "steps": [{"color": "red", "value": None}]}}
    if panel.kind == "timeseries":
        found |= {"min": 0, "custom": {"drawStyle": "line", "fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}}
    return found


def _target(panel: Panel, number: int, query: Query) -> dict[str, Any]:
    is_instant = panel.kind in {"stat", "table"}
    return {
        "refId": chr(ord("A") + number),
        "datasource": _SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "instant": is_instant,
        "range": not is_instant,
        **({"format": "table"} if panel.kind == "table" else {}),
    }


def _link(title: str, file: str) -> dict[str, Any]:
    return {"title": title, "url": f"${{runbooks:raw}}/{file}", "type": "link", "targetBlank": True}


def _to_other_dashboards() -> dict[str, Any]:
    kept = {"includeVars": True, "keepTime": True, "asDropdown": False, "targetBlank": False}
    return {"title": "Isthmus", "type": "dashboards", "tags": ["isthmus"], **kept}


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}


def _runbooks() -> dict[str, Any]:
    """Hidden; the chart replaces its value."""
    value = {"text": RUNBOOKS, "value": RUNBOOKS}
    hidden = {"name": "runbooks", "type": "constant", "hide": 2, "query": RUNBOOKS}
    return {**hidden, "current": value, "options": [{**value, "selected": True}]}


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.of_label})"
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": variable.has_all,
        "includeAll": variable.has_all,
        **({"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}} if variable.has_all else {}),
    }
