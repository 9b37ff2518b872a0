"""What protects the traffic with a peer's gateway, as a gateway node reports it of the SAs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .documents import Document, age_seconds, text


@dataclass(frozen=True)
class InForce:
    """Of a connection; what is not known is empty or None, all of it with an agent of an earlier release."""

    encapsulation: str = ""
    key_exchange: str = ""
    esp_mode: str = ""
    nat: str = ""
    ike_cipher: str = ""
    esp_cipher: str = ""
    ike_since: str = ""
    esp_since: str = ""
    ike_age_seconds: int | None = None
    esp_age_seconds: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is an SA of which anything is known."""
        return bool(self.ike_cipher or self.esp_cipher)

    def to_document(self) -> dict[str, Any]:
        """Fields of a connection in JSON. Times, of which each reader knows the age."""
        found = {
            "espMode": self.esp_mode,
            "nat": self.nat,
            "ikeCipher": self.ike_cipher,
            "espCipher": self.esp_cipher,
            "ikeSince": self.ike_since,
            "espSince": self.esp_since,
        }
        return {
            "encapsulation": self.encapsulation,
            "keyExchange": self.key_exchange,
            "inForce": found if self.is_known else None,
        }


def in_force(connection: Document, now: datetime | None) -> InForce:
    """What is in force, of a connection in the status of a GatewayNode; without ages if no time is given."""
    return InForce(
        encapsulation=text(connection, "encapsulation"),
        key_exchange=text(connection, "keyExchange"),
        esp_mode=text(connection, "inForce", "espMode"),
        nat=text(connection, "inForce", "nat"),
        ike_cipher=text(connection, "inForce", "ikeCipher"),
        esp_cipher=text(connection, "inForce", "espCipher"),
        ike_since=text(connection, "inForce", "ikeSince"),
        esp_since=text(connection, "inForce", "espSince"),
        ike_age_seconds=age_seconds(now, connection, "inForce", "ikeSince"),
        esp_age_seconds=age_seconds(now, connection, "inForce", "espSince"),
    )
