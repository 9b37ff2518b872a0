"""Isthmus in one cloud of a lab: installed as documented, each process with its own service account."""

import json
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.testbed.assets import Assets
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.kubeconfig import service_account_kubeconfig
from tests.testbed.node.gateway import Gateway

REPOSITORY: Final = Path(__file__).parents[3]
SYSTEM: Final = "isthmus-system"
IPSEC: Final = "isthmus-ipsec"
CONTROLLER_METRICS_PORT: Final = 9090
AGENT_METRICS_PORT: Final = 9091
RESYNC_SECONDS: Final = 5
# They have the prefix of settings, and Isthmus rejects unknown variables with that prefix.
_WITHOUT_TEST_VARIABLES: Final = ("env", "--unset=ISTHMUS_LAB", "--unset=ISTHMUS_CACHE", "--unset=ISTHMUS_UML_KERNEL")


class Installation:
    """Isthmus in one cloud: manifests, configuration, one controller process, one agent process on the gateway."""

    def __init__(self, cloud: Cloud, assets: Assets, directory: Path) -> None:
        self.cloud = cloud
        self._assets = assets
        self._directory = directory / f"isthmus-{cloud.name}"

    def install(self) -> None:
        """Apply the manifests and write the configuration; starts no process."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.cloud.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
        (self._directory / "clouds.yaml").write_text(self.cloud.clouds_yaml())
        for role in ("controller", "agent"):
            self._configure(role)

    def _configure(self, role: str) -> None:
        kubeconfig = self.kubeconfig(role)
        kubeconfig.touch(mode=0o600)
        site = self.cloud.site
        node = site.gateway if role == "agent" else None
        kubeconfig.write_text(service_account_kubeconfig(self.cloud, SYSTEM, f"isthmus-{role}", node))
        settings: dict[str, object] = {
            "cloud_id": site.cloud_id,
            "gateway_cidrs": [str(site.wan)],
            "kubeconfig": str(kubeconfig),
            "resync_seconds": RESYNC_SECONDS,
            "metrics_address": str((site.server_address if role == "controller" else site.gateway_address).ip),
        }
        if role == "controller":
            settings |= {
                "metrics_port": CONTROLLER_METRICS_PORT,
                "clouds_file": str(self._directory / "clouds.yaml"),
                "openstack_cloud": "isthmus",
                "peer_poll_seconds": 1,
                "absence_grace_seconds": 10,
            }
        else:
            settings |= {
                "metrics_port": AGENT_METRICS_PORT,
                "node_name": site.gateway,
                "vici_socket": "/run/charon.vici",
            }
        (self._directory / f"{role}.yaml").write_text(json.dumps(settings, indent=1))  # JSON is YAML

    def kubeconfig(self, role: str) -> Path:
        """The credential that the controller or the agent runs with."""
        return self._directory / f"{role}.kubeconfig"

    def start_controller(self, command: tuple[str, ...] = (), **environment: str) -> None:
        """Start the controller in the cloud's namespace; `command` replaces `isthmus controller`."""
        python = self._assets.controller_env / "bin" / "python"
        argv = command or (str(python), "-m", "isthmus.cli.main", "controller")
        self.cloud.spawn(
            [*_WITHOUT_TEST_VARIABLES, *argv],
            name="isthmus-controller",
            env=self._environment("controller", environment),
        )

    def start_agent(self, command: tuple[str, ...] = (), **environment: str) -> None:
        """Start the agent on the gateway node; `command` replaces `isthmus agent`."""
        python = self._assets.agent_env / "bin" / "python"
        argv = command or (str(python), "-m", "isthmus.cli.main", "agent")
        self.cloud.gateway.spawn(
            [*_WITHOUT_TEST_VARIABLES, *argv], name="isthmus-agent", env=self._environment("agent", environment)
        )

    def _environment(self, role: str, more: Mapping[str, str]) -> dict[str, str]:
        return {"ISTHMUS_CONFIG": str(self._directory / f"{role}.yaml"), "PYTHONUNBUFFERED": "1", **more}

    def start_killed_after(self, role: str, effect: str) -> None:
        """Start a process that is killed after an effect (tests/testbed/install/killed.py)."""
        environment = {"PYTHONPATH": str(REPOSITORY)}
        python = (self._assets.controller_env if role == "controller" else self._assets.agent_env) / "bin" / "python"
        command = (str(python), "-m", "tests.testbed.install.killed", role, effect)
        start = self.start_controller if role == "controller" else self.start_agent
        start(command, **environment)

    def stop_process(self, role: str) -> None:
        """Kill one of both processes with SIGKILL."""
        if role == "controller":
            self.cloud.stop("isthmus-controller", grace_seconds=0)
        elif self.alive(role):
            self.cloud.gateway.kill("isthmus-agent", signal.SIGKILL)
            wait_until(lambda: not self.alive(role), 10, "end of the agent")

    def alive(self, role: str) -> bool:
        """Whether that process is running."""
        return self._place(role).alive(f"isthmus-{role}")

    def log(self, role: str) -> Path:
        """Log file of that process."""
        return self._place(role).log(f"isthmus-{role}")

    def _place(self, role: str) -> Cloud | Gateway:
        return self.cloud if role == "controller" else self.cloud.gateway

    def start(self) -> None:
        """Restart both processes."""
        self.stop()
        self.start_controller()
        self.start_agent()

    def wait_until_ready(self, timeout_seconds: float = 90) -> None:
        """Wait until the gateway node is ready."""
        wait_until(self._gateway_ready, timeout_seconds, f"GatewayNode {self.cloud.site.gateway} to be ready")

    def wait_reconciled(self, role: str, times: int, timeout_seconds: float = 90) -> None:
        """Wait until a started process has completed this number of reconciliations."""

        def reconciled() -> bool:
            with suppress(OSError):
                return sum(s.value for s in self.metrics(role) if s.name == "isthmus_reconciles_total") >= times
            return False

        wait_until(reconciled, timeout_seconds, f"{times} reconciles of the {role}")

    def metrics(self, role: str) -> list[Sample]:
        """Metrics of one of both processes."""
        site = self.cloud.site
        address, port = {
            "controller": (site.server_address.ip, CONTROLLER_METRICS_PORT),
            "agent": (site.gateway_address.ip, AGENT_METRICS_PORT),
        }[role]
        with urlopen(f"http://{address}:{port}/metrics", timeout=10) as reply:
            families = text_string_to_metric_families(reply.read().decode())
        return [sample for family in families for sample in family.samples]

    def _gateway_ready(self) -> bool:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        return "True" in self.cloud.kubectl("get", "gatewaynodes", "-o", f"jsonpath={{range .items[*]}}{path}{{end}}")

    def set_psk(self, peer_cloud_id: str, psk: str) -> None:
        """Store the pre-shared key for a peer."""
        self._set_secret(IPSEC, f"peer-{peer_cloud_id}", "psk", psk)

    def set_peer_kubeconfig(self, peer_cloud_id: str, kubeconfig: str) -> None:
        """Store the credential for a peer's API."""
        self._set_secret(SYSTEM, f"peer-{peer_cloud_id}", "kubeconfig", kubeconfig)

    def _set_secret(self, namespace: str, name: str, key: str, value: str) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": {key: value},
        }
        self.cloud.kubectl("apply", "-f", "-", input=json.dumps(secret))

    def kubeconfig_for(self, peer_cloud_id: str) -> str:
        """Create the credential for a peer with the documented command."""
        server = f"https://{self.cloud.site.server_wan_address.ip}:6443"
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as admin:
            admin.write(self.cloud.kube.kubeconfig.read_text())
            admin.flush()
            python = self._assets.controller_env / "bin" / "python"
            command = [str(python), "-m", "isthmus.cli.main", "peer-kubeconfig", peer_cloud_id, "--server", server]
            done = subprocess.run(command, env={"KUBECONFIG": admin.name}, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"peer-kubeconfig {peer_cloud_id}: {done.stderr.strip()}")
        return done.stdout

    def stop(self) -> None:
        """Stop both processes."""
        for role in ("controller", "agent"):
            self.stop_process(role)


def new_psk() -> str:
    """A pre-shared key as administrators should make one: 256 random bits."""
    return secrets.token_hex(32)
