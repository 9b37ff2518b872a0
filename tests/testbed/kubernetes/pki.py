"""A certificate authority for a short-lived control plane, with OpenSSL's command line."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_REQUEST: Final = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
# OpenSSL's default configuration would add CA extensions to every certificate.
_BARE_CONFIG: Final = "[req]\ndistinguished_name=subject\n[subject]\n"


class Authority:
    """Issues certificates into one directory; `ca.crt` is its own certificate."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate = directory / "ca.crt"
        if not self.certificate.exists():
            extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,digitalSignature"]
            self._request("ca", "/CN=isthmus-lab-ca", extensions)

    def issue(self, name: str, subject: str, extensions: Sequence[str]) -> tuple[Path, Path]:
        """Issue a certificate and return it with its key."""
        signer = ["-CA", str(self.certificate), "-CAkey", str(self._directory / "ca.key")]
        return self._request(name, subject, extensions, signer)

    def signing_key(self, name: str) -> Path:
        """Create a key for signing service account tokens, unless it exists: issued tokens stay valid."""
        path = self._directory / f"{name}.key"
        if path.exists():
            return path
        # Not `genpkey`: Kubernetes derives the public key from the older format only.
        command = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        return path

    def _request(
        self, name: str, subject: str, extensions: Sequence[str], signer: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        certificate, key = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        files = ["-out", str(certificate), "-keyout", str(key)]
        added = [word for extension in extensions for word in ("-addext", extension)]
        command = [*_REQUEST, *signer, *files, "-days", "30", "-subj", subject, "-config", "/dev/stdin", *added]
        subprocess.run(command, check=True, capture_output=True, text=True, input=_BARE_CONFIG)
        return certificate, key
