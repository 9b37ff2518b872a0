"""Protection against unprotected tunnel packets: installed, and restored as soon as it is missing."""

from __future__ import annotations

import logging
import threading

from isthmus.core.node import diff
from isthmus.model.node.ipsec import BlockPolicy
from isthmus.ports import Xfrm

_LOG = logging.getLogger(__name__)


class Protection:
    """The block policies that the node needs.

    Thread-safe: a monitor restores them without the node loop, which may be waiting for an external system. Every
    method raises ExternalError; blocks that could not be added remain wanted.
    """

    def __init__(self, xfrm: Xfrm) -> None:
        self._xfrm = xfrm
        self._lock = threading.Lock()
        self._wanted: frozenset[BlockPolicy] = frozenset()

    def extend(self, blocks: frozenset[BlockPolicy]) -> None:
        """Require these blocks in addition, and add those that are missing."""
        with self._lock:
            self._wanted |= blocks
            self._add_missing()

    def restore(self) -> bool:
        """Add blocks that are missing; whether there were any."""
        with self._lock:
            missing = self._add_missing()
        if missing:
            _LOG.warning("restored %d XFRM block policies that had been removed or changed", missing)
        return missing > 0

    def limit(self, blocks: frozenset[BlockPolicy]) -> None:
        """Require exactly these blocks, and remove all others of ours."""
        with self._lock:
            self._wanted = blocks
            if unneeded := diff.blocks_to_remove(blocks, self._xfrm.blocks()):
                self._xfrm.remove_blocks(unneeded)

    def _add_missing(self) -> int:
        missing = diff.blocks_to_add(self._wanted, self._xfrm.blocks())
        if missing:
            self._xfrm.add_blocks(missing)
        return len(missing)
