"""This node's addresses and tunnel devices, through rtnetlink(7).

Decoding a complete link takes pyroute2 milliseconds, and a compute node has hundreds. Only links with an address and
tunnels are decoded, and only three of their attributes.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable, Iterator
from socket import AF_INET, AF_INET6
from typing import Any, Final

from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import (
    IFA_F_DADFAILED,
    IFA_F_DEPRECATED,
    IFA_F_SECONDARY,
    IFA_F_TENTATIVE,
    ifaddrmsg,
)
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP

from isthmus.model.names import INNER_DEVICE
from isthmus.model.node.host import NodeAddress, NodeView
from isthmus.model.node.tunnel import TunnelEnds
from isthmus.model.types import MAXIMUM_MTU

from . import inner
from .links import LinkMessage
from .netlink import HEADER, NetlinkSocket, decoded

_OVS_DEVICES: Final = ("vxlan_sys_", "genev_sys_")  # the kernel's side of tunnels that Open vSwitch's database has
_TUNNELS: Final = {"vxlan": "IFLA_VXLAN_PORT", "geneve": "IFLA_GENEVE_PORT"}
_INNER_KIND: Final = "dummy"
_SKIP_STATISTICS: Final = 8  # RTEXT_FILTER_SKIP_STATS
_UNUSABLE: Final = IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TENTATIVE
_TEMPORARY: Final = IFA_F_SECONDARY  # what the flag means in IPv6 (RFC 8981): such an address is replaced every day
_GLOBAL_SCOPE: Final = 0  # RT_SCOPE_UNIVERSE
_INDEX: Final = struct.Struct("=i")
_INDEX_OFFSET: Final = HEADER.size + 4


class RtNetlink:
    """`ports.Netlink` for the network namespace of the calling thread."""

    def view(self) -> NodeView:
        """Two dumps: all addresses, all links; and a third of our routes, if our device has addresses."""
        request = LinkMessage()
        request["attrs"] = [["IFLA_EXT_MASK", _SKIP_STATISTICS]]
        with NetlinkSocket(NETLINK_ROUTE, "rtnetlink") as kernel:
            addresses = list(_addresses(kernel.dump(RTM_GETADDR, ifaddrmsg())))
            links = list(_links(kernel.dump(RTM_GETLINK, request), {index for index, _ in addresses}))
        # A loopback's MTU is 65536.
        mtu = {link["index"]: min(link.get_attr("IFLA_MTU"), MAXIMUM_MTU) for link in links if link["flags"] & IFF_UP}
        ours: int = next((link["index"] for link in links if _is_inner_device(link)), 0)
        inner_ends, has_leftovers = frozenset[TunnelEnds](), False
        if ours:
            inner_ends, has_leftovers = inner.ends_on(ours, {a for index, a in addresses if index == ours})
        found = [NodeAddress(address, mtu[index]) for index, address in addresses if index in mtu and index != ours]
        return NodeView(
            tuple(sorted(found, key=lambda a: a.address)),
            frozenset(_tunnel_udp_ports(links)),
            platform.release(),
            inner_ends,
            has_leftovers,
        )


def _addresses(dump: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Usable addresses, each with the index of its link."""
    for raw in dump:
        message = decoded(ifaddrmsg, raw)
        if message is None or message["family"] not in (AF_INET, AF_INET6) or message["flags"] & _UNUSABLE:
            continue
        if message["family"] == AF_INET6 and (message["scope"] != _GLOBAL_SCOPE or message["flags"] & _TEMPORARY):
            continue
        # On a point-to-point link, IFA_ADDRESS is the other end's.
        if address := message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"):
            yield message["index"], address


def _links(dump: Iterable[bytes], with_address: set[int]) -> Iterator[Any]:
    kinds = [struct.pack("=HH", 4 + len(kind) + 1, 1) + kind.encode() + b"\0" for kind in (*_TUNNELS, _INNER_KIND)]
    for raw in dump:
        if _INDEX.unpack_from(raw, _INDEX_OFFSET)[0] in with_address or any(kind in raw for kind in kinds):
            link = decoded(LinkMessage, raw)
            if link is not None:
                yield link


def _is_inner_device(link: Any) -> bool:
    info = link.get_attr("IFLA_LINKINFO")
    is_dummy = info is not None and info.get_attr("IFLA_INFO_KIND") == _INNER_KIND
    return is_dummy and bool(link.get_attr("IFLA_IFNAME") == INNER_DEVICE)


def _tunnel_udp_ports(links: Iterable[Any]) -> Iterator[int]:
    for link in links:
        info = link.get_attr("IFLA_LINKINFO")
        attribute = _TUNNELS.get(info.get_attr("IFLA_INFO_KIND")) if info else None
        if attribute is None or link.get_attr("IFLA_IFNAME").startswith(_OVS_DEVICES):
            continue
        if port := (info.get_attr("IFLA_INFO_DATA") or info).get_attr(attribute):
            yield port
