"""A stub of Nova's metadata API: it answers with the machine that Neutron's agent has found the request to be of.

    python3 nova.py CLOUD ADDRESS PORT        with the secret that it shares with the agent in METADATA_SECRET

As Nova, it refuses a request without the machine's ID, its project, or the signature of the ID. Standard library only.
"""

import hashlib
import hmac
import os
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("METADATA_SECRET", "").encode()


class Handler(BaseHTTPRequestHandler):
    cloud = ""

    def do_GET(self) -> None:
        instance, project, signature = (
            self.headers.get(name, "") for name in ("X-Instance-ID", "X-Tenant-ID", "X-Instance-ID-Signature")
        )
        expected = hmac.new(SECRET, instance.encode(), hashlib.sha256).hexdigest()
        if instance and project and hmac.compare_digest(expected, signature):
            self._answer(HTTPStatus.OK, f"{self.cloud} {project} {instance}")
        else:
            self._answer(HTTPStatus.FORBIDDEN, "who is asking?")

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    Handler.cloud = sys.argv[1]
    ThreadingHTTPServer((sys.argv[2], int(sys.argv[3])), Handler).serve_forever()
