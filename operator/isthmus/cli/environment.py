"""Which environment variables are settings."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from isthmus.model.settings import ENVIRONMENT_PREFIX

_SERVICE_HOST = "_SERVICE_HOST"


def variable_of(field: str) -> str:
    """The variable that sets a field."""
    return f"{ENVIRONMENT_PREFIX}{field.upper()}"


def own_variables(environment: Mapping[str, str]) -> frozenset[str]:
    """Names of the variables with our prefix, in upper case: they count in any case."""
    return frozenset(name.upper() for name in environment if name.upper().startswith(ENVIRONMENT_PREFIX))


def drop_service_links(environment: MutableMapping[str, str]) -> None:
    """Remove what Kubernetes sets in pods for each Service of the namespace.

    For a Service `isthmus-metrics` that is ISTHMUS_METRICS_SERVICE_HOST, ISTHMUS_METRICS_PORT_9090_TCP_ADDR and others,
    among them ISTHMUS_METRICS_PORT, which would read as a setting.
    https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
    """
    hosts = [name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and name.endswith(_SERVICE_HOST)]
    for service in [host.removesuffix(_SERVICE_HOST) for host in hosts]:
        for name in [name for name in environment if _is_service_link(name, environment[name], service)]:
            del environment[name]


def _is_service_link(name: str, value: str, service: str) -> bool:
    if name == f"{service}_PORT":
        return "://" in value  # a setting of the pod's own wins over the Service's URL
    return name.startswith((f"{service}_SERVICE_", f"{service}_PORT_"))
