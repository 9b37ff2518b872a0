"""RabbitMQ for the cloud whose Neutron uses agents; its user is defined in a definitions file."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.testbed.cloud.servers.daemon import accepts, await_server
from tests.testbed.host import process
from tests.testbed.topology import RABBITMQ_PORT

_USER = "neutron"
_VIRTUAL_HOST = "neutron"
_EPMD_PORT = 4369


@dataclass(frozen=True)
class Broker:
    """One broker."""

    directory: Path
    data: Path
    netns: str
    address: IPv4Address
    password: str

    @property
    def url(self) -> str:
        """The transport URL of oslo.messaging."""
        return f"rabbit://{_USER}:{self.password}@{self.address}:{RABBITMQ_PORT}/{_VIRTUAL_HOST}"

    def start(self) -> None:
        """Start the broker and wait until it accepts connections."""
        data = self.data / "rabbitmq"
        (data / "mnesia").mkdir(parents=True)
        (data / "enabled_plugins").write_text("[].")
        (data / "env.conf").touch()
        (data / "definitions.json").write_text(json.dumps(self._definitions()))
        (data / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = {self.address}:{RABBITMQ_PORT}\n"
            f"load_definitions = {data}/definitions.json\n"
            "loopback_users = none\n"
            "log.file = false\n"
            "log.console = true\n"
            "log.console.level = warning\n"
        )
        # The broker would start epmd as a daemon outside its session: start it first, in ours.
        process.spawn(
            ["epmd", "-address", "127.0.0.1", "-port", str(_EPMD_PORT)],
            name="epmd",
            directory=self.directory,
            netns=self.netns,
        )
        # Debian's wrapper in /usr/sbin requires the user rabbitmq; the wrapped script does not.
        process.spawn(
            ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
            name="rabbitmq",
            directory=self.directory,
            netns=self.netns,
            env=self._environment(data),
        )
        await_server(self.directory, "rabbitmq", lambda: accepts(self.address, RABBITMQ_PORT))

    def _environment(self, data: Path) -> dict[str, str]:
        return {
            "HOME": str(data),
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(data / "env.conf"),
            "RABBITMQ_PID_FILE": str(data / "pid"),
            "ERL_EPMD_PORT": str(_EPMD_PORT),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # One scheduler without busy waiting: the broker handles a few messages per second.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +SDcpu 1:1 +A 4 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _definitions(self) -> dict[str, object]:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        return {
            "users": [{"name": _USER, "password": self.password, "tags": "administrator"}],
            "vhosts": [{"name": _VIRTUAL_HOST}],
            "permissions": [{"user": _USER, "vhost": _VIRTUAL_HOST, **everything}],
        }
