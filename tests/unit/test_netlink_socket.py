"""Requests to this machine's own kernel that need no privilege."""

from __future__ import annotations

import pytest
from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTM_GETLINK

from isthmus.adapters.linux.netlink import NetlinkSocket, decoded
from isthmus.adapters.linux.rtnl import LinkMessage
from isthmus.model.errors import Unavailable

_NO_FAMILY = 63


def test_dump_and_get() -> None:
    with NetlinkSocket(NETLINK_ROUTE, "rtnetlink") as kernel:
        links = {
            link["index"]: link.get_attr("IFLA_IFNAME") for link in _links(kernel.dump(RTM_GETLINK, LinkMessage()))
        }
        assert "lo" in links.values()
        request = LinkMessage()
        request["index"] = index = next(iter(links))
        (answer,) = _links([kernel.get(RTM_GETLINK, request)])
        assert answer.get_attr("IFLA_IFNAME") == links[index]


def _links(dump: list[bytes]) -> list[LinkMessage]:
    return [link for raw in dump if (link := decoded(LinkMessage, raw)) is not None]


def test_error_is_raised_and_the_next_request_succeeds() -> None:
    request = LinkMessage()
    request["index"] = 0x7FFFFFFF
    with NetlinkSocket(NETLINK_ROUTE, "rtnetlink") as kernel:
        with pytest.raises(Unavailable, match="rtnetlink: No such device"):
            kernel.get(RTM_GETLINK, request)
        assert kernel.dump(RTM_GETLINK, LinkMessage())


def test_unsupported_family_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="nothing: "), NetlinkSocket(_NO_FAMILY, "nothing"):
        pass
