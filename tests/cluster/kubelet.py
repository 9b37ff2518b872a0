"""As much of a kubelet as `kubectl logs` needs: it serves what it was given as the log of every container."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.pki import Authority

RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Security context of a container that every namespace admits."""


@contextmanager
def kubelet(plane: ControlPlane, node: str, address: str, log: str) -> Iterator[list[str]]:
    """Serve logs for that node, whose object is created; yields the paths that the API server asks for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(log.encode())

        def log_message(self, format: str, *arguments: object) -> None: ...

    certificate, key = Authority(plane.ca_certificate.parent).issue(
        "kubelet", f"/O=system:nodes/CN=system:node:{node}", [f"subjectAltName=IP:{address}"]
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer((address, 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _make_node(plane, node, address, server.server_address[1])
        try:
            yield asked
        finally:
            server.shutdown()
            plane.kubectl("delete", "node", node)


def _make_node(plane: ControlPlane, name: str, address: str, port: int) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    plane.kubectl("apply", "-f", "-", input=json.dumps(node))
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    set_status(plane, f"node/{name}", status)


def set_status(plane: ControlPlane, name: str, status: dict[str, Any], namespace: str = "default") -> None:
    """Write the status of an object, as the program does that it belongs to."""
    patch = json.dumps({"status": status})
    plane.kubectl("patch", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
