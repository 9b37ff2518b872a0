"""Parts of Kubernetes' own objects that values hand through: the API server checks them, the schema their outline."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from isthmus.model.api.objects import wire_name

# What Kubernetes parses as resource.Quantity, in the forms that manifests use.
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")] | Annotated[float, Field(ge=0)]
Labels = dict[str, str]
FreeForm = dict[str, Any]


class ChartModel(BaseModel):
    """A map of the values; unknown keys are errors, docstrings become the comments of values.yaml."""

    model_config = ConfigDict(
        alias_generator=wire_name, populate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class Resources(ChartModel):
    """Requests and limits of one container."""

    requests: dict[str, Quantity] = Field(default_factory=dict)
    """Requested amounts."""
    limits: dict[str, Quantity] = Field(default_factory=dict)
    """Limits. A limit of CPU would delay the detection of failures; none is set by default."""


class Toleration(ChartModel):
    """`tolerations[]` of a pod."""

    key: str | None = None
    """Key of the taint; all keys if absent."""
    operator: Annotated[str | None, Field(pattern="^(Exists|Equal)$")] = None
    """Exists, or Equal to the value."""
    value: str | None = None
    """Value of the taint."""
    effect: Annotated[str | None, Field(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$")] = None
    """Effect of the taint; all effects if absent."""
    toleration_seconds: Annotated[int | None, Field(ge=0)] = None
    """Seconds for which a taint with effect NoExecute is tolerated."""


class SELinuxOptions(ChartModel):
    """`securityContext.seLinuxOptions` of a container."""

    user: str | None = None
    """SELinux user."""
    role: str | None = None
    """SELinux role."""
    type: str | None = None
    """SELinux type."""
    level: str | None = None
    """SELinux level."""
