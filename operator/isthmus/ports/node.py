"""Where an agent learns what its node has to do, and where it reports what became of it.

Behind both is the Kubernetes API, or whatever else manages a node. The agent's loop waits for neither of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.report import NodeReport


class IntentSource(Protocol):
    """What this node has to do, read on threads of the source's own."""

    def start(self, changed: Callable[[], None]) -> None:
        """Begin to read, and call `changed`, on any thread, when `latest` has become something else.

        MUST return without waiting. MUST survive outages of whatever it reads from. Does not raise.
        """
        ...

    def stop(self) -> None:
        """Stop reading soon; MUST NOT wait for a request in flight."""
        ...

    def latest(self) -> NodeInputs | None:
        """The complete inputs as last read; None before the first time. MUST return at once, and does not raise.

        MUST be the same object as before unless there is something else to plan from: statuses alone are no reason.
        During an outage it MUST stay what it was: to leave something out would have it removed from the node.
        """
        ...


class ReportSink(Protocol):
    """Takes the node's reports, and writes them on a thread of its own."""

    def start(self) -> None:
        """Begin to write. MUST return without waiting, and does not raise."""
        ...

    def stop(self) -> None:
        """Stop writing soon; MUST NOT wait for a request in flight. Reports that were not written MAY be lost."""
        ...

    def publish(self, report: NodeReport) -> None:
        """Write this report in place of an earlier one that has not been written yet.

        MUST return at once, and does not raise. Only what differs from what was written last SHOULD be written, at a
        bounded rate: thousands of links may go up and down together. Failed writes MUST be repeated.
        """
        ...
