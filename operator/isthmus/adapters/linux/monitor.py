"""Changes in this node's kernel, from its netlink notifications."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from pyroute2.netlink import NETLINK_NETFILTER, NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK

from isthmus.model.errors import Unavailable
from isthmus.model.node.host import KernelChange

from .netlink import HEADER, split
from .xfrm import messages as xfrm

_LOG = logging.getLogger(__name__)
_COALESCE_SECONDS = 0.02  # limits the calls during a flood of notifications to fifty per second
_RETRY_SECONDS = 1.0
_MAX_DATAGRAMS = 1_000  # read from one socket before changes are reported
_EVERYTHING: Final = KernelChange(~0)

_XFRM_GROUPS: Final = 1 << 1 | 1 << 2 | 1 << 3  # XFRMNLGRP_EXPIRE, XFRMNLGRP_SA, XFRMNLGRP_POLICY
_XFRM_CHANGES: Final = {
    xfrm.UPDPOLICY: KernelChange.POLICIES,
    xfrm.DELPOLICY: KernelChange.POLICIES,
    xfrm.POLEXPIRE: KernelChange.POLICIES,
    xfrm.FLUSHPOLICY: KernelChange.POLICIES,
    xfrm.NEWSA: KernelChange.ASSOCIATIONS,
    xfrm.UPDSA: KernelChange.ASSOCIATIONS,
    xfrm.EXPIRE: KernelChange.ASSOCIATIONS,
    xfrm.DELSA: KernelChange.ASSOCIATIONS,
    xfrm.FLUSHSA: KernelChange.ASSOCIATIONS,
}
_HOST_GROUPS: Final = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR
_NFTABLES_GROUPS: Final = 1 << 6  # NFNLGRP_NFTABLES
_TABLE_OFFSET: Final = HEADER.size + 4  # behind struct nfgenmsg
_ATTRIBUTE: Final = struct.Struct("=HH")  # struct nlattr: length, type
_TABLE_NAME: Final = 1  # NFTA_TABLE_NAME, and the table's name in whatever is in a table


@dataclass(frozen=True)
class _Subscription:
    """Notifications of one family: how much of each datagram is read, and how it is interpreted."""

    family: int
    groups: int
    read_bytes: int
    change: Callable[[bytes], KernelChange]


class NetlinkMonitor:
    """`ports.KernelMonitor` for the network namespace of the thread that starts it."""

    def __init__(self, nftables_table: str) -> None:
        # Of XFRM notifications only the header is read: those of states contain keys.
        self._subscriptions = (
            _Subscription(xfrm.NETLINK_XFRM, _XFRM_GROUPS, HEADER.size, _xfrm_change),
            _Subscription(NETLINK_ROUTE, _HOST_GROUPS, HEADER.size, lambda _: KernelChange.HOST),
            _Subscription(NETLINK_NETFILTER, _NFTABLES_GROUPS, 1 << 16, partial(_firewall_change, nftables_table)),
        )
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def start(self, changed: Callable[[KernelChange], None]) -> None:
        """Subscribe, and start the thread."""
        self._stopped = threading.Event()
        self._waker = os.eventfd(0, os.EFD_CLOEXEC)
        try:
            selector = self._subscribe()
        except OSError as error:
            os.close(self._waker)
            raise Unavailable(f"netlink notifications: {error}") from error
        run = partial(self._run, selector, changed)
        self._thread = threading.Thread(target=run, name="kernel-monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, after the call that it may be making."""
        if self._thread is None:
            return
        self._stopped.set()
        os.eventfd_write(self._waker, 1)
        self._thread.join()
        os.close(self._waker)
        self._thread = None

    def _subscribe(self) -> selectors.BaseSelector:
        selector = selectors.DefaultSelector()
        try:
            for subscription in self._subscriptions:
                selector.register(_subscribed(subscription), selectors.EVENT_READ, subscription)
        except OSError:
            _close(selector)
            raise
        selector.register(self._waker, selectors.EVENT_READ, None)
        return selector

    def _run(self, selector: selectors.BaseSelector, changed: Callable[[KernelChange], None]) -> None:
        while not self._stopped.is_set():
            try:
                self._report(selector, changed)
            except OSError as error:
                _LOG.warning("kernel notifications failed, subscribing again: %s", error)
                _close(selector)
                selector = self._resubscribe()
                _call(changed, _EVERYTHING)  # notifications were lost in between
        _close(selector)

    def _report(self, selector: selectors.BaseSelector, changed: Callable[[KernelChange], None]) -> None:
        change = KernelChange(0)
        for key, _ in selector.select():
            if key.data is not None and isinstance(key.fileobj, socket.socket):
                change |= _received(key.fileobj, key.data)
        if change and not self._stopped.is_set():
            _call(changed, change)
            self._stopped.wait(_COALESCE_SECONDS)

    def _resubscribe(self) -> selectors.BaseSelector:
        """Subscriptions as before, as soon as that is possible; none once the monitor is stopped."""
        while not self._stopped.wait(_RETRY_SECONDS):
            with suppress(OSError):
                return self._subscribe()
        return selectors.DefaultSelector()


def _subscribed(subscription: _Subscription) -> socket.socket:
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, subscription.family
    )
    try:
        opened.bind((0, subscription.groups))
    except OSError:
        opened.close()
        raise
    return opened


def _received(source: socket.socket, subscription: _Subscription) -> KernelChange:
    """All changes in the notifications that have arrived; of a flood the first ones, for the rest is read next."""
    change = KernelChange(0)
    for _ in range(_MAX_DATAGRAMS):
        try:
            change |= subscription.change(source.recv(subscription.read_bytes))
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            _LOG.debug("netlink notifications were lost: the receive buffer was full")
            change |= _EVERYTHING
    return change


def _call(changed: Callable[[KernelChange], None], change: KernelChange) -> None:
    try:
        changed(change)
    except Exception:  # later changes must still be reported
        _LOG.exception("handling a change in the kernel failed")


def _close(selector: selectors.BaseSelector) -> None:
    for key in list(selector.get_map().values()):
        if isinstance(key.fileobj, socket.socket):
            key.fileobj.close()
    selector.close()


def _xfrm_change(datagram: bytes) -> KernelChange:
    """An added policy does not count, for it removes nothing of ours; a new state may be a takeover by the peer."""
    kind = HEADER.unpack_from(datagram)[1] if len(datagram) >= HEADER.size else 0
    return _XFRM_CHANGES.get(kind, KernelChange(0))


def _firewall_change(table: str, datagram: bytes) -> KernelChange:
    """A datagram holds a message for each object that a transaction changes."""
    ours = any(_table(message) == table for message in split(datagram))
    return KernelChange.FIREWALL if ours else KernelChange(0)


def _table(message: bytes) -> str:
    """The name of the table that a message is about, or empty: it is the first attribute, if there is one."""
    attribute = message[_TABLE_OFFSET:]
    if len(attribute) < _ATTRIBUTE.size:
        return ""
    length, kind = _ATTRIBUTE.unpack_from(attribute)
    return attribute[_ATTRIBUTE.size : length].rstrip(b"\0").decode(errors="replace") if kind == _TABLE_NAME else ""
