"""Alerting rules and dashboards, evaluated by Prometheus' own tools."""
