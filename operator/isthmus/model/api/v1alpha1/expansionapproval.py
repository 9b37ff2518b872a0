"""ExpansionApproval: what an administrator of the receiving cloud decides about one network of a peer."""

from __future__ import annotations

from typing import ClassVar, Literal

from isthmus.model.api.objects import (
    AGE,
    ApiModel,
    Conditions,
    CustomObject,
    Kind,
    ObservedGeneration,
    PrinterColumn,
    ready_column,
)
from isthmus.model.types import Remark


class ExpansionApprovalSpec(ApiModel):
    """Decision about one network that a peer offers. Written by an administrator of the receiving cloud."""

    decision: Literal["Accept", "Refuse"]
    """Accept: the network may be replicated. Refuse: it is not, and one that is connected is disconnected at once; its
    replica is removed when no machine uses it."""
    message: Remark = ""
    """Why it is refused; the tenant at the origin reads it."""


class ExpansionApprovalStatus(ApiModel):
    """What has become of the decision. Written by the controller."""

    observed_generation: ObservedGeneration | None = None
    conditions: Conditions = ()
    """Ready, Progressing and Stalled."""


class ExpansionApproval(CustomObject):
    """Decision about one network that a peer offers."""

    registration: ClassVar[Kind] = Kind(
        kind="ExpansionApproval",
        plural="expansionapprovals",
        short_names=("eapproval",),
        namespaced=True,
        description=(
            "Decision about one network that a peer offers, in the namespace of that peer and with the name of the "
            "network's ExpansionLink. Written by an administrator of the receiving cloud; the peer cannot read it."
        ),
        columns=(
            PrinterColumn(name="Decision", type="string", path=".spec.decision"),
            ready_column(),
            ready_column("Reason", field="reason"),
            ready_column("Message", field="message").model_copy(update={"priority": 1}),
            AGE,
        ),
    )
    spec: ExpansionApprovalSpec
    status: ExpansionApprovalStatus = ExpansionApprovalStatus()
