"""The values of the chart that decide when alerts fire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from charts.kubernetes import ChartModel

Seconds = Annotated[int, Field(ge=30, le=86400)]
Percent = Annotated[int, Field(ge=1, le=100)]


class Thresholds(ChartModel):
    """When alerts fire."""

    loop_seconds: Annotated[int, Field(ge=90, le=86400)] = 300
    """Seconds since a loop of a process last ended an iteration, or last completed its work. Loops without work may
    wait for 60 s."""
    reconcile_seconds: Seconds = 600
    """Seconds since a controller last reconciled anything; more than the setting resync_seconds."""
    peer_read_seconds: Seconds = 600
    """Seconds since a peer's links were last read completely."""
    queue_length: Annotated[int, Field(ge=1)] = 100
    """Number of peers and networks that wait to be reconciled."""
    credential_expiry_days: Annotated[int, Field(ge=1, le=365)] = 7
    """Days until the credential ends with which a peer is read."""
    probe_loss_percent: Percent = 5
    """Dataplane probes of a link that are lost, in percent."""
    tunnel_id_use_percent: Percent = 90
    """Tunnel IDs for a peer that are allocated, in percent."""
    unprotected_packets_per_second: Annotated[float, Field(gt=0)] = 1
    """Packets a second that a gateway node drops because ESP does not protect them."""
