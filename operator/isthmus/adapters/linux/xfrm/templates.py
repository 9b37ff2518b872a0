"""Policies that demand IPsec: what their templates name (struct xfrm_user_tmpl)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from socket import IPPROTO_ESP
from typing import Final, Literal

from isthmus.model.node.ipsec import ProtectPolicy

from ..netlink import HEADER
from .messages import ALLOW, IN, OUT

_DIRECTIONS: Final[dict[int, Literal["in", "out"]]] = {IN: "in", OUT: "out"}
_HEAD: Final = struct.Struct("=BB")  # direction and action, at the end of struct xfrm_userpolicy_info
_HEAD_OFFSET: Final = HEADER.size + 160
_ATTRIBUTES_OFFSET: Final = HEADER.size + 168
_ATTRIBUTE: Final = struct.Struct("=HH")  # struct nlattr: length, type
_TEMPLATES: Final = 5  # XFRMA_TMPL
_TEMPLATE: Final = struct.Struct("=20xB23xI16x")  # protocol, reqid


def protect_policies(dump: Iterable[bytes]) -> Iterator[ProtectPolicy]:
    """Those of a dump that let packets pass by ESP, one for each template."""
    for raw in dump:
        if len(raw) < _ATTRIBUTES_OFFSET:
            continue
        direction, action = _HEAD.unpack_from(raw, _HEAD_OFFSET)
        if action == ALLOW and direction in _DIRECTIONS:
            for protocol, reqid in _templates(raw[_ATTRIBUTES_OFFSET:]):
                if protocol == IPPROTO_ESP:
                    yield ProtectPolicy(_DIRECTIONS[direction], reqid)


def _templates(attributes: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, offset)
        if not _ATTRIBUTE.size <= length <= len(attributes) - offset:
            return
        if kind == _TEMPLATES:
            content = attributes[offset + _ATTRIBUTE.size : offset + length]
            yield from _TEMPLATE.iter_unpack(content[: len(content) // _TEMPLATE.size * _TEMPLATE.size])
        offset += length + 3 & ~3
