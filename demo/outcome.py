"""What the demo requires: that what it claims was observed, that nothing is wrong, and that nothing remains."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from demo.transcript import Transcript
from tests.testbed.host.parallel import at_once
from tests.testbed.host.process import wait_until
from tests.testbed.install.installation import Installation
from tests.testbed.inventory import Inventory, difference_once_settled, take
from tests.testbed.wan.capture import Capture

_REPORTED_SECONDS: Final = 30


def letter(side: Installation) -> str:
    """The cloud's name in sentences."""
    return side.cloud.name.upper()


def require(holds: bool, what: str) -> None:
    """Fail unless what the demo claims was observed."""
    if not holds:
        raise RuntimeError(f"unexpected result: not true that {what}")


def inventories(sides: Sequence[Installation]) -> list[Inventory]:
    """What is in the clouds before the story begins."""
    return at_once(*(partial(take, side.cloud) for side in sides))


def finish(
    sides: Sequence[Installation], before: Sequence[Inventory], capture: Capture, transcript: Transcript, whose: str
) -> None:
    """What was on the WAN, and whether anything remains; fails if that is not what it should be."""
    transcript.heading("Traffic on the WAN during the whole demo")
    transcript.output(capture.summary().table())
    require(capture.summary().esp > 0, "there is ESP on the WAN")
    capture.summary().require_protected()
    _compare(sides, before, transcript, whose)
    show_status(sides, "What the administrators see now", transcript)


def _compare(sides: Sequence[Installation], before: Sequence[Inventory], transcript: Transcript, whose: str) -> None:
    transcript.heading(f"Compare {whose} with their initial state")
    compared = (partial(difference_once_settled, was, side.cloud) for side, was in zip(sides, before, strict=True))
    for side, left in zip(sides, at_once(*compared), strict=True):
        if left:
            raise SystemExit(f"cloud {side.cloud.name} has changed:\n{left}")
    transcript.text(
        f"""Neutron, Keystone, Open vSwitch, XFRM, nftables, network namespaces and Kubernetes objects of {whose} are
        the same as before the peering."""
    )


def show_status(sides: Sequence[Installation], title: str, transcript: Transcript) -> None:
    """What `kubectl isthmus status` says in each cloud; it fails if anything is wrong."""
    transcript.heading(title)
    for side in sides:
        transcript.command(f"kubectl isthmus status            # cloud {letter(side)}")
        transcript.output(answer(side, "status"))


def answer(side: Installation, verb: str) -> str:
    """What `kubectl isthmus` says; raises RuntimeError with it if anything is wrong."""
    with tempfile.TemporaryDirectory() as directory:
        return side.isthmus(verb, directory=directory)


def wait_until_fine(sides: Sequence[Installation]) -> None:
    """Wait until nothing is wrong: what was changed takes some seconds to be reported. Fails with what is wrong."""
    for side in sides:
        with suppress(TimeoutError):
            wait_until(partial(_is_fine, side), _REPORTED_SECONDS, "a status without trouble", poll_seconds=1)
        answer(side, "status")


def _is_fine(side: Installation) -> bool:
    with suppress(RuntimeError):
        return bool(answer(side, "status"))
    return False
