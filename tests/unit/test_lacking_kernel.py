"""A kernel without IPsec: said by name, and nothing is made that would be unprotected."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from typing import Any

import pytest

from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.adapters.linux.xfrm.messages import NETLINK_XFRM
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import NODE, attachment


@pytest.fixture
def without_xfrm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a kernel that has neither CONFIG_XFRM_USER nor its module: netlink(7) refuses the protocol."""
    make = socket.socket

    def refuse(family: int, type_: int, protocol: int = 0) -> Any:
        if (family, protocol) == (socket.AF_NETLINK, NETLINK_XFRM):
            raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
        return make(family, type_, protocol)

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.usefixtures("without_xfrm")
def test_without_ipsec_in_the_kernel_there_is_no_tunnel_and_the_node_says_why() -> None:
    harness = AgentHarness()
    harness.new_agent(replace(harness.backends(), xfrm=NetlinkXfrm()))
    harness.kubectl.apply(attachment())
    harness.settle()
    assert not harness.node.ports.tunnels
    assert not harness.node.loaded
    status = harness.get(GatewayNode, NODE).status
    found = condition_of(status.conditions, "Degraded")
    assert found is not None
    assert (found.status, found.reason) == ("True", "Unavailable")
    assert "XFRM: [Errno 93] Protocol not supported, the kernel lacks it: load its module" in found.message
    assert not any(connection.up for connection in status.connections)
    harness.new_agent()
    harness.settle()
    assert [connection.up for connection in harness.get(GatewayNode, NODE).status.connections] == [True]
