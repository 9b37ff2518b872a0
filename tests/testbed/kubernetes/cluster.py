"""A Kubernetes control plane: etcd, kube-apiserver, kube-controller-manager."""

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testbed.assets import Assets
from tests.testbed.host.process import alive, spawn, stop, wait_until
from tests.testbed.kubernetes.pki import Authority

_Flags = dict[str, str | int | Path]

_ETCD_CLIENT: Final = "http://127.0.0.1:2379"
_ETCD_PEER: Final = "http://127.0.0.1:2380"
_SERVICE_ADDRESS: Final = "10.96.0.1"
_START_SECONDS: Final = 180.0
_KUBECTL_SECONDS: Final = 180.0
# Those that every lab needs.
_CONTROLLERS: Final = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "validatingadmissionpolicy-status-controller",
)
# Those for pods.
_POD_CONTROLLERS: Final = (
    "daemonset-controller",
    "deployment-controller",
    "job-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "taint-eviction-controller",
)
_CLIENT: Final = ("keyUsage=digitalSignature", "extendedKeyUsage=clientAuth")


class KubectlError(Exception):
    """kubectl failed; the message is its stderr."""


@dataclass(frozen=True)
class NodeIdentity:
    """The certificate with which a kubelet serves."""

    certificate: Path
    key: Path


class ControlPlane:
    """The Kubernetes of one cloud, in a network namespace of its own (or the caller's).

    With `runs_pods` it has what kubelets and pods need, and no container may be privileged.
    """

    def __init__(
        self,
        assets: Assets,
        directory: Path,
        *,
        addresses: Sequence[str] = ("127.0.0.1",),
        netns: str | None = None,
        port: int = 6443,
        runs_pods: bool = False,
    ) -> None:
        self.addresses = tuple(addresses)
        self.port = port
        self._runs_pods = runs_pods
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
        if self._runs_pods:
            self._start_scheduler()
        wait_until(self._ready, _START_SECONDS, f"Kubernetes in {self._directory} is up", poll_seconds=0.2)

    def stop(self) -> None:
        """Stop everything; the stored objects are kept."""
        # etcd last: an API server that stops waits for its storage.
        stop(self._directory, "kube-scheduler", "kube-controller-manager", "kube-apiserver", grace_seconds=3)
        stop(self._directory, "etcd")

    def stop_serving(self) -> None:
        """Stop the API server alone."""
        stop(self._directory, "kube-apiserver", grace_seconds=3)

    def serve_again(self) -> None:
        """Start the API server after `stop_serving`, and return when it answers."""
        self._start_apiserver()
        wait_until(self._serves, _START_SECONDS, f"API server in {self._directory}", poll_seconds=0.2)

    def node_identity(self, name: str, address: str, kubeconfig: Path) -> NodeIdentity:
        """Issue the certificates of a kubelet; its kubeconfig is written to the path."""
        authority = Authority(self._directory / "pki")
        subject = f"/O=system:nodes/CN=system:node:{name}"
        client = authority.issue(f"{name}-client", subject, _CLIENT)
        self._write_kubeconfig(kubeconfig, self.server_at(self.addresses[0]), *client)
        alternatives = f"subjectAltName=DNS:{name},IP:{address}"
        return NodeIdentity(*authority.issue(name, subject, [alternatives, "extendedKeyUsage=serverAuth"]))

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

    def wait_served(self, *plurals: str) -> None:
        """Wait until the objects of these kinds can be listed, which is a moment after they are established."""

        def served() -> bool:
            try:
                self.kubectl("get", "--all-namespaces", ",".join(plurals))
            except KubectlError:
                return False
            return True

        wait_until(served, _START_SECONDS, f"{', '.join(plurals)} to be served", poll_seconds=0.2)

    def _serves(self) -> bool:
        return self._answers("get", "--raw", "/readyz")

    def _ready(self) -> bool:
        return self._answers("get", "serviceaccount", "default")

    def _answers(self, *question: str) -> bool:
        dead = [name for name in ("etcd", "kube-apiserver") if not alive(self._directory, name)]
        if dead:
            raise RuntimeError(f"{dead[0]} ended immediately, see {self._directory / dead[0]}.log")
        try:
            self.kubectl(*question, "--request-timeout=20s")
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
        for name in ("controller-manager", "scheduler"):
            client = authority.issue(name, f"/CN=system:kube-{name}", _CLIENT)
            self._write_kubeconfig(self._directory / f"{name}.kubeconfig", self.server_at(self.addresses[0]), *client)
        authority.issue("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", _CLIENT)

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
        if self._runs_pods:
            flags |= {
                "authorization-mode": "Node,RBAC",
                "enable-admission-plugins": "NodeRestriction",
                "kubelet-client-certificate": pki / "kubelet-client.crt",
                "kubelet-client-key": pki / "kubelet-client.key",
                "kubelet-certificate-authority": self.ca_certificate,
                "kubelet-preferred-address-types": "InternalIP",
            }
        self._spawn("kube-apiserver", self._assets.kube_apiserver, flags)

    def _start_controller_manager(self) -> None:
        controllers = _CONTROLLERS + (_POD_CONTROLLERS if self._runs_pods else ())
        flags: _Flags = {
            "kubeconfig": self._directory / "controller-manager.kubeconfig",
            "controllers": ",".join(controllers),
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self._directory / "pki" / "service-account.key",
            "root-ca-file": self.ca_certificate,
            "leader-elect": "false",
            "secure-port": 0,
            "profiling": "false",
        }
        self._spawn("kube-controller-manager", self._assets.kube_controller_manager, flags)

    def _start_scheduler(self) -> None:
        flags: _Flags = {
            "kubeconfig": self._directory / "scheduler.kubeconfig",
            "authentication-kubeconfig": self._directory / "scheduler.kubeconfig",
            "authorization-kubeconfig": self._directory / "scheduler.kubeconfig",
            "bind-address": "127.0.0.1",
            "leader-elect": "false",
            "profiling": "false",
        }
        self._spawn("kube-scheduler", self._assets.kube_scheduler, flags)

    def _spawn(self, name: str, program: Path, flags: _Flags) -> None:
        argv: list[str | Path] = [program, *(f"--{flag}={value}" for flag, value in flags.items())]
        spawn(argv, name=name, directory=self._directory, netns=self._netns)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
