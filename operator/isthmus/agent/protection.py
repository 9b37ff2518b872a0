"""The two fences against unprotected tunnel packets: installed, and restored as soon as one is missing."""

from __future__ import annotations

import logging
import threading

from isthmus.core.node import diff
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.host import KernelChange
from isthmus.model.node.ipsec import BlockPolicy
from isthmus.ports import Firewall, Xfrm

from .firewall import FirewallTable

_LOG = logging.getLogger(__name__)


class Protection:
    """The block policies and the nftables table that the node needs.

    Thread-safe: a monitor restores them without the node loop, which may be waiting for an external system. Every
    method raises ExternalError if the block policies fail; those that could not be added remain wanted. A table that
    fails is a problem of `firewall`: neither fence prevents the other from being installed.
    """

    def __init__(self, xfrm: Xfrm, firewall: Firewall) -> None:
        self._xfrm = xfrm
        self._lock = threading.Lock()
        self._wanted: frozenset[BlockPolicy] = frozenset()
        self.firewall = FirewallTable(firewall)

    def extend(self, blocks: frozenset[BlockPolicy], ruleset: Ruleset) -> None:
        """Require these in addition, and add what is missing."""
        with self._lock:
            self._wanted |= blocks
            try:
                self._add_missing()
            finally:
                self.firewall.extend(ruleset)

    def restore(self, change: KernelChange = KernelChange.POLICIES) -> bool:
        """Add what is missing of what may have changed; whether anything was."""
        with self._lock:
            try:
                missing = self._add_missing() if KernelChange.POLICIES in change else 0
            finally:
                replaced = KernelChange.FIREWALL in change and self.firewall.restore()
        if missing:
            _LOG.warning("restored %d XFRM block policies that had been removed or changed", missing)
        if replaced:
            _LOG.warning("restored the nftables table, which had been removed or changed")
        return missing > 0 or replaced

    def limit(self, blocks: frozenset[BlockPolicy], ruleset: Ruleset) -> None:
        """Require exactly these, and remove everything else of ours."""
        with self._lock:
            self._wanted = blocks
            if unneeded := diff.blocks_to_remove(blocks, self._xfrm.blocks()):
                self._xfrm.remove_blocks(unneeded)
            self.firewall.limit(ruleset)

    def _add_missing(self) -> int:
        missing = diff.blocks_to_add(self._wanted, self._xfrm.blocks())
        if missing:
            self._xfrm.add_blocks(missing)
        return len(missing)
