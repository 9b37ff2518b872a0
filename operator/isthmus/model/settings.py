"""What a cloud is to itself: the operator's own configuration.

Read from the YAML file that ISTHMUS_CONFIG names (by default /etc/isthmus/config.yaml) and from environment variables
ISTHMUS_<FIELD>, which win.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from .types import CloudID, GatewayName, IPv4CIDR


class Settings(BaseSettings):
    """Settings of every process."""

    model_config = SettingsConfigDict(env_prefix="ISTHMUS_", extra="ignore", yaml_file="/etc/isthmus/config.yaml")

    cloud_id: CloudID
    gateway_cidrs: Annotated[tuple[IPv4CIDR, ...], Field(min_length=1, max_length=16)]
    """Addresses of our own gateways: a node's tunnel address is the one of its addresses that lies in here."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    metrics_address: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    """0 turns /metrics off."""
    kubeconfig: str | None = None
    """Absent: the service account of the pod."""
    resync_seconds: Annotated[float, Field(gt=0, le=3600)] = 30

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the mounted file."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


class ControllerSettings(Settings):
    """Settings of the controller."""

    clouds_file: str = "/etc/openstack/clouds.yaml"
    openstack_cloud: str = "isthmus"
    """Entry of the clouds file."""
    peer_poll_seconds: Annotated[float, Field(gt=0, le=600)] = 5
    """How often a peer's API is read where its watch is quiet."""
    absence_grace_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300
    """How long a half that was simply gone from a complete list is still honoured."""


class AgentSettings(Settings):
    """Settings of a gateway node's agent."""

    node_name: GatewayName
    """Name of the Kubernetes node."""
    ovsdb_socket: str = "unix:/run/openvswitch/db.sock"
    vici_socket: str = "/run/charon.vici"
    bfd_interval_milliseconds: Annotated[int, Field(ge=100, le=10_000)] = 300
    probe_interval_seconds: Annotated[float, Field(gt=0, le=60)] = 2
