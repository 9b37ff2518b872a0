"""IPsecPolicy: the IKE and ESP proposals that an administrator allows, and the lifetimes of keys."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints

from isthmus.model import proposals
from isthmus.model.api.objects import AGE, ApiModel, CustomObject, Kind, PrinterColumn
from isthmus.model.types import cel_rules

# The API server refuses what is not allowed. A policy that it has stored before it knew these rules is understood all
# the same: the controller says in a condition what is wrong with it (core/federation/policy.py).
_PROPOSAL = StringConstraints(pattern=r"^[a-z0-9_]+(-[a-z0-9_]+)*$", max_length=proposals.MAXIMUM_CHARACTERS)
IKEProposal = Annotated[
    str,
    _PROPOSAL,
    Field(json_schema_extra={"pattern": proposals.PATTERNS["IKE"]} | cel_rules(*proposals.rules())),
]
ESPProposal = Annotated[
    str,
    _PROPOSAL,
    Field(json_schema_extra={"pattern": proposals.PATTERNS["ESP"]} | cel_rules(*proposals.rules())),
]
Baseline = Literal["BSI-TR-02102-3", "CNSA-2.0"]
Margin = Annotated[int, Field(ge=10, le=43_200)]
DEFAULT_MARGIN_DIVISOR = 10  # charon's own: a tenth of the rekeying time


class IKE(ApiModel):
    """Parameters of the IKE SA."""

    proposals: Annotated[tuple[IKEProposal, ...], Field(min_length=1, max_length=4)] | None = None
    """IKE proposals in order of preference, in strongSwan's notation: these and no others. If absent, those of the
    baseline, or aes256gcm16-prfsha384-ecp384, each first with -ke1_mlkem768 (hybrid key exchange) and then without."""
    rekey_time_seconds: Annotated[int, Field(ge=300, le=86_400)] = 28_800
    """Time in seconds after which the IKE SA is rekeyed."""
    margin_seconds: Margin | None = None
    """Rekeying begins up to this many seconds earlier, at random, and an IKE SA that could not be rekeyed ends this
    many seconds later. At most 50 % of the time after which it is rekeyed; 10 % if absent."""


class ESP(ApiModel):
    """Parameters of the ESP SAs, which are in transport mode."""

    proposals: Annotated[tuple[ESPProposal, ...], Field(min_length=1, max_length=4)] | None = None
    """ESP proposals in order of preference, in strongSwan's notation. The group gives forward secrecy at every
    rekeying. If absent, those of the baseline, or aes256gcm16-ecp384."""
    rekey_time_seconds: Annotated[int, Field(ge=300, le=86_400)] = 3_600
    """Time in seconds after which the ESP SAs are rekeyed; at most that of the IKE SA."""
    margin_seconds: Margin | None = None
    """As for the IKE SA."""
    replay_window_packets: Annotated[int, Field(ge=64, le=4_096)] = 1_024
    """How many packets a packet may be late, as on a path that reorders, without being taken for a replayed one."""


_LISTS = "has(self.ike.proposals) || has(self.esp.proposals)"
_IKE_ENDS, _ESP_ENDS = (
    f"(self.{part}.rekeyTimeSeconds + (has(self.{part}.marginSeconds) ? self.{part}.marginSeconds : "
    f"self.{part}.rekeyTimeSeconds / {DEFAULT_MARGIN_DIVISOR}))"
    for part in ("ike", "esp")
)
MARGIN_TOO_LARGE = "marginSeconds must be at most 50 % of rekeyTimeSeconds, or keys would be renewed all the time"
ESP_REKEYED_TOO_LATE = "the ESP keys must not outlive the IKE SA: esp.rekeyTimeSeconds <= ike.rekeyTimeSeconds"
ESP_ENDS_TOO_LATE = (
    "the ESP keys must not outlive the IKE SA: rekeyTimeSeconds + marginSeconds of esp must be at most that of ike"
)
CLASSICAL_BESIDES_REQUIRED_HYBRID = (
    "requireHybrid leaves out IKE proposals without hybrid key exchange: list only such with -ke1_mlkem768 or "
    "-ke1_mlkem1024 in ike.proposals, or none at all"
)
LISTS_BESIDES_BASELINE = "a baseline has proposals of its own: name a baseline or proposals, not both"
_RULES = cel_rules(
    ("self.esp.rekeyTimeSeconds <= self.ike.rekeyTimeSeconds", ESP_REKEYED_TOO_LATE),
    (f"{_ESP_ENDS} <= {_IKE_ENDS}", ESP_ENDS_TOO_LATE),
    *(
        (
            f"!has(self.{part}.marginSeconds) || self.{part}.marginSeconds * 2 <= self.{part}.rekeyTimeSeconds",
            f"{part}.{MARGIN_TOO_LARGE}",
        )
        for part in ("ike", "esp")
    ),
    (f"!has(self.baseline) || !({_LISTS})", LISTS_BESIDES_BASELINE),
    (
        "!self.requireHybrid || !has(self.ike.proposals) || "
        f"self.ike.proposals.all(proposal, proposal.contains('{proposals.HYBRID_MARK}'))",
        CLASSICAL_BESIDES_REQUIRED_HYBRID,
    ),
)


class IPsecPolicySpec(ApiModel):
    """Proposals and lifetimes, written by an administrator."""

    model_config = ConfigDict(json_schema_extra=_RULES)
    baseline: Baseline | None = None
    """Instead of lists of proposals, those that follow a published document (docs/security.md): BSI-TR-02102-3, or
    CNSA-2.0, which needs an IKE daemon with ML-KEM in both clouds."""
    require_hybrid: bool = False
    """Whether the key exchange must be hybrid: a classical one and, in addition, ML-KEM (RFC 9370), which a quantum
    computer does not break. IKE proposals without it are left out then, and there is no tunnel where one of the two
    clouds has a strongSwan that cannot do it. Otherwise they are the fallback."""
    ike: IKE = IKE()
    """Parameters of the IKE SA."""
    esp: ESP = ESP()
    """Parameters of the ESP SAs."""
    dpd_delay_seconds: Annotated[int, Field(ge=5, le=300)] = 10
    """Dead peer detection: time in seconds that an idle IKE SA waits before it checks that the peer is alive."""

    @property
    def offered(self) -> proposals.ProposalLists:
        """The proposals that this policy stands for."""
        lists = self.ike.proposals, self.esp.proposals
        return proposals.proposals_of(self.baseline, *lists, require_hybrid=self.require_hybrid)

    @property
    def prefers_hybrid(self) -> bool:
        """Whether it has hybrid proposals that nobody has asked for, and which are useless where none can do them."""
        return self.ike.proposals is None and not self.require_hybrid


class IPsecPolicy(CustomObject):
    """Proposals and lifetimes of IKE and ESP."""

    registration: ClassVar[Kind] = Kind(
        kind="IPsecPolicy",
        plural="ipsecpolicies",
        short_names=("ipsecp",),
        namespaced=False,
        description="IKE and ESP proposals and lifetimes towards peers. Written by an administrator.",
        columns=(
            PrinterColumn(name="Baseline", type="string", path=".spec.baseline"),
            PrinterColumn(name="IKE", type="string", path=".spec.ike.proposals"),
            PrinterColumn(name="ESP", type="string", path=".spec.esp.proposals"),
            PrinterColumn(name="Require-Hybrid", type="boolean", path=".spec.requireHybrid", priority=1),
            PrinterColumn(name="Rekey-IKE", type="integer", path=".spec.ike.rekeyTimeSeconds", priority=1),
            PrinterColumn(name="Rekey-ESP", type="integer", path=".spec.esp.rekeyTimeSeconds", priority=1),
            AGE,
        ),
    )
    spec: IPsecPolicySpec = IPsecPolicySpec()
