"""Ends of tunnels inside ESP tunnel mode: addresses of a dummy device of ours, and the routes between its ends.

A packet that XFRM does not take to the remote gateway goes by the route into the dummy device, where it ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from socket import AF_INET
from typing import Any, Final

from pyroute2.netlink import NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
)
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from isthmus.model.errors import Conflict, NotFound, Unavailable
from isthmus.model.names import INNER_DEVICE
from isthmus.model.node.tunnel import TunnelEnds

from .links import LinkMessage
from .netlink import NetlinkSocket, decoded

_MTU: Final = 65_535  # that of the path counts, which XFRM knows; the device's would limit it
_WHOLE_ADDRESS: Final = 32
_MAIN, _UNICAST, _STATIC, _LINK_SCOPE = 254, 1, 4, 253  # rtnetlink(7): table, type, protocol, scope


class InnerDevice:
    """`ports.InnerNetwork` for the network namespace of the calling thread."""

    def ensure_ends(self, ends: Iterable[TunnelEnds]) -> None:
        """What exists is replaced by the same."""
        wanted = sorted(ends, key=str)
        if not wanted:
            return
        with _kernel() as kernel:
            index = _index(kernel) or _created(kernel)
            kernel.change((RTM_NEWLINK, _link(index, up=True), 0))
            for each in wanted:
                kernel.change((RTM_NEWADDR, _address(index, each.local), NLM_F_CREATE | NLM_F_REPLACE))
                kernel.change((RTM_NEWROUTE, _route(index, each), NLM_F_CREATE | NLM_F_REPLACE))

    def remove_ends_except(self, kept: frozenset[TunnelEnds]) -> None:
        """The device goes with the last of them."""
        with _kernel() as kernel:
            index = _index(kernel)
            if index is None:
                return
            addresses, routes = _addresses(kernel, index), _routes(index)
            for unwanted in routes - kept:
                _delete(kernel, RTM_DELROUTE, _route(index, unwanted))
            for address in addresses - {ends.local for ends in kept}:
                _delete(kernel, RTM_DELADDR, _address(index, address))
            if not kept:
                _delete(kernel, RTM_DELLINK, _link(index))


def ends_on(index: int, addresses: Collection[str]) -> tuple[frozenset[TunnelEnds], bool]:
    """The ends on our device that have both their route and their address, which is one of these; whether it has more.

    A device without any has more than it should, too.
    """
    routes = _routes(index)
    complete = frozenset(ends for ends in routes if ends.local in addresses)
    return complete, not complete or complete != routes or {ends.local for ends in complete} != set(addresses)


def _kernel() -> NetlinkSocket:
    return NetlinkSocket(NETLINK_ROUTE, "rtnetlink")


def _index(kernel: NetlinkSocket) -> int | None:
    """The index of our device; None if there is none. Raises Conflict if another device has its name."""
    request = LinkMessage()
    request["attrs"] = [["IFLA_IFNAME", INNER_DEVICE]]
    try:
        found = decoded(LinkMessage, kernel.get(RTM_GETLINK, request))
    except NotFound:
        return None
    if found is None:
        raise Unavailable(f"rtnetlink: device {INNER_DEVICE} cannot be decoded")
    info = found.get_attr("IFLA_LINKINFO")
    if info is None or info.get_attr("IFLA_INFO_KIND") != "dummy":
        raise Conflict(f"device {INNER_DEVICE} is not ours: rename or remove it")
    return int(found["index"])


def _created(kernel: NetlinkSocket) -> int:
    message = LinkMessage()
    message["attrs"] = [
        ["IFLA_IFNAME", INNER_DEVICE],
        ["IFLA_MTU", _MTU],
        ["IFLA_LINKINFO", {"attrs": [["IFLA_INFO_KIND", "dummy"]]}],
    ]
    with suppress(Conflict):
        kernel.change((RTM_NEWLINK, message, NLM_F_CREATE | NLM_F_EXCL))
    index = _index(kernel)
    if index is None:
        raise Unavailable(f"rtnetlink: device {INNER_DEVICE} was removed while it was made")
    return index


def _link(index: int, *, up: bool = False) -> LinkMessage:
    message = LinkMessage()
    message.update(index=index, flags=IFF_UP if up else 0, change=IFF_UP if up else 0)
    return message


def _address(index: int, address: str) -> Any:
    message = ifaddrmsg()
    message.update(family=AF_INET, prefixlen=_WHOLE_ADDRESS, scope=_LINK_SCOPE, index=index)
    message["attrs"] = [["IFA_LOCAL", address], ["IFA_ADDRESS", address]]
    return message


def _route(index: int, ends: TunnelEnds) -> Any:
    message = rtmsg()
    message.update(family=AF_INET, dst_len=_WHOLE_ADDRESS, table=_MAIN, proto=_STATIC, scope=_LINK_SCOPE, type=_UNICAST)
    message["attrs"] = [["RTA_DST", ends.remote], ["RTA_OIF", index], ["RTA_PREFSRC", ends.local]]
    return message


def _addresses(kernel: NetlinkSocket, index: int) -> set[str]:
    found = (decoded(ifaddrmsg, raw) for raw in kernel.dump(RTM_GETADDR, ifaddrmsg()))
    return {a.get_attr("IFA_LOCAL") for a in found if a is not None and a["index"] == index and a["family"] == AF_INET}


def _routes(index: int) -> frozenset[TunnelEnds]:
    """The routes by our device in the main table, filtered by the kernel: a node may have a great many others."""
    request = rtmsg()
    request.update(family=AF_INET, table=_MAIN)
    request["attrs"] = [["RTA_OIF", index]]
    with _kernel() as kernel:
        kernel.filter_dumps()
        found = [decoded(rtmsg, raw) for raw in kernel.dump(RTM_GETROUTE, request)]
    return frozenset(
        TunnelEnds(route.get_attr("RTA_PREFSRC"), route.get_attr("RTA_DST"))
        for route in found
        if route is not None and route.get_attr("RTA_PREFSRC") and route.get_attr("RTA_DST")
    )


def _delete(kernel: NetlinkSocket, kind: int, message: Any) -> None:
    """Also what has gone by itself with something else, as a route does with its address."""
    with suppress(NotFound):
        kernel.change((kind, message, 0))
