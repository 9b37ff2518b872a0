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

from .accounts import make_node

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

    identity = plane.node_identity(node, address, plane.kubeconfig.with_name(f"{node}.kubeconfig"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    with ThreadingHTTPServer((address, 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status = {
            "addresses": [{"type": "InternalIP", "address": address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_address[1]}},
        }
        make_node(plane, node)
        set_status(plane, f"node/{node}", status)
        try:
            yield asked
        finally:
            server.shutdown()
            plane.kubectl("delete", "node", node)


def set_status(plane: ControlPlane, name: str, status: dict[str, Any], namespace: str = "default") -> None:
    """Write the status of an object, as the program does that it belongs to."""
    patch = json.dumps({"status": status})
    plane.kubectl("patch", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
