"""The command server of a gateway node, and its first process: JSON lines over TCP, standard library only.

Each connection has a process of its own, which enters a network namespace named in the connection's first line
(`{"netns": {"name": null}}` stays in the node's own). Then any number of requests, one a line, each with one reply:

    {"run": {"argv", "input", "timeout_seconds", "env", "cwd"}} -> {"returncode", "stdout", "stderr"}
    {"spawn": {"name", "argv", "log", "env", "cwd"}}            -> {"pid"}
    {"kill": {"name", "signal"}}                                -> {"killed"}
    {"alive": {"name"}}                                         -> {"alive"}
    {"put": {"path", "text", "mode"}}                           -> {}
    {"get": {"path"}}                                           -> {"text"}

A failed request is answered with {"error"}. Background processes are identified by name on every connection.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

RECORDS = Path("/run/exec")
Reply = dict[str, Any]


def enter_netns(name: str | None) -> Reply:
    if name is None:
        return {}
    with open(f"/run/netns/{name}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"cannot enter {name}")
    return {}


def start_ticks(pid: int) -> str | None:
    """Start time of the process, to detect a reused ID; None if it does not exist or is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else fields[19]


def find(name: str) -> int | None:
    try:
        pid, ticks = (RECORDS / name).read_text().split()
    except FileNotFoundError:
        return None
    return int(pid) if start_ticks(int(pid)) == ticks else None


def run(argv: list[str], input: str | None, timeout_seconds: float, env: dict[str, str], cwd: str | None) -> Reply:
    done = subprocess.run(
        argv,
        input=input or "",
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
        env=os.environ | env,
        cwd=cwd,
    )
    return {"returncode": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


def spawn(name: str, argv: list[str], log: str, env: dict[str, str], cwd: str | None) -> Reply:
    if find(name) is not None:
        raise RuntimeError(f"{name} already runs")
    with open(log, "ab") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | env,
            cwd=cwd,
            start_new_session=True,
        )
    (RECORDS / name).write_text(f"{process.pid} {start_ticks(process.pid)}")
    return {"pid": process.pid}


def kill(name: str, signal: int) -> Reply:
    """Signal the process and its session."""
    pid = find(name)
    if pid is not None:
        os.killpg(pid, signal)
    return {"killed": pid is not None}


def alive(name: str) -> Reply:
    return {"alive": find(name) is not None}


def put(path: str, text: str, mode: int) -> Reply:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    os.chmod(path, mode)
    return {}


def get(path: str) -> Reply:
    return {"text": Path(path).read_text(errors="replace")}


OPERATIONS = {"run": run, "spawn": spawn, "kill": kill, "alive": alive, "put": put, "get": get}


def collect_children() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def serve(connection: socket.socket) -> None:
    lines = connection.makefile("rb")

    def answer(request: bytes, operations: dict[str, Any]) -> None:
        try:
            ((operation, arguments),) = json.loads(request).items()
            reply = operations[operation](**arguments)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        connection.sendall(json.dumps(reply).encode() + b"\n")

    answer(lines.readline(), {"netns": enter_netns})
    for line in lines:
        collect_children()
        answer(line, OPERATIONS)


def main(address: str, port: int) -> None:
    RECORDS.mkdir(parents=True, exist_ok=True)
    # Orphans are reparented to this process: let the kernel reap them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server((address, port), backlog=64) as server:
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                try:
                    serve(connection)
                finally:
                    os._exit(0)
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
