"""The rules in the two forms in which they are delivered: a file for Prometheus, and a template of the chart.

`python -m charts.monitoring.rules deploy/prometheus/rules.yaml` writes the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from charts.monitoring.alert import Alert
from charts.monitoring.alerts import ALERTS
from charts.monitoring.pages import RUNBOOKS, page
from charts.monitoring.thresholds import Thresholds
from isthmus.model.api.objects import wire_name

NOTE: Final = "# Generated; do not edit. `make generate` writes it.\n"
_HEAD: Final = """{{- if .Values.metrics.rules.enabled }}
{{- $rules := .Values.metrics.rules }}
{{- $thresholds := $rules.thresholds }}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: isthmus
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "isthmus.labels" . | nindent 4 }}
    {{- with $rules.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  groups:
    - name: isthmus
      rules:
"""
_ALERT_LABELS: Final = """            {{- with $rules.alertLabels }}
            {{- toYaml . | nindent 12 }}
            {{- end }}"""


def native() -> str:
    """A rules file for a Prometheus without the Prometheus Operator, with the default thresholds."""
    defaults = Thresholds().model_dump()
    lines = (f"      {line}" for alert in ALERTS for line in _rule(alert, defaults, RUNBOOKS))
    return NOTE + "groups:\n  - name: isthmus\n    rules:\n" + "\n".join(lines) + "\n"


def template() -> str:
    """The template of the PrometheusRule."""
    rules = "\n".join(line for alert in ALERTS for line in _in_template(alert))
    return f"{{{{/* {NOTE[2:-1]} */}}}}\n{_HEAD}{rules}\n{{{{- end }}}}\n"


def main(path: str) -> None:
    """Write the rules file."""
    Path(path).write_text(native())


def _in_template(alert: Alert) -> Iterator[str]:
    values = {name: f"@{name}@" for name in Thresholds.model_fields}
    yield f'        {{{{- if not (has "{alert.name}" $rules.disabled) }}}}'
    for line in _rule(alert, values, "@runbooks@"):
        text = line.replace("{{", '{{ "{{" }}')  # Prometheus, not Helm, is to read these
        for name in values:
            text = text.replace(f"@{name}@", f"{{{{ $thresholds.{wire_name(name)} }}}}")
        yield "        " + text.replace("@runbooks@", "{{ $.Values.metrics.runbooks }}")
        if line.startswith("    severity:"):
            yield _ALERT_LABELS
    yield "        {{- end }}"


def _rule(alert: Alert, thresholds: Mapping[str, object], runbooks: str) -> Iterator[str]:
    """The lines of one rule in YAML; JSON's strings are strings of YAML."""
    yield f"- alert: {alert.name}"
    yield "  expr: |-"
    yield from (f"    {line}" for line in alert.expression(thresholds).splitlines())
    yield f"  for: {alert.pending_minutes}m"
    yield "  labels:"
    yield f"    severity: {alert.severity}"
    yield "  annotations:"
    yield f"    summary: {json.dumps(alert.summary)}"
    yield f"    description: {json.dumps(alert.description)}"
    yield f"    runbook_url: {json.dumps(f'{runbooks}/{page(alert.name)}')}"


if __name__ == "__main__":
    main(sys.argv[1])
