"""docs/examples/gate/haproxy.cfg with the addresses and files of a test, and the real haproxy that runs it."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testbed.host.process import alive, spawn, stop, wait_until
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.pki import Authority

EXAMPLE: Final = Path(__file__).parents[2] / "docs" / "examples" / "gate" / "haproxy.cfg"
_HAPROXY: Final = "/usr/sbin/haproxy"
_PORT: Final = 8443
_PEER: Final = re.compile(r"( +acl from-cloud-b .*?from-cloud-b to-cloud-b\n)", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    status: int
    body: bytes
    client: str
    """Address and port of the client, by which the log names the connection."""


class Gate:
    """One gate before an API server, with a certificate of an authority of its own."""

    def __init__(self, plane: ControlPlane, directory: Path, address: str, peers: Mapping[str, str]) -> None:
        """`peers`: by cloud ID, the addresses from which that peer may come."""
        self.url = f"https://{address}:{_PORT}/isthmus"
        self._address, self._directory = address, directory
        directory.mkdir()
        directory.chmod(0o755)
        authority = Authority(directory / "pki")
        self.ca_certificate = authority.certificate
        extensions = [f"subjectAltName=IP:{address}", "extendedKeyUsage=serverAuth"]
        certificate, key = authority.issue("gate", "/CN=gate", extensions)
        (directory / "gate.pem").write_text(certificate.read_text() + key.read_text())
        (directory / "kubernetes-ca.crt").write_text(plane.ca_certificate.read_text())
        (directory / "empty").mkdir()
        (directory / "haproxy.cfg").write_text(self._configuration(plane, peers))

    def _configuration(self, plane: ControlPlane, peers: Mapping[str, str]) -> str:
        replaced = {
            "bind :8443": f"bind {self._address}:{_PORT}",
            "chroot /var/lib/haproxy": f"chroot {self._directory}/empty",
            "/etc/haproxy/": f"{self._directory}/",
            "127.0.0.1:6443": f"{plane.addresses[0]}:{plane.port}",
        }
        text = EXAMPLE.read_text()
        for documented, ours in replaced.items():
            assert documented in text
            text = text.replace(documented, ours)
        (block,) = _PEER.findall(text)
        blocks = (block.replace("cloud-b", peer).replace("198.51.100.0/24", where) for peer, where in peers.items())
        return text.replace(block, "\n".join(blocks))

    def start(self) -> None:
        """Start it, and return when it listens."""
        command = [_HAPROXY, "-db", "-f", str(self._directory / "haproxy.cfg")]
        spawn(command, name="haproxy", directory=self._directory)
        wait_until(self._listens, 60, f"the gate listens, see {self._directory / 'haproxy.log'}")

    def _listens(self) -> bool:
        assert alive(self._directory, "haproxy"), self.log()
        try:
            socket.create_connection((self._address, _PORT), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it by its process ID."""
        stop(self._directory, "haproxy")

    def log(self) -> str:
        """What it has logged so far; each request is logged at its end."""
        return (self._directory / "haproxy.log").read_text()

    def ask(self, request: bytes, source: str = "") -> Answer:
        """The answer to exactly these bytes, over a connection of its own."""
        with self._connected(source) as connection:
            client = "{}:{}".format(*connection.getsockname())
            connection.sendall(request)
            received = b""
            while part := _received(connection):
                received += part
        head, _, body = received.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]), body, client)

    def logged(self, answer: Answer) -> list[str]:
        """The lines of the log about the connection on which that was answered."""
        return [line for line in self.log().splitlines() if line.startswith(f"{answer.client} ")]

    def _connected(self, source: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.ca_certificate))
        plain = socket.create_connection(
            (self._address, _PORT), timeout=60, source_address=(source or self._address, 0)
        )
        return context.wrap_socket(plain, server_hostname=self._address)


def _received(connection: ssl.SSLSocket) -> bytes:
    try:
        return connection.recv(65_536)
    except ssl.SSLEOFError:  # haproxy closes without TLS' own end after what it takes for no HTTP
        return b""
