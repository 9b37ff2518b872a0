"""All values of the chart: `values.yaml` and `values.schema.json` are written from these models."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from charts.kubernetes import ChartModel, FreeForm, Labels
from charts.monitoring.pages import RUNBOOKS
from charts.monitoring.values import Dashboards, Rules, Runbooks
from charts.workloads import Agent, Charon, Controller
from isthmus.model.settings import AgentSettings, ControllerSettings
from isthmus.model.types import CIDR_PATTERN

Digest = Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")]
# Settings that follow from other values, or from the pod.
OWN_SETTINGS: Final = frozenset(
    {
        "cloud_id",
        "clouds_file",
        "gateway_cidrs",
        "kubeconfig",
        "metrics_address",
        "metrics_port",
        "node_name",
        "openstack_cloud",
        "ovsdb_socket",
        "vici_socket",
    }
)
SETTINGS: Final = {
    name: schema
    for settings in (ControllerSettings, AgentSettings)
    for name, schema in settings.model_json_schema()["properties"].items()
    if name not in OWN_SETTINGS
}


class Cloud(ChartModel):
    """This cloud in the federation."""

    id: Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", max_length=40)] = ""
    """Required. Name of this cloud in the federation, such as cloud-a: at most 40 lower-case letters, digits and
    dashes. It must not change while networks are stretched."""
    gateway_cidrs: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=CIDR_PATTERN)], ...], Field(max_length=16)
    ] = ()
    """Required. Networks with the addresses of this cloud's gateway nodes, such as [192.0.2.0/24, 2001:db8::/64]."""


class OpenStack(ChartModel):
    """Access to this cloud's OpenStack."""

    clouds_secret: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")] = "isthmus-openstack"  # noqa: S105  the name of a Secret
    """Secret in the namespace of the release whose key `clouds.yaml` holds the credential. Its keys are files in
    /etc/openstack: with a certificate authority of your own, add it as key ca.crt, and `cacert: /etc/openstack/ca.crt`
    to the entry."""
    cloud: Annotated[str, StringConstraints(min_length=1)] = "isthmus"
    """Entry of that file to use."""


class ImageDigests(ChartModel):
    """Digests of the images."""

    controller: Digest = ""
    """Digest of isthmus-controller, sha256:..."""
    agent: Digest = ""
    """Digest of isthmus-agent."""
    charon: Digest = ""
    """Digest of isthmus-charon."""


class Image(ChartModel):
    """Where the images come from."""

    registry: Annotated[str, StringConstraints(pattern=r"^([-.:_/a-zA-Z0-9]*[-._a-zA-Z0-9])?$")] = ""
    """Required if anything runs in pods. Registry and path of the images, such as registry.example.org/isthmus."""
    tag: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]*$", max_length=128)] = ""
    """Tag of the images; the chart's appVersion if empty."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Pull policy of all containers."""
    pull_secrets: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """Names of Secrets with the registry's credential: in isthmus-system, and in isthmus-gateway once the release has
    created it."""
    digests: ImageDigests = ImageDigests()
    """Digests, which take precedence over the tag."""


class APIServer(ChartModel):
    """How pods reach the API server of their cluster."""

    host: Annotated[str, StringConstraints(pattern=r"^[-.:a-zA-Z0-9]*$")] = ""
    """Host of the API server, for gateway nodes without kube-proxy; the cluster's Service `kubernetes` if empty."""
    port: Annotated[int, Field(ge=1, le=65535)] = 6443
    """Port of that host."""


class Definitions(ChartModel):
    """The CustomResourceDefinitions."""

    enabled: bool = True
    """Whether the release contains them, so that `helm upgrade` upgrades them."""
    keep: bool = True
    """Whether `helm uninstall` keeps them. Otherwise it deletes them with all objects of these kinds."""


class Guard(ChartModel):
    """The hook before `helm uninstall`."""

    enabled: bool = True
    """Whether `helm uninstall` is refused while a CloudPeer, a NetworkExpansion or an Attachment exists. The hook only
    reads."""


class NetworkPolicy(ChartModel):
    """The NetworkPolicy of the controller; pods in the host's network (agent, charon) are subject to none."""

    enabled: bool = True
    """Whether to create it. It admits nothing but scrapes of the metrics; what the controller connects to is not
    restricted, because peers and OpenStack can have any address."""
    metrics_from: tuple[FreeForm, ...] = ()
    """Who may read the controller's metrics: entries of `ingress[].from` of a NetworkPolicy."""


class PodMonitor(ChartModel):
    """PodMonitors of the Prometheus Operator."""

    enabled: bool = False
    """Whether to create them. Requires `metrics.agentAddress: node`."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which the Prometheus selects them."""
    interval: Annotated[str, StringConstraints(pattern=r"^[0-9]+(ms|s|m|h)$")] = "30s"
    """Time between two scrapes."""


class Metrics(ChartModel):
    """Metrics of the processes, without TLS and without authentication."""

    controller_port: Annotated[int, Field(ge=1024, le=65535)] = 9090
    """TCP port of the controller's metrics and probes, on the address of its pod."""
    agent_port: Annotated[int, Field(ge=1024, le=65535)] = 9091
    """TCP port of the agent's metrics and probes, on the gateway node."""
    agent_address: Literal["localhost", "node"] = "localhost"
    """Where agents listen: on localhost, or on the node's address, which whoever reaches the node can read."""
    pod_monitor: PodMonitor = PodMonitor()
    """PodMonitors of the Prometheus Operator."""
    rules: Rules = Rules()
    """Alerting rules, as a PrometheusRule of the Prometheus Operator."""
    dashboards: Dashboards = Dashboards()
    """Dashboards for Grafana, in ConfigMaps."""
    runbooks: Runbooks = RUNBOOKS
    """URL of the directory of runbooks to which alerts and dashboards refer: where you publish runbooks/ of the site
    that `make site` writes."""


class Values(ChartModel):
    """All values."""

    cloud: Cloud = Cloud()
    """This cloud in the federation."""
    openstack: OpenStack = OpenStack()
    """Access to this cloud's OpenStack."""
    settings: Annotated[
        dict[str, Any],
        Field(json_schema_extra={"properties": SETTINGS, "additionalProperties": False}),
    ] = {"log_format": "json"}  # noqa: RUF012  pydantic copies it
    """Settings of controller and agents, named as in docs/reference.md, such as log_level. Those that follow from other
    values are not accepted here."""
    image: Image = Image()
    """Where the images come from."""
    api_server: APIServer = APIServer()
    """How pods reach the API server of their cluster."""
    controller: Controller = Controller()
    """The controller."""
    agent: Agent = Agent()
    """The agent on every gateway node."""
    charon: Charon = Charon()
    """strongSwan's charon on every gateway node."""
    crds: Definitions = Definitions()
    """The CustomResourceDefinitions."""
    uninstall_guard: Guard = Guard()
    """The hook before `helm uninstall`."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """The NetworkPolicy of the controller."""
    metrics: Metrics = Metrics()
    """Metrics of the processes."""
