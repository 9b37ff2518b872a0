"""Faults, and exactly which alerts fire in each cloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.testbed.install.federation import Federation


@dataclass(frozen=True)
class Fault:
    """A fault, how to undo it, and which alerts fire."""

    name: str
    inject: Callable[[Federation], None]
    heal: Callable[[Federation], None]
    at_a: frozenset[str] = frozenset()
    at_b: frozenset[str] = frozenset()


_NO_TRAFFIC: Final = frozenset({"IsthmusTunnelDown", "IsthmusLinksDown"})

FAULTS: Final = (
    Fault(
        "gateways-disconnected",
        lambda peers: peers.lab.wan.drop_between_gateways(),
        lambda peers: peers.lab.wan.pass_between_gateways(),
        at_a=_NO_TRAFFIC,
        at_b=_NO_TRAFFIC,
    ),
    Fault(
        "api-of-b-unreachable",
        lambda peers: peers.lab.wan.cut_api("b"),
        lambda peers: peers.lab.wan.restore_api("b"),
        at_a=frozenset({"IsthmusPeerNotRead"}),
    ),
    Fault(
        "charon-of-a-killed",
        lambda peers: peers.a.cloud.gateway.charon.kill(),
        lambda peers: peers.a.cloud.gateway.charon.start(),
        at_a=frozenset({"IsthmusCharonDown", "IsthmusIKEDown"}),
    ),
    Fault(
        "agent-of-b-killed",
        lambda peers: peers.b.stop_process("agent"),
        lambda peers: peers.b.start_agent(),
        at_b=frozenset({"IsthmusAgentAbsent", "IsthmusGatewayNotReady"}),
    ),
)
