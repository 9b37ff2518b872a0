"""A frame in the pipeline, with what accompanies it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .fields import BESIDE_FRAME, IN_FRAME, PAIRS, Bits, Field, Unknown
from .headers import headers

_MPLS = 0x8847
_MPLS_LABEL = (1 << 8 | 64).to_bytes(4)  # label 0, bottom of the stack, time to live 64
_TYPE = slice(12, 14)


@dataclass
class Packet:
    """A frame, its ingress port, its tunnel, and the registers; what was not set is 0."""

    frame: bytes
    beside: dict[str, int] = field(default_factory=dict)

    def get(self, of: Field) -> int:
        """The value of a field; 0 if the frame does not have it."""
        if of.name in IN_FRAME:
            return headers(self.frame).values.get(of.name, 0)
        if of.name in PAIRS:
            high, low = _halves(of)
            return self.beside.get(high, 0) << 32 | self.beside.get(low, 0)
        return self.beside.get(of.name, 0)

    def set(self, of: Field, value: int) -> None:
        """Set a whole field, which the frame must have."""
        if of.name in IN_FRAME:
            place = headers(self.frame).places.get(of.name)
            if place is None:
                raise Unknown(f"setting {of.name} of a frame that does not have it")
            end = place.first + place.octets
            self.frame = self.frame[: place.first] + value.to_bytes(place.octets) + self.frame[end:]
        elif of.name in PAIRS:
            self.beside |= zip(_halves(of), divmod(value, 1 << 32), strict=True)
        elif of.name in BESIDE_FRAME and of.name != "in_port":
            self.beside[of.name] = value
        else:
            raise Unknown(f"setting {of.name}")

    def get_bits(self, of: Bits) -> int:
        """Some bits of a field."""
        return (self.get(of.field) & of.mask) >> of.first

    def set_bits(self, of: Bits, value: int) -> None:
        """Set some bits of a field to the lowest ones of a value."""
        self.set(of.field, self.get(of.field) & ~of.mask | value << of.first & of.mask)

    def push_mpls(self, type_: int) -> None:
        """Add a label, as the outermost one, of an untagged frame."""
        if type_ != _MPLS or "vlan_tci" in headers(self.frame).values or self.frame[_TYPE] == _MPLS.to_bytes(2):
            raise Unknown("a label of another kind, or behind something else than addresses")
        self.frame = self.frame[:12] + type_.to_bytes(2) + _MPLS_LABEL + self.frame[14:]

    def pop_mpls(self, type_: int) -> None:
        """Remove the only label; what follows is of that type."""
        if self.frame[_TYPE] != _MPLS.to_bytes(2):
            raise Unknown("removing a label of a frame that has none")
        self.frame = self.frame[:12] + type_.to_bytes(2) + self.frame[18:]


def _halves(pair: Field) -> tuple[str, str]:
    number = 2 * int(pair.name.removeprefix("xreg"))
    return f"reg{number}", f"reg{number + 1}"
