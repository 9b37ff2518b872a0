"""IPsecPolicy: which IKE and ESP proposals an administrator allows, and for how long keys live."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from isthmus.model.api.objects import AGE, ApiModel, CustomObject, Kind, PrinterColumn

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
    """The IKE SA."""

    proposals: Annotated[tuple[IKEProposal, ...], Field(min_length=1, max_length=4)] = ("aes256gcm16-prfsha384-ecp384",)
    """In order of preference, in strongSwan's notation."""
    rekey_time_seconds: Annotated[int, Field(ge=300, le=86_400)] = 28_800


class ESP(ApiModel):
    """The child SAs, ESP in transport mode."""

    proposals: Annotated[tuple[ESPProposal, ...], Field(min_length=1, max_length=4)] = ("aes256gcm16-ecp384",)
    """In order of preference, in strongSwan's notation; the group gives forward secrecy at every rekeying."""
    rekey_time_seconds: Annotated[int, Field(ge=300, le=86_400)] = 3_600


class IPsecPolicySpec(ApiModel):
    """Proposals and lifetimes."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.esp.rekeyTimeSeconds <= self.ike.rekeyTimeSeconds",
                    "message": "the ESP keys must not outlive the IKE SA: esp.rekeyTimeSeconds <= ike.rekeyTimeSeconds",
                }
            ]
        }
    )
    ike: IKE = IKE()
    esp: ESP = ESP()
    dpd_delay_seconds: Annotated[int, Field(ge=5, le=300)] = 10
    """Dead-peer detection: how long an idle IKE SA waits before it asks."""


class IPsecPolicy(CustomObject):
    """Proposals and lifetimes."""

    registration: ClassVar[Kind] = Kind(
        kind="IPsecPolicy",
        plural="ipsecpolicies",
        short_names=("ipsecp",),
        namespaced=False,
        description="IKE and ESP proposals and lifetimes that an administrator allows towards peers.",
        columns=(
            PrinterColumn(name="IKE", type="string", path=".spec.ike.proposals"),
            PrinterColumn(name="ESP", type="string", path=".spec.esp.proposals"),
            PrinterColumn(name="Rekey-IKE", type="integer", path=".spec.ike.rekeyTimeSeconds", priority=1),
            PrinterColumn(name="Rekey-ESP", type="integer", path=".spec.esp.rekeyTimeSeconds", priority=1),
            AGE,
        ),
    )
    spec: IPsecPolicySpec = IPsecPolicySpec()
