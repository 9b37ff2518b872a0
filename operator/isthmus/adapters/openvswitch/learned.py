"""Addresses that a bridge has learned, through the control socket of ovs-vswitchd: ovs-appctl(8)."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 2


def forget_addresses(ovsdb_socket: str, bridge: str) -> None:
    """Make a bridge flood until it has learned again; the socket must be in the directory of the database's.

    Does nothing if no ovs-vswitchd runs, and logs why it cannot: what was learned expires within 300 s.
    """
    directory = Path(ovsdb_socket.removeprefix("unix:")).parent
    # Its name contains the process ID; that of an earlier ovs-vswitchd may have been left.
    sockets = sorted(directory.glob("ovs-vswitchd*.ctl"), key=lambda path: path.stat().st_mtime_ns)
    if not sockets:
        return
    command = ["ovs-appctl", f"--target={sockets[-1]}", f"--timeout={_TIMEOUT_SECONDS}", "fdb/flush", bridge]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS + 1)
    except (OSError, subprocess.TimeoutExpired) as error:
        _LOG.warning("%s keeps the addresses that it has learned: %s", bridge, error)
        return
    if done.returncode:
        _LOG.warning("%s keeps the addresses that it has learned: %s", bridge, done.stderr.strip()[-500:])
