"""The operator's own configuration: what a cloud is to itself, and how its processes run.

Read by `cli.configuration` from one YAML file and from environment variables `ISTHMUS_<FIELD>`, which win. One file may
serve both processes. `docs/reference.md` is written from the docstrings and forms below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from .types import CloudID, GatewayCIDR, GatewayName

ENVIRONMENT_PREFIX = "ISTHMUS_"


@dataclass(frozen=True)
class Form:
    """What a value must be, completing the sentence "must be ..."."""

    text: str


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _listed(value: object) -> object:
    """A list as an environment variable holds it: in YAML, of which JSON is a part."""
    try:
        return yaml.safe_load(value) if isinstance(value, str) and value.startswith("[") else value
    except yaml.YAMLError:
        raise ValueError("not a list") from None


class Settings(BaseSettings):
    """Settings of both processes."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", use_attribute_docstrings=True)

    cloud_id: Annotated[CloudID, Form("at most 40 lower-case letters, digits and dashes, such as cloud-a")]
    """Name of this cloud in the federation. Peers know the cloud by it, and everything that Isthmus creates in
    OpenStack is marked with it: it must not change while networks are stretched."""
    gateway_cidrs: Annotated[
        tuple[GatewayCIDR, ...],
        NoDecode,
        BeforeValidator(_listed),
        Field(min_length=1, max_length=16),
        Form("a list of one to 16 IPv4 or IPv6 networks without host bits, such as [192.0.2.0/24, 2001:db8::/64]"),
    ]
    """Networks that contain the addresses of this cloud's gateway nodes. A node's tunnel endpoints are its addresses in
    them, at most one IPv4 and one IPv6 address: the first of each."""
    kubeconfig: Annotated[str | None, Form("the path of a file")] = None
    """Kubeconfig for this cloud's own Kubernetes API. Without it the process uses the service account of its pod."""
    resync_seconds: Annotated[
        float, Field(gt=0, le=3600), Form("a number of seconds, more than 0 and at most 3600")
    ] = 30
    """Seconds between two complete comparisons with the wanted state that no event has triggered. They repair what was
    changed without an event, such as a port deleted in Neutron; shorter intervals cost more API calls."""
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(_upper),
        Form("DEBUG, INFO, WARNING or ERROR, in upper or lower case"),
    ] = "INFO"
    """Lowest severity that is logged. INFO has one line for each change of state."""
    log_format: Annotated[Literal["text", "json"], Form("text or json")] = "text"
    """Format of the lines on standard output: plain text, or one JSON object a line for log collectors."""
    metrics_address: Annotated[str, Form("an IP address of this host, such as 127.0.0.1")] = "127.0.0.1"
    """Address on which `/metrics`, `/livez` and `/readyz` are served, without authentication and without TLS: by
    default to this host only."""
    metrics_port: Annotated[int, Field(ge=0, le=65535), Form("a whole number from 0 to 65535")] = 9090
    """TCP port on which `/metrics`, `/livez` and `/readyz` are served; 0 serves none of them. Processes on one host
    need different ports."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over what the file says, which comes as arguments."""
        return env_settings, init_settings


class ControllerSettings(Settings):
    """Settings of the controller."""

    clouds_file: Annotated[str, Form("the path of a clouds.yaml")] = "/etc/openstack/clouds.yaml"
    """File with the credential for this cloud's own OpenStack, in the format of openstacksdk."""
    openstack_cloud: Annotated[str, Form("the name of an entry of clouds_file")] = "isthmus"
    """Entry of `clouds_file` to use. It must name a region where the catalogue has several."""
    peer_poll_seconds: Annotated[
        float, Field(gt=0, le=600), Form("a number of seconds, more than 0 and at most 600")
    ] = 5
    """Seconds for which each watch of a peer's API lasts, and between two attempts to read a peer that does not answer:
    after an outage of the peer this is how long its return goes unnoticed."""
    absence_grace_seconds: Annotated[float, Field(ge=0, le=86_400), Form("a number of seconds from 0 to 86400")] = 300
    """Seconds for which a link that has disappeared from the peer's complete list still counts as published. They
    protect stretched networks while a peer restores or reinstalls its cluster."""

    expansions_per_namespace: Annotated[int, Field(ge=1, le=10_000), Form("a whole number from 1 to 10000")] = 100
    """Number of NetworkExpansions of one namespace that are considered. Networks that are stretched already stay so."""
    remote_ports_per_network: Annotated[int, Field(ge=0, le=10_000), Form("a whole number from 0 to 10000")] = 0
    """Number of machines of the other clouds that have a port in this cloud's Neutron, on each stretched network: 1000
    suits most. The ports are in the operator's project, whose quota has to allow for them. With 0 there are none."""
    gateway_failover_seconds: Annotated[float, Field(ge=1, le=3600), Form("a number of seconds from 1 to 3600")] = 10
    """Seconds for which a gateway node may be not Ready before its networks move to other nodes. A move interrupts a
    network: shorter times move networks for a restart of Open vSwitch."""
    gateway_return_seconds: Annotated[float, Field(ge=0, le=86_400), Form("a number of seconds from 0 to 86400")] = 300
    """Seconds for which a gateway node must have been usable before the networks that prefer it return to it from other
    nodes, one after the other over a further period of the same length. With 0 they never return by themselves."""


class AgentSettings(Settings):
    """Settings of a gateway node's agent."""

    node_name: Annotated[
        GatewayName, Form("the name of a Kubernetes node: at most 63 lower-case letters, digits, dashes and dots")
    ]
    """Kubernetes node that this agent runs on, as `kubectl get nodes` shows it. The agent's token must be bound to
    this node."""
    ovsdb_socket: Annotated[str, Form("an OVSDB connection, such as unix:/run/openvswitch/db.sock")] = (
        "unix:/run/openvswitch/db.sock"
    )
    """OVSDB server of the node's Open vSwitch. Its directory also holds the OpenFlow sockets of the bridges."""
    vici_socket: Annotated[str, Form("the path of a socket")] = "/run/charon.vici"
    """Unix socket of charon's vici plugin, as in `deploy/strongswan.conf`."""
    bfd_interval_milliseconds: Annotated[
        int, Field(ge=100, le=10_000), Form("a whole number of milliseconds from 100 to 10000")
    ] = 300
    """Milliseconds between two BFD packets of a tunnel (RFC 5880). A tunnel is down after three that are missing:
    shorter intervals detect failures earlier, and mistake a busy node for a dead one more easily."""
    probe_interval_seconds: Annotated[
        float, Field(gt=0, le=60), Form("a number of seconds, more than 0 and at most 60")
    ] = 2
    """Seconds between two dataplane probes of each link, which measure the round trip through the tunnel and decide
    whether the link is up."""
