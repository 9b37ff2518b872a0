"""Alerting rules and dashboards: the chart's templates and the files for Prometheus and Grafana follow from them."""
