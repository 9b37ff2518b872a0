"""Isthmus's agent on one gateway node, with the service account's credential bound to that node as a pod's is."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.kubeconfig import service_account_kubeconfig
from tests.testbed.node.gateway import Gateway

METRICS_PORT: Final = 9091
_NAME: Final = "isthmus-agent"
_ACCOUNTS: Final = "isthmus-gateway"
# They have the prefix of settings, and Isthmus rejects unknown variables with that prefix.
WITHOUT_TEST_VARIABLES: Final = ("env", "--unset=ISTHMUS_LAB", "--unset=ISTHMUS_CACHE", "--unset=ISTHMUS_UML_KERNEL")


class Agent:
    """The agent process of one node."""

    def __init__(self, cloud: Cloud, gateway: Gateway, environment: Path, directory: Path) -> None:
        self.gateway = gateway
        self.python = environment / "bin" / "python"
        self.kubeconfig = directory / f"{gateway.name}.kubeconfig"
        """The credential that it runs with."""
        self._cloud = cloud
        self._settings = directory / f"{gateway.name}.yaml"

    def configure(self, settings: Mapping[str, object]) -> None:
        """Write credential and settings; `settings` are those that all processes of the cloud share."""
        self.renew_credential()
        own = {
            "kubeconfig": str(self.kubeconfig),
            "metrics_address": str(self.gateway.site.gateway_address.ip),
            "metrics_port": METRICS_PORT,
            "node_name": self.gateway.name,
            "vici_socket": "/run/charon.vici",
        }
        self._settings.write_text(json.dumps({**settings, **own}, indent=1))  # JSON is YAML

    def renew_credential(self, namespace: str = _ACCOUNTS) -> None:
        """Write a new credential, of the account in that namespace."""
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(service_account_kubeconfig(self._cloud, namespace, _NAME, self.gateway.name))

    def start(self, command: tuple[str, ...] = (), **environment: str) -> None:
        """Start it; `command` replaces `isthmus agent`."""
        argv = command or (str(self.python), "-m", "isthmus.cli.main", "agent")
        settings = {"ISTHMUS_CONFIG": str(self._settings), "PYTHONUNBUFFERED": "1"}
        self.gateway.spawn([*WITHOUT_TEST_VARIABLES, *argv], name=_NAME, env={**settings, **environment})

    def kill(self) -> None:
        """Kill it with SIGKILL, if it is running."""
        if self.alive():
            self.gateway.kill(_NAME, signal.SIGKILL)
            wait_until(lambda: not self.alive(), 60, "end of the agent")

    def alive(self) -> bool:
        """Whether it is running."""
        return self.gateway.alive(_NAME)

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.gateway.log(_NAME)
