"""The Kubernetes APIs of the peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from isthmus.model.facts.peer import PeerView


class PeerReader(Protocol):
    """Reads the PeerLink and the ExpansionLinks that peers publish for this cloud, with their read-only credentials.

    The peers' servers are not trusted: what they send MUST be bounded in size and time and parsed strictly, and
    redirects MUST NOT be followed. No method waits for a peer or raises: failures are part of a `PeerView`.
    """

    def start(self, changed: Callable[[], None]) -> None:
        """Call `changed`, on any thread, whenever a view changed in what a peer publishes or in whether it can be read.

        `views` has the change when it is called. Called once, before the first `follow`.
        """
        ...

    def stop(self) -> None:
        """End all reading soon; MUST NOT wait for a request in flight."""
        ...

    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None:
        """Read exactly these peers in the background from now on: cloud ID to the content of a kubeconfig.

        Called in every cycle; MUST be cheap if nothing changed. A changed kubeconfig MUST be used from then on, and
        MUST NOT discard what was read with the previous one.
        """
        ...

    def views(self) -> Mapping[str, PeerView]:
        """The last result for each followed peer, by cloud ID; a peer of which there is no result yet is missing.

        After a failed read a view MUST keep the objects of the last successful one and MUST NOT be `complete`: only a
        complete view proves that an object was deleted. What is found when two views are compared MUST NOT depend on
        how much of the peer did not change: see `SharedMapping`.
        """
        ...
