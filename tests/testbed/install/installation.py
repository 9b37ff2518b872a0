"""Isthmus in one cloud of a lab: installed as documented, each process with its own service account."""

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.testbed.assets import Assets
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install import agent
from tests.testbed.install.agent import WITHOUT_TEST_VARIABLES, Agent
from tests.testbed.kubernetes.conditions import wait_for_condition
from tests.testbed.kubernetes.kubeconfig import service_account_kubeconfig
from tests.testbed.node.gateway import Gateway

REPOSITORY: Final = Path(__file__).parents[3]
SYSTEM: Final = "isthmus-system"
IPSEC: Final = "isthmus-ipsec"
CONTROLLER_METRICS_PORT: Final = 9090
RESYNC_SECONDS: Final = 5


class Installation:
    """Isthmus in one cloud: manifests, configuration, one controller process, one agent process on the gateway.

    A second gateway node has an agent of its own, `agent_on`.
    """

    def __init__(self, cloud: Cloud, assets: Assets, directory: Path) -> None:
        self.cloud = cloud
        self._assets = assets
        self._directory = directory / f"isthmus-{cloud.name}"
        self.agent = self._agent(cloud.gateway)

    def install(self) -> None:
        """Apply the manifests and write the configuration; starts no process."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self.cloud.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "deploy"))
        self.clouds_file.write_text(self.cloud.clouds_yaml())
        self._configure_controller()
        self.agent.configure(self._common_settings)

    def agent_on(self, gateway: Gateway) -> Agent:
        """The agent of a further gateway node, configured."""
        added = self._agent(gateway)
        added.configure(self._common_settings)
        return added

    def _agent(self, gateway: Gateway) -> Agent:
        return Agent(self.cloud, gateway, self._assets.agent_env, self._directory)

    @property
    def _common_settings(self) -> dict[str, object]:
        site = self.cloud.site
        return {
            "cloud_id": site.cloud_id,
            "gateway_cidrs": [str(site.wan)],
            "resync_seconds": RESYNC_SECONDS,
        }

    @contextmanager
    def controller_settings(self, **changed: object) -> Iterator[None]:
        """Restart the controller with some settings changed, and after the block with those that it has otherwise."""
        settings = json.loads(self._controller_settings.read_text())
        self._restart_controller({**settings, **changed})
        try:
            yield
        finally:
            self._restart_controller(settings)

    def _restart_controller(self, settings: dict[str, object]) -> None:
        self._controller_settings.write_text(json.dumps(settings, indent=1))
        self.cloud.stop("isthmus-controller")
        self.start_controller()

    def _configure_controller(self) -> None:
        kubeconfig = self.kubeconfig("controller")
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(service_account_kubeconfig(self.cloud, SYSTEM, "isthmus-controller"))
        settings: dict[str, object] = {
            **self._common_settings,
            "kubeconfig": str(kubeconfig),
            "metrics_address": str(self.cloud.site.server_address.ip),
            "metrics_port": CONTROLLER_METRICS_PORT,
            "clouds_file": str(self.clouds_file),
            "openstack_cloud": "isthmus",
            "peer_poll_seconds": 1,
            "absence_grace_seconds": 10,
        }
        self._controller_settings.write_text(json.dumps(settings, indent=1))  # JSON is YAML

    @property
    def _controller_settings(self) -> Path:
        return self._directory / "controller.yaml"

    @property
    def clouds_file(self) -> Path:
        """The controller's OpenStack credential."""
        return self._directory / "clouds.yaml"

    @contextmanager
    def wrong_clouds_file(self, content: str | None) -> Iterator[None]:
        """Replace the content of the clouds file for a while; None removes the file."""
        good = self.clouds_file.read_text()
        if content is None:
            self.clouds_file.unlink()
        else:
            _replace(self.clouds_file, content)
        try:
            yield
        finally:
            _replace(self.clouds_file, good)

    def kubeconfig(self, role: str) -> Path:
        """The credential that the controller or the agent runs with."""
        return self._directory / "controller.kubeconfig" if role == "controller" else self.agent.kubeconfig

    def start_controller(self, command: tuple[str, ...] = (), **environment: str) -> None:
        """Start the controller in the cloud's namespace; `command` replaces `isthmus controller`."""
        python = self._assets.controller_env / "bin" / "python"
        argv = command or (str(python), "-m", "isthmus.cli.main", "controller")
        self.cloud.spawn(
            [*WITHOUT_TEST_VARIABLES, *argv],
            name="isthmus-controller",
            env={"ISTHMUS_CONFIG": str(self._controller_settings), "PYTHONUNBUFFERED": "1", **environment},
        )

    def start_agent(self, command: tuple[str, ...] = (), **environment: str) -> None:
        """Start the agent on the gateway node; `command` replaces `isthmus agent`."""
        self.agent.start(command, **environment)

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
            # Otherwise the next one waits until it has expired: 15 s for every restart.
            self.cloud.kubectl("delete", "lease", "-n", SYSTEM, "isthmus-controller", "--ignore-not-found")
        else:
            self.agent.kill()

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

    def wait_until_ready(self, timeout_seconds: float = 180) -> None:
        """Wait until the gateway node is ready."""
        self.wait_node_ready(self.cloud.gateway, timeout_seconds)

    def wait_node_ready(self, gateway: Gateway, timeout_seconds: float = 180) -> None:
        """Wait until one of several gateway nodes is ready."""
        wait_for_condition(self.cloud, "gatewaynode", gateway.name, timeout_seconds=timeout_seconds)

    def wait_reconciled(self, role: str, times: int, timeout_seconds: float = 180) -> None:
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
            "agent": (site.gateway_address.ip, agent.METRICS_PORT),
        }[role]
        with urlopen(f"http://{address}:{port}/metrics", timeout=60) as reply:
            families = text_string_to_metric_families(reply.read().decode())
        return [sample for family in families for sample in family.samples]

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

    @property
    def api_url(self) -> str:
        """The Kubernetes API as the peer reaches it."""
        return f"https://{self.cloud.site.server_wan_address.ip}:6443"

    def isthmus(self, *arguments: str, directory: str) -> str:
        """Run `kubectl isthmus` as the cloud's administrator, in the cloud's namespace and in a directory."""
        python = self._assets.controller_env / "bin" / "python"
        plugin = ["ip", "netns", "exec", self.cloud.netns, str(python), "-m", "isthmus.plugin.main"]
        environment = {
            "PATH": f"{self._assets.kubectl.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": directory,
            "KUBECONFIG": str(self.cloud.kube.kubeconfig),
        }
        done = subprocess.run(
            [*plugin, *arguments], env=environment, cwd=directory, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            said = done.stderr.strip() or done.stdout
            raise RuntimeError(f"kubectl isthmus {arguments[0]} in {self.cloud.cloud_id}: {said}")
        return done.stdout

    def kubeconfig_for(self, peer_cloud_id: str) -> str:
        """Create the credential for a peer with the documented command."""
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as admin:
            admin.write(self.cloud.kube.kubeconfig.read_text())
            admin.flush()
            python = self._assets.controller_env / "bin" / "python"
            command = [str(python), "-m", "isthmus.cli.main", "peer-kubeconfig", peer_cloud_id, "--server"]
            command.append(self.api_url)
            done = subprocess.run(command, env={"KUBECONFIG": admin.name}, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"peer-kubeconfig {peer_cloud_id}: {done.stderr.strip()}")
        return done.stdout

    def stop(self) -> None:
        """Stop both processes."""
        for role in ("controller", "agent"):
            self.stop_process(role)


def _replace(path: Path, content: str) -> None:
    """Atomically, so that nobody reads half of it."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.rename(path)


def new_psk() -> str:
    """A pre-shared key as administrators should make one: 256 random bits."""
    return secrets.token_hex(32)
