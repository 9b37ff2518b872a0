"""Daemons that outlive the process that starts them, each in a session of its own.

A daemon is identified by a directory and a name: its output is in `DIRECTORY/NAME.log`, and `DIRECTORY/pids/NAME`
contains its process ID with its start time, so that a reused process ID is never signalled.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, TypeVar

Answer = TypeVar("Answer")

_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class _Record:
    """Fields of `/proc/PID/stat`."""

    pid: int
    state: str
    session: int
    start_ticks: int


def spawn(
    argv: Sequence[str | Path],
    *,
    name: str,
    directory: Path,
    netns: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> int:
    """Start a daemon and return its process ID; `env` is added to the environment of the caller."""
    if alive(directory, name):
        raise RuntimeError(f"{name} is already running, see {_pid_file(directory, name)}")
    command = [str(word) for word in argv]
    if cwd is not None:
        command = ["env", f"--chdir={cwd}", *command]
    if netns is not None:
        command = ["ip", "netns", "exec", netns, *command]
    _pid_file(directory, name).parent.mkdir(parents=True, exist_ok=True)
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        command[0],
        command,
        {**os.environ, **(env or {})},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(directory / f"{name}.log"), log_flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    record = _read_stat(pid)
    start_ticks = record.start_ticks if record else 0
    _pid_file(directory, name).write_text(f"{pid} {start_ticks}\n")
    return pid


def stop(directory: Path, *names: str, grace_seconds: float = 5.0) -> None:
    """Send SIGTERM to all daemons, and SIGKILL to what is left of their sessions after the grace time.

    With a grace time of 0 only SIGKILL is sent.
    """
    sessions = [session for name in names if (session := _session(directory, name)) is not None]
    for member in _members(sessions) if grace_seconds else ():
        _signal(member.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while (left := list(_members(sessions))) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    while left:
        for member in left:
            _signal(member.pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
        left = list(_members(sessions))
    for name in names:
        _pid_file(directory, name).unlink(missing_ok=True)


def alive(directory: Path, name: str) -> bool:
    """Whether the daemon itself is running."""
    known = _load(directory, name)
    if known is None:
        return False
    pid, start_ticks = known
    _reap(pid)
    record = _read_stat(pid)
    return record is not None and record.state != "Z" and record.start_ticks == start_ticks


def names(directory: Path) -> list[str]:
    """Names of the daemons that were started in this directory and not stopped."""
    pids = directory / "pids"
    return sorted(entry.name for entry in pids.iterdir()) if pids.is_dir() else []


def wait_until(predicate: Callable[[], Answer], timeout_seconds: float, what: str, poll_seconds: float = 0.1) -> Answer:
    """Return the first true result of the predicate, or raise a TimeoutError that names what was awaited."""
    deadline = time.monotonic() + timeout_seconds
    while not (answer := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not seen within {timeout_seconds:g} s")
        time.sleep(poll_seconds)
    return answer


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Within the block, handle SIGTERM as a keyboard interrupt, so that everything is torn down."""

    def end(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _pid_file(directory: Path, name: str) -> Path:
    return directory / "pids" / name


def _load(directory: Path, name: str) -> tuple[int, int] | None:
    try:
        pid, start_ticks = _pid_file(directory, name).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid), int(start_ticks)


def _session(directory: Path, name: str) -> int | None:
    """Processes of the daemon's session, which may outlive it: the session ID is not reused while it has a member."""
    known = _load(directory, name)
    if known is None:
        return None
    pid, start_ticks = known
    record = _read_stat(pid)
    return pid if record is None or record.start_ticks == start_ticks else None


def _members(sessions: Sequence[int]) -> Iterator[_Record]:
    if not sessions:
        return
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        if int(entry) in sessions:
            _reap(int(entry))
        record = _read_stat(int(entry))
        if record is not None and record.session in sessions and record.state != "Z":
            yield record


def _read_stat(pid: int) -> _Record | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may contain spaces and brackets: parse what follows the last bracket.
    fields = text[text.rindex(")") + 2 :].split()
    return _Record(pid, state=fields[0], session=int(fields[3]), start_ticks=int(fields[19]))


def _reap(pid: int) -> None:
    """Reap the process if it is a zombie child of ours."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
