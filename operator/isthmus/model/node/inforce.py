"""What protects the traffic with a gateway: what its SAs were negotiated for, which may be less than was offered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

EspMode = Literal["Transport", "Tunnel"]
Nat = Literal["None", "Local", "Remote", "Both"]
"""Which of the two gateways is behind NAT, as seen from this one."""


@dataclass(frozen=True)
class InForce:
    """Of one connection. While SAs replace others these are those of the oldest, which the peer may still use.

    Empty, or None, as long as there is no such SA.
    """

    ike_sa: int = 0
    """Charon's own number of the IKE SA: that of one that replaces it is another."""
    ike_cipher: str = ""
    """In the notation of proposals, with the PRF: aes256gcm16-prfsha384."""
    esp_cipher: str = ""
    """Likewise: aes256gcm16."""
    esp_mode: EspMode | None = None
    nat: Nat | None = None
    ike_since: datetime | None = field(default=None, compare=False)
    """When the IKE SA was established. Charon says it in whole seconds: two of its answers may differ by one."""
    esp_since: datetime | None = field(default=None, compare=False)
    """When the oldest child in use was installed, likewise."""
