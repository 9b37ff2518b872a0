"""Messages of <linux/xfrm.h>, declared as pyroute2 classes.

Nested structures are flat, with their padding. Addresses, ports and SPIs are big-endian, all else is in host order.
"""

from __future__ import annotations

from typing import Final

from pyroute2.netlink import nlmsg

NETLINK_XFRM: Final = 6

NEWSA, DELSA, GETSA, NEWPOLICY, DELPOLICY, GETPOLICY = range(0x10, 0x16)
ACQUIRE, EXPIRE, UPDPOLICY, UPDSA, POLEXPIRE, FLUSHSA, FLUSHPOLICY = range(0x17, 0x1E)

IN, OUT = 0, 1  # XFRM_POLICY_IN, XFRM_POLICY_OUT
DIRECTION_MASK: Final = 7  # the bits of a policy's index that repeat its direction
ALLOW, BLOCK = 0, 1  # XFRM_POLICY_ALLOW, XFRM_POLICY_BLOCK
UNLIMITED: Final = 0xFFFFFFFFFFFFFFFF  # XFRM_INF
WHOLE_PORT: Final = 0xFFFF  # mask of a port that must be equal

_SELECTOR: Final = (
    ("daddr", "16s"),
    ("saddr", "16s"),
    ("dport", ">H"),
    ("dport_mask", ">H"),
    ("sport", ">H"),
    ("sport_mask", ">H"),
    ("family", "H"),
    ("prefixlen_d", "B"),
    ("prefixlen_s", "B"),
    ("proto", "B"),
    ("__pad_selector", "3x"),
    ("ifindex", "i"),
    ("user", "I"),
)
LIMITS: Final = ("soft_byte_limit", "hard_byte_limit", "soft_packet_limit", "hard_packet_limit")
_LIFETIME: Final = (
    *((name, "Q") for name in LIMITS),
    *((f"{kind}_expires_seconds", "Q") for kind in ("soft_add", "hard_add", "soft_use", "hard_use")),
)
_USED: Final = (("bytes", "Q"), ("packets", "Q"), ("add_time", "Q"), ("use_time", "Q"))


class XfrmMessage(nlmsg):
    """Base class with the attributes of all messages. `none` leaves an attribute undecoded: some contain keys."""

    prefix = "XFRMA_"
    nla_map = (
        (1, "XFRMA_ALG_AUTH", "none"),
        (2, "XFRMA_ALG_CRYPT", "none"),
        (3, "XFRMA_ALG_COMP", "none"),
        (5, "XFRMA_TMPL", "none"),
        (16, "XFRMA_POLICY_TYPE", "none"),
        (18, "XFRMA_ALG_AEAD", "none"),
        (20, "XFRMA_ALG_AUTH_TRUNC", "none"),
        (21, "XFRMA_MARK", "none"),
        (31, "XFRMA_IF_ID", "none"),
    )
    defaults = dict.fromkeys(("daddr", "saddr", "id_daddr", "source"), bytes(16))


class Policy(XfrmMessage):
    """struct xfrm_userpolicy_info"""

    fields = (
        *_SELECTOR,
        *_LIFETIME,
        *_USED,
        ("priority", "I"),
        ("index", "I"),
        ("dir", "B"),
        ("action", "B"),
        ("flags", "B"),
        ("share", "B"),
        ("__pad", "4x"),
    )


class PolicyID(XfrmMessage):
    """struct xfrm_userpolicy_id: identifies a policy by index, or by selector if the index is 0."""

    fields = (*_SELECTOR, ("index", "I"), ("dir", "B"), ("__pad", "3x"))


class State(XfrmMessage):
    """struct xfrm_usersa_info. `source` and `id_daddr` are its addresses, `saddr` and `daddr` its selector's."""

    fields = (
        *_SELECTOR,
        ("id_daddr", "16s"),
        ("spi", ">I"),
        ("id_proto", "B"),
        ("__pad_id", "3x"),
        ("source", "16s"),
        *_LIFETIME,
        *_USED,
        ("replay_window_drops", "I"),
        ("replay_drops", "I"),
        ("integrity_failures", "I"),
        ("seq", "I"),
        ("reqid", "I"),
        ("id_family", "H"),
        ("mode", "B"),
        ("replay_window", "B"),
        ("flags", "B"),
        ("__pad", "7x"),
    )


class StateID(XfrmMessage):
    """struct xfrm_usersa_id"""

    fields = (("daddr", "16s"), ("spi", ">I"), ("family", "H"), ("proto", "B"), ("__pad", "1x"))
