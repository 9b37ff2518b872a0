"""Which of a node's addresses, as the kernel lists them, can be those of tunnels."""

from __future__ import annotations

from socket import AF_INET, AF_INET6

import pytest
from pyroute2.netlink.rtnl import RTM_NEWADDR
from pyroute2.netlink.rtnl.ifaddrmsg import (
    IFA_F_DEPRECATED,
    IFA_F_PERMANENT,
    IFA_F_SECONDARY,
    IFA_F_TENTATIVE,
    ifaddrmsg,
)

from isthmus.adapters.linux.rtnl import _addresses

LINK = 253
PREFIX_BITS = {AF_INET: 24, AF_INET6: 64}


def listed(address: str, flags: int, scope: int = 0) -> list[str]:
    family = AF_INET6 if ":" in address else AF_INET
    message = ifaddrmsg()
    message.update(family=family, prefixlen=PREFIX_BITS[family], flags=flags, scope=scope, index=7)
    message["attrs"] = [["IFA_ADDRESS", address]] + ([["IFA_LOCAL", address]] if family == AF_INET else [])
    message["header"]["type"] = RTM_NEWADDR
    message.encode()
    return [found for _, found in _addresses([bytes(message.data)])]


@pytest.mark.parametrize(
    ("address", "flags", "usable"),
    [
        ("2001:db8::1", IFA_F_PERMANENT, True),
        ("2001:db8::1", 0, True),
        ("2001:db8::1", IFA_F_SECONDARY, False),
        ("2001:db8::1", IFA_F_TENTATIVE, False),
        ("2001:db8::1", IFA_F_DEPRECATED, False),
        ("192.0.2.1", IFA_F_PERMANENT, True),
        ("192.0.2.1", IFA_F_PERMANENT | IFA_F_SECONDARY, True),
    ],
)
def test_temporary_tentative_and_deprecated_addresses_of_ipv6_are_none(address: str, flags: int, usable: bool) -> None:
    assert listed(address, flags) == ([address] if usable else [])


def test_link_local_addresses_are_none() -> None:
    assert listed("fe80::1", IFA_F_PERMANENT, LINK) == []
