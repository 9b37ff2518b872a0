"""The adapters for a node's kernel fulfil their contracts. Needs neither Open vSwitch nor charon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from isthmus.adapters.linux.monitor import NetlinkMonitor
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.model.names import NFTABLES_TABLE
from isthmus.model.node.host import NodeAddress
from isthmus.ports import KernelMonitor, Netlink, Xfrm
from tests.contract.host import ADDRESS, HostTools, NetlinkContract, XfrmContract
from tests.contract.monitor import MonitorContract
from tests.kernel.host import MTU, NODE, host
from tests.kernel.openvswitch import within


@pytest.fixture
def tools() -> Iterator[HostTools]:
    with host() as tools:
        yield tools


@pytest.fixture
def xfrm() -> Xfrm:
    return within(NODE, NetlinkXfrm())


@pytest.mark.usefixtures("tools")
class TestNetlinkXfrm(XfrmContract):
    pass


@pytest.mark.usefixtures("tools")
class TestNetlinkMonitor(MonitorContract):
    @pytest.fixture
    def monitor(self, tools: HostTools) -> KernelMonitor:
        return within(NODE, NetlinkMonitor(NFTABLES_TABLE))


@pytest.mark.usefixtures("tools")
class TestRtNetlink(NetlinkContract):
    @pytest.fixture
    def netlink(self) -> Netlink:
        return within(NODE, RtNetlink())

    @pytest.fixture
    def address(self) -> NodeAddress:
        return NodeAddress(ADDRESS, MTU)
