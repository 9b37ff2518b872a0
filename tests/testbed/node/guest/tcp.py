"""One TCP connection with a payload that both ends hash: `serve ADDRESS PORT` or `send ADDRESS PORT BYTES`.

The server sends the payload back on the same connection, so that both directions are checked; each prints the hash
of what it received, and the client that of what it sent before it.
"""

import hashlib
import os
import socket
import sys
import threading


def receive(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def serve(address: str, port: int) -> None:
    with socket.create_server((address, port)) as server:
        server.settimeout(60)
        connection, _ = server.accept()
    with connection:
        payload = receive(connection)
        connection.sendall(payload)
    print(hashlib.sha256(payload).hexdigest())


def send(address: str, port: int, length: int) -> None:
    payload = os.urandom(length)
    for attempt in range(600):  # the server may have only just been started
        try:
            connection = socket.create_connection((address, port), timeout=60)
            break
        except ConnectionRefusedError:
            if attempt == 599:
                raise
            threading.Event().wait(0.1)
    with connection:
        connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)
        probed = receive(connection)
    print(hashlib.sha256(payload).hexdigest(), hashlib.sha256(probed).hexdigest())


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
