"""Requests to this machine's own kernel that need no privilege, and interrupted dumps from a scripted one."""

from __future__ import annotations

import socket

import pytest
from pyroute2.netlink import NETLINK_ROUTE, NLM_F_DUMP_INTR, NLMSG_DONE
from pyroute2.netlink.rtnl import RTM_GETLINK

from isthmus.adapters.linux.links import LinkMessage
from isthmus.adapters.linux.netlink import HEADER, NetlinkSocket, decoded
from isthmus.model.errors import NotFound, Unavailable

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
        with pytest.raises(NotFound, match="rtnetlink: No such device"):
            kernel.get(RTM_GETLINK, request)
        assert kernel.dump(RTM_GETLINK, LinkMessage())


def test_unsupported_family_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="nothing: "), NetlinkSocket(_NO_FAMILY, "nothing"):
        pass


class _ScriptedKernel(NetlinkSocket):
    """Answers the dumps one after the other; a dump is the flags of its only object and those of its end."""

    def __init__(self, *dumps: tuple[int, int]) -> None:
        super().__init__(NETLINK_ROUTE, "rtnetlink")
        self._socket, self._kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for sequence, (flags_of_object, flags_of_end) in enumerate(dumps, 1):
            answer = HEADER.pack(HEADER.size, RTM_GETLINK, flags_of_object, sequence, 0)
            self._kernel.send(answer + HEADER.pack(HEADER.size + 4, NLMSG_DONE, flags_of_end, sequence, 0) + bytes(4))

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()
        self._kernel.close()


@pytest.mark.parametrize("interrupted", [(NLM_F_DUMP_INTR, 0), (0, NLM_F_DUMP_INTR)])
def test_interrupted_dump_is_repeated(interrupted: tuple[int, int]) -> None:
    with _ScriptedKernel(interrupted, interrupted, (0, 0)) as kernel:
        (answer,) = kernel.dump(RTM_GETLINK, LinkMessage())
        assert HEADER.unpack_from(answer)[3] == 3


def test_dump_that_is_always_interrupted_is_unavailable() -> None:
    with _ScriptedKernel(*[(NLM_F_DUMP_INTR, 0)] * 10) as kernel, pytest.raises(Unavailable, match="each of 10 dumps"):
        kernel.dump(RTM_GETLINK, LinkMessage())
