"""Whether an event loses traffic: pings over the tunnel, and control pings that tell a starved node from a loss."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from tests.testbed.workload.ping import PingResult, PingRun, StarvedNode
from tests.testbed.workload.tenant import PING_INTERVAL_SECONDS, Stretch

# A machine that is too busy for a node is too busy for a verdict.
_ATTEMPTS: Final = 3


class PacketsLost(AssertionError):
    """Requests were lost, and not because the machine was too busy."""

    def __init__(self, result: PingResult, controls: Sequence[PingResult]) -> None:
        super().__init__(f"lost {result}; control pings {controls}")
        self.result = result


def ping_losing_nothing(
    stretch: Stretch, event: Callable[[], object], tolerated_silence_seconds: float = 0.0
) -> PingResult:
    """Ping over the tunnel every 10 ms during an event and require that all requests are answered.

    Losses within a silence shorter than the tolerated one are accepted. If pings are lost while a node got too little
    time of this machine, the event is repeated, up to three times in all.

    Raises PacketsLost for a loss, and StarvedNode if the machine was too busy each time.
    """
    starved = ""
    for _ in range(_ATTEMPTS):
        try:
            result, controls = _ping_beside_controls(stretch, event)
        except StarvedNode as error:
            starved = str(error)
            continue
        if result.all_answered or result.longest_silence_seconds < tolerated_silence_seconds:
            return result
        lost = PacketsLost(result, controls)
        if not was_starved(result, controls):
            raise lost
        starved = str(lost)
    raise StarvedNode(starved)


def _ping_beside_controls(stretch: Stretch, event: Callable[[], object]) -> tuple[PingResult, list[PingResult]]:
    """Ping over the tunnel, and on all nodes beside it on a path that no process of ours can touch.

    A control ping goes from the node itself to its cloud's servers, through another network card of the same kind.
    """
    federation = stretch.federation
    clouds = dict.fromkeys((*federation.lab.clouds, *(side.cloud for side in federation.both)))
    nodes = [(node, cloud.site) for cloud in clouds for node in cloud.gateways]
    with ExitStack() as controls:
        runs = [
            controls.enter_context(PingRun(node, "ping-control", str(site.server_address.ip), PING_INTERVAL_SECONDS))
            for node, site in nodes
        ]
        result = stretch.ping_during(event)
        return result, [run.stop() for run in runs]


def was_starved(result: PingResult, controls: Sequence[PingResult]) -> bool:
    """Whether a node was so slow meanwhile that it lost packets, or was as silent, without any tunnel."""
    silence = result.longest_silence_seconds
    return any(control.lost > 0 or control.longest_silence_seconds >= silence / 2 for control in controls)
