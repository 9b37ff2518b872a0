"""IPsecPolicy: the IKE and ESP proposals that an administrator allows, and the lifetimes of keys."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from isthmus.model.api.objects import AGE, ApiModel, CustomObject, Kind, PrinterColumn
from isthmus.model.types import cel_rule

# Only authenticated encryption with 256-bit keys and groups of at least 128 bits of strength (RFC 8247,
# BSI TR-02102-3): what is not in these lists is refused by the schema.
IKEProposal = Literal[
    "aes256gcm16-prfsha384-ecp384",
    "aes256gcm16-prfsha384-x25519",
    "aes256gcm16-prfsha512-ecp521",
    "aes256gcm16-prfsha384-modp4096",
]
ESPProposal = Literal["aes256gcm16-ecp384", "aes256gcm16-x25519", "aes256gcm16-ecp521", "aes256gcm16-modp4096"]


class IKE(ApiModel):
    """Parameters of the IKE SA."""

    proposals: Annotated[tuple[IKEProposal, ...], Field(min_length=1, max_length=4)] = ("aes256gcm16-prfsha384-ecp384",)
    """IKE proposals in order of preference, in strongSwan's notation."""
    rekey_time_seconds: Annotated[int, Field(ge=300, le=86_400)] = 28_800
    """Time in seconds after which the IKE SA is rekeyed."""


class ESP(ApiModel):
    """Parameters of the ESP SAs, which are in transport mode."""

    proposals: Annotated[tuple[ESPProposal, ...], Field(min_length=1, max_length=4)] = ("aes256gcm16-ecp384",)
    """ESP proposals in order of preference, in strongSwan's notation. The group gives forward secrecy at every
    rekeying."""
    rekey_time_seconds: Annotated[int, Field(ge=300, le=86_400)] = 3_600
    """Time in seconds after which the ESP SAs are rekeyed; at most that of the IKE SA."""


class IPsecPolicySpec(ApiModel):
    """Proposals and lifetimes, written by an administrator."""

    model_config = ConfigDict(
        json_schema_extra=cel_rule(
            "self.esp.rekeyTimeSeconds <= self.ike.rekeyTimeSeconds",
            "the ESP keys must not outlive the IKE SA: esp.rekeyTimeSeconds <= ike.rekeyTimeSeconds",
        )
    )
    ike: IKE = IKE()
    """Parameters of the IKE SA."""
    esp: ESP = ESP()
    """Parameters of the ESP SAs."""
    dpd_delay_seconds: Annotated[int, Field(ge=5, le=300)] = 10
    """Dead peer detection: time in seconds that an idle IKE SA waits before it checks that the peer is alive."""


class IPsecPolicy(CustomObject):
    """Proposals and lifetimes of IKE and ESP."""

    registration: ClassVar[Kind] = Kind(
        kind="IPsecPolicy",
        plural="ipsecpolicies",
        short_names=("ipsecp",),
        namespaced=False,
        description="IKE and ESP proposals and lifetimes towards peers. Written by an administrator.",
        columns=(
            PrinterColumn(name="IKE", type="string", path=".spec.ike.proposals"),
            PrinterColumn(name="ESP", type="string", path=".spec.esp.proposals"),
            PrinterColumn(name="Rekey-IKE", type="integer", path=".spec.ike.rekeyTimeSeconds", priority=1),
            PrinterColumn(name="Rekey-ESP", type="integer", path=".spec.esp.rekeyTimeSeconds", priority=1),
            AGE,
        ),
    )
    spec: IPsecPolicySpec = IPsecPolicySpec()
