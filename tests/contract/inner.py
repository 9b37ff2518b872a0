"""Contract of ports.InnerNetwork, as ports.Netlink shows what it has made."""

from __future__ import annotations

from typing import Protocol

import pytest

from isthmus.model.errors import Conflict
from isthmus.model.node.tunnel import TunnelEnds
from isthmus.ports import InnerNetwork, Netlink

ONE, OTHER = TunnelEnds("240.0.0.2", "240.0.0.3"), TunnelEnds("240.1.2.5", "240.1.2.4")


class InnerTools(Protocol):
    """What administrators do to what we have made, and what of it exists."""

    def inner_exists(self) -> bool:
        """Anything at all."""

    def remove_inner_address(self, ends: TunnelEnds) -> None: ...
    def remove_inner_route(self, ends: TunnelEnds) -> None: ...
    def disable_inner(self) -> None: ...
    def take_inner_name(self) -> None:
        """Make something else that has the name of ours."""


class InnerNetworkContract:
    """Fixtures: `inner`, `netlink`, `tools`."""

    def test_ends_exist_until_removed(self, inner: InnerNetwork, netlink: Netlink, tools: InnerTools) -> None:
        before = netlink.view()
        assert before.inner_ends == frozenset()
        inner.ensure_ends([ONE])
        inner.ensure_ends([ONE, OTHER])
        view = netlink.view()
        assert (view.inner_ends, view.has_inner_leftovers) == (frozenset({ONE, OTHER}), False)
        assert view.addresses == before.addresses, "none that a tunnel could begin at"
        inner.remove_ends_except(frozenset({OTHER}))
        assert netlink.view().inner_ends == {OTHER}
        inner.remove_ends_except(frozenset())
        inner.remove_ends_except(frozenset())
        assert netlink.view() == before
        assert not tools.inner_exists()

    def test_no_ends_leave_nothing(self, inner: InnerNetwork, tools: InnerTools) -> None:
        inner.ensure_ends([])
        assert not tools.inner_exists()

    @pytest.mark.parametrize("damage", ["address", "route", "device"])
    def test_incomplete_ends_are_none_and_are_completed(
        self, inner: InnerNetwork, netlink: Netlink, tools: InnerTools, damage: str
    ) -> None:
        inner.ensure_ends([ONE, OTHER])
        match damage:
            case "address":
                tools.remove_inner_address(ONE)
            case "route":
                tools.remove_inner_route(ONE)
            case "device":
                tools.disable_inner()
        view = netlink.view()
        assert view.inner_ends == ({OTHER} if damage != "device" else frozenset())
        assert view.has_inner_leftovers or damage == "address", "whose route goes with it"
        inner.ensure_ends([ONE, OTHER])
        assert netlink.view().inner_ends == {ONE, OTHER}

    @pytest.mark.parametrize("damage", ["address", "route"])
    def test_incomplete_ends_are_removed(
        self, inner: InnerNetwork, netlink: Netlink, tools: InnerTools, damage: str
    ) -> None:
        inner.ensure_ends([ONE, OTHER])
        (tools.remove_inner_address if damage == "address" else tools.remove_inner_route)(ONE)
        inner.remove_ends_except(frozenset({OTHER}))
        assert netlink.view().inner_ends == {OTHER}
        inner.remove_ends_except(frozenset())
        assert not tools.inner_exists()

    def test_what_others_have_made_is_left_alone(self, inner: InnerNetwork, tools: InnerTools) -> None:
        tools.take_inner_name()
        with pytest.raises(Conflict, match="isinner"):
            inner.ensure_ends([ONE])
        with pytest.raises(Conflict, match="isinner"):
            inner.remove_ends_except(frozenset())
        assert tools.inner_exists()
