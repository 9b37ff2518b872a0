"""A Kubernetes control plane: etcd, kube-apiserver, kube-controller-manager."""

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.testbed.assets import Assets
from tests.testbed.host.process import alive, spawn, stop, wait_until
from tests.testbed.kubernetes.pki import Authority

_Flags = dict[str, str | int | Path]

_ETCD_CLIENT: Final = "http://127.0.0.1:2379"
_ETCD_PEER: Final = "http://127.0.0.1:2380"
_SERVICE_ADDRESS: Final = "10.96.0.1"
_START_SECONDS: Final = 60.0
_KUBECTL_SECONDS: Final = 180.0
# The other controllers are not needed without a kubelet.
_CONTROLLERS: Final = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "validatingadmissionpolicy-status-controller",
)
_CLIENT: Final = ("keyUsage=digitalSignature", "extendedKeyUsage=clientAuth")


class KubectlError(Exception):
    """kubectl failed; the message is its stderr."""


class ControlPlane:
    """The Kubernetes of one cloud, in a network namespace of its own (or the caller's)."""

    def __init__(
        self,
        assets: Assets,
        directory: Path,
        *,
        addresses: Sequence[str] = ("127.0.0.1",),
        netns: str | None = None,
        port: int = 6443,
    ) -> None:
        self.addresses = tuple(addresses)
        self.port = port
        self._assets = assets
        self._directory = directory
        self._netns = netns

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig with the first address."""
        return self.kubeconfig_at(self.addresses[0])

    @property
    def ca_certificate(self) -> Path:
        """CA certificate of the server."""
        return self._directory / "pki" / "ca.crt"

    def kubeconfig_at(self, address: str) -> Path:
        """The administrator's kubeconfig with one of the addresses."""
        return self._directory / f"admin-{address}.kubeconfig"

    def server_at(self, address: str) -> str:
        """The server's URL with one of the addresses."""
        return f"https://{address}:{self.port}"

    def start(self) -> None:
        """Start or restart everything, and return when it works."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._make_credentials()
        self._start_etcd()
        self._start_apiserver()
        # The controller-manager exits if the API server has not created its first roles within ten seconds.
        wait_until(self._serves, _START_SECONDS, f"API server in {self._directory}", poll_seconds=0.2)
        self._start_controller_manager()
        wait_until(self._ready, _START_SECONDS, f"Kubernetes in {self._directory} is up", poll_seconds=0.2)

    def stop(self) -> None:
        """Stop everything; the stored objects are kept."""
        # etcd last: an API server that stops waits for its storage.
        stop(self._directory, "kube-controller-manager", "kube-apiserver", grace_seconds=3)
        stop(self._directory, "etcd")

    def kubectl(self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run kubectl as the administrator, or with another kubeconfig, and return its output."""
        command = [str(self._assets.kubectl), f"--kubeconfig={kubeconfig or self.kubeconfig}"]
        command += [f"--cache-dir={self._directory / 'kubectl-cache'}", *arguments]
        if self._netns:
            command = ["ip", "netns", "exec", self._netns, *command]
        done = subprocess.run(
            command, input=input, capture_output=True, text=True, check=False, timeout=_KUBECTL_SECONDS
        )
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip())
        return done.stdout

    def _serves(self) -> bool:
        return self._answers("get", "--raw", "/readyz")

    def _ready(self) -> bool:
        return self._answers("get", "serviceaccount", "default")

    def _answers(self, *question: str) -> bool:
        dead = [name for name in ("etcd", "kube-apiserver") if not alive(self._directory, name)]
        if dead:
            raise RuntimeError(f"{dead[0]} ended immediately, see {self._directory / dead[0]}.log")
        try:
            self.kubectl(*question, "--request-timeout=2s")
        except KubectlError:
            return False
        return True

    def _make_credentials(self) -> None:
        authority = Authority(self._directory / "pki")
        authority.signing_key("service-account")
        names = [f"IP:{address}" for address in (*self.addresses, "127.0.0.1", _SERVICE_ADDRESS)]
        alternatives = f"subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,{','.join(dict.fromkeys(names))}"
        authority.issue("apiserver", "/CN=kube-apiserver", [alternatives, "extendedKeyUsage=serverAuth"])
        admin = authority.issue("admin", "/O=system:masters/CN=admin", _CLIENT)
        for address in self.addresses:
            self._write_kubeconfig(self.kubeconfig_at(address), self.server_at(address), *admin)
        manager = authority.issue("controller-manager", "/CN=system:kube-controller-manager", _CLIENT)
        own = self._directory / "controller-manager.kubeconfig"
        self._write_kubeconfig(own, self.server_at(self.addresses[0]), *manager)

    def _write_kubeconfig(self, path: Path, server: str, certificate: Path, key: Path) -> None:
        cluster = {"server": server, "certificate-authority-data": _base64(self.ca_certificate)}
        user = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "user"}}],
            "current-context": "lab",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=1))

    def _start_etcd(self) -> None:
        flags: _Flags = {
            "name": "lab",
            "data-dir": self._directory / "etcd",
            "listen-client-urls": _ETCD_CLIENT,
            "advertise-client-urls": _ETCD_CLIENT,
            "listen-peer-urls": _ETCD_PEER,
            "initial-advertise-peer-urls": _ETCD_PEER,
            "initial-cluster": f"lab={_ETCD_PEER}",
            # No durability needed.
            "unsafe-no-fsync": "true",
        }
        self._spawn("etcd", self._assets.etcd, flags)

    def _start_apiserver(self) -> None:
        pki = self._directory / "pki"
        flags: _Flags = {
            "etcd-servers": _ETCD_CLIENT,
            "bind-address": self.addresses[0] if len(self.addresses) == 1 else "0.0.0.0",
            "advertise-address": self.addresses[0],
            "secure-port": self.port,
            "tls-cert-file": pki / "apiserver.crt",
            "tls-private-key-file": pki / "apiserver.key",
            "client-ca-file": self.ca_certificate,
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": pki / "service-account.key",
            "service-account-signing-key-file": pki / "service-account.key",
            "service-cluster-ip-range": "10.96.0.0/24",
            "endpoint-reconciler-type": "none",
            "profiling": "false",
        }
        self._spawn("kube-apiserver", self._assets.kube_apiserver, flags)

    def _start_controller_manager(self) -> None:
        flags: _Flags = {
            "kubeconfig": self._directory / "controller-manager.kubeconfig",
            "controllers": ",".join(_CONTROLLERS),
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self._directory / "pki" / "service-account.key",
            "root-ca-file": self.ca_certificate,
            "leader-elect": "false",
            "secure-port": 0,
            "profiling": "false",
        }
        self._spawn("kube-controller-manager", self._assets.kube_controller_manager, flags)

    def _spawn(self, name: str, program: Path, flags: _Flags) -> None:
        argv: list[str | Path] = [program, *(f"--{flag}={value}" for flag, value in flags.items())]
        spawn(argv, name=name, directory=self._directory, netns=self._netns)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
