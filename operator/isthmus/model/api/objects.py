"""Base classes of custom resources: metadata, conditions, conversion from and to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.model.names import API_VERSION
from isthmus.model.types import Printable, ReasonText, Time

_INITIALISMS = frozenset({"cidr", "dhcp", "dns", "id", "ike", "ip", "mac", "mtu", "rtt", "uid"})


def wire_name(field_name: str) -> str:
    """The field's name in Kubernetes' convention: camelCase with initialisms in capitals (networkID, gatewayCIDRs)."""
    first, *rest = field_name.split("_")
    return first + "".join(_capitalised(word) for word in rest)


def _capitalised(word: str) -> str:
    if word in _INITIALISMS:
        return word.upper()
    if word.removesuffix("s") in _INITIALISMS:
        return word[:-1].upper() + "s"
    return word.capitalize()


class ApiModel(BaseModel):
    """A frozen value in camelCase on the wire. Unknown fields are dropped: a newer cloud may send more."""

    model_config = ConfigDict(
        alias_generator=wire_name,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON form that Kubernetes stores: camelCase, absent instead of null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Condition(ApiModel):
    """`metav1.Condition`: one aspect of the state of an object."""

    type: Annotated[str, Field(max_length=64, min_length=1)]
    """Aspect that this condition is about; docs/conditions.md explains each."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds. Unknown if that cannot be determined."""
    reason: ReasonText
    """Why, in one word that programs can rely on; docs/conditions.md lists all of them."""
    message: Annotated[str, Field(max_length=4096), Printable] = ""
    """Why, in a sentence with the values at hand and what to do."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The `metadata.generation` that the condition was computed from."""
    last_transition_time: Time | None = None
    """Time at which `status` changed last."""


# A list map by `type`, as every reader of conditions expects.
Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


ObservedGeneration = Annotated[
    int,
    Field(ge=0, description="The `metadata.generation` that this status was computed from. Written with every status."),
]


class LocalReference(ApiModel):
    """Reference to an object by name, in a namespace that the field fixes."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
    """Name of the object."""


class ObjectMeta(ApiModel):
    """The part of `metav1.ObjectMeta` that we use."""

    name: str
    namespace: str | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)


class PrinterColumn(BaseModel):
    """One `additionalPrinterColumns` entry; priority 1 is shown by `-o wide` only."""

    name: str
    type: Literal["string", "integer", "boolean", "date"]
    path: str
    priority: int = 0


class Kind(BaseModel):
    """How a custom resource is registered."""

    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool
    description: str
    columns: tuple[PrinterColumn, ...] = ()


def ready_column(name: str = "Ready", condition: str = "Ready", field: str = "status") -> PrinterColumn:
    """A printer column of one condition's status, reason or message."""
    return PrinterColumn(name=name, type="string", path=f'.status.conditions[?(@.type=="{condition}")].{field}')


AGE = PrinterColumn(name="Age", type="date", path=".metadata.creationTimestamp")


class CustomObject(ApiModel):
    """Custom resource: identity, spec, status. Subclasses narrow `spec` and `status`."""

    registration: ClassVar[Kind]
    metadata: ObjectMeta

    @classmethod
    def from_wire(cls, document: Mapping[str, Any]) -> Self:
        """Parse an object as the API server returns it; raises pydantic.ValidationError."""
        return cls.model_validate(document)

    def to_manifest(self) -> dict[str, Any]:
        """apiVersion, kind, name and spec: what server-side apply takes."""
        wire = self.to_wire()
        metadata = {k: v for k, v in wire["metadata"].items() if k in {"name", "namespace"}}
        for key in ("labels", "annotations", "finalizers"):
            if wire["metadata"].get(key):
                metadata[key] = wire["metadata"][key]
        body = {"apiVersion": API_VERSION, "kind": self.registration.kind, "metadata": metadata}
        return body | ({"spec": wire["spec"]} if "spec" in wire else {})


def first_problem(error: ValidationError) -> str:
    """What is wrong with the first field that does not parse, without its value."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def condition_of(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """The condition of that type, if it is there."""
    return next((c for c in conditions if c.type == type_), None)


def finalizers_with(obj: CustomObject, finalizer: str) -> tuple[str, ...]:
    """The object's finalizers and this one."""
    return (*(f for f in obj.metadata.finalizers if f != finalizer), finalizer)


def finalizers_without(obj: CustomObject, finalizer: str) -> tuple[str, ...]:
    """The object's finalizers but for this one."""
    return tuple(f for f in obj.metadata.finalizers if f != finalizer)
