"""A cloud's Neutron: its configuration, for servers and for agents, and its server processes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.testbed.cloud.servers import ini
from tests.testbed.cloud.servers.daemon import await_server
from tests.testbed.cloud.servers.keystone import answers, uwsgi
from tests.testbed.cloud.servers.ovn import OvnCentral
from tests.testbed.host import process
from tests.testbed.topology import NEUTRON_PORT, WAN_MTU, Site

_UNCHANGED: Final[ini.Sections] = {}
_MAINTENANCE: Final = "neutron-ovn-maintenance-worker"
# With OVN, Neutron has no agents and sends no messages.
_NO_BROKER: Final = "fake://"
_TUNNEL_IDS: Final = {"a": "1000:1999", "b": "5000:5999", "c": "8000:8999"}


@dataclass(frozen=True)
class Neutron:
    """One cloud's servers; `ovn` is its OVN, or None with agents."""

    site: Site
    environment: Path
    directory: Path
    data: Path
    netns: str | None
    database_url: str
    password: str
    broker_url: str | None
    ovn: OvnCentral | None

    @property
    def configuration(self) -> Path:
        """The servers' configuration file."""
        return self.directory / "neutron.conf"

    def configure(self, changes: ini.Sections = _UNCHANGED) -> None:
        """Write the servers' configuration, with changes of a test."""
        (self.data / "neutron").mkdir(exist_ok=True)
        back_end = self._ovn_sections(self.ovn) if self.ovn else self._ovs_sections()
        sections = ini.merge(self._common_sections(self.data / "neutron"), self._server_sections(), back_end, changes)
        self.configuration.write_text(ini.render(sections))

    def agent_configuration(self, host: str, *layers: ini.Sections) -> str:
        """Content of an agent's configuration file on a gateway node."""
        own = {"DEFAULT": {"host": host}}
        return ini.render(ini.merge(self._common_sections(Path("/run/neutron")), own, *layers))

    def start(self) -> None:
        """Start the servers and wait until the API answers."""
        name = "neutron-api" if self._is_under_uwsgi else "neutron-server"
        if self._is_under_uwsgi:
            self._start_api()
            self._spawn(_MAINTENANCE)
        else:
            self._spawn("neutron-server")
        await_server(self.directory, name, lambda: answers(self.site.network_url))

    def restart(self, changes: ini.Sections = _UNCHANGED) -> None:
        """Stop the servers, and start them with another configuration."""
        process.stop(self.directory, "neutron-api", "neutron-server", _MAINTENANCE)
        self.configure(changes)
        self.start()

    @property
    def _is_under_uwsgi(self) -> bool:
        """Neutron 24 has the worker that it needs beside the API server with OVN only in its own server."""
        return self.ovn is not None and (self.environment / "bin" / _MAINTENANCE).exists()

    def _start_api(self) -> None:
        process.spawn(
            uwsgi(
                self.environment,
                self.site.server_address.ip,
                NEUTRON_PORT,
                "--module",
                "neutron.wsgi.api:application",
            ),
            name="neutron-api",
            directory=self.directory,
            netns=self.netns,
            env={
                "OS_NEUTRON_CONFIG_DIR": str(self.directory),
                "OS_NEUTRON_CONFIG_FILES": self.configuration.name,
                "TMPDIR": str(self.data),
            },
        )

    def _spawn(self, program: str) -> None:
        process.spawn(
            [self.environment / "bin" / program, "--config-file", self.configuration],
            name=program,
            directory=self.directory,
            netns=self.netns,
            env={"TMPDIR": str(self.data)},
        )

    def _common_sections(self, state: Path) -> ini.Sections:
        return {
            "DEFAULT": {
                "use_stderr": True,
                "core_plugin": "ml2",
                "transport_url": self.broker_url or _NO_BROKER,
                "state_path": state,
                "rpc_response_timeout": 30,
            },
            "agent": {"root_helper": "env", "report_interval": 5},
            "oslo_concurrency": {"lock_path": state / "lock"},
            "oslo_messaging_rabbit": {"rabbit_quorum_queue": False, "heartbeat_in_pthread": False},
        }

    def _server_sections(self) -> ini.Sections:
        site = self.site
        return {
            "DEFAULT": {
                "auth_strategy": "keystone",
                "api_paste_config": self.environment / "etc/neutron/api-paste.ini",
                "bind_host": site.server_address.ip,
                "bind_port": NEUTRON_PORT,
                "api_workers": 1,
                "rpc_workers": 1,
                "rpc_state_report_workers": 0,
                "global_physnet_mtu": WAN_MTU,
                "notify_nova_on_port_status_changes": False,
                "notify_nova_on_port_data_changes": False,
                "agent_down_time": 30,
            },
            "database": {"connection": self.database_url, "max_pool_size": 5, "max_overflow": 20},
            "keystone_authtoken": {
                "www_authenticate_uri": site.auth_url,
                "auth_url": site.auth_url,
                "auth_type": "password",
                "project_domain_name": "Default",
                "user_domain_name": "Default",
                "project_name": "service",
                "username": "neutron",
                "password": self.password,
                "service_token_roles_required": True,
                "token_cache_time": 60,
            },
            "oslo_policy": {"enforce_scope": True},
            "ml2": {"extension_drivers": "port_security,qos", "path_mtu": WAN_MTU},
            "securitygroup": {"enable_security_group": True, "enable_ipset": False},
        }

    def _ovs_sections(self) -> ini.Sections:
        return {
            "DEFAULT": {"service_plugins": "router,qos"},
            "ml2": {
                "type_drivers": "flat,vlan,vxlan",
                "tenant_network_types": "vxlan",
                "mechanism_drivers": "openvswitch",
            },
            "ml2_type_vxlan": {"vni_ranges": _TUNNEL_IDS[self.site.name]},
        }

    def _ovn_sections(self, ovn: OvnCentral) -> ini.Sections:
        return {
            # Nobody sends it messages.
            "DEFAULT": {"service_plugins": "ovn-router,qos,trunk", "rpc_workers": 0},
            "ml2": {
                "type_drivers": "local,flat,vlan,geneve",
                "tenant_network_types": "geneve",
                "mechanism_drivers": "ovn",
            },
            "ml2_type_geneve": {"vni_ranges": _TUNNEL_IDS[self.site.name], "max_header_size": 38},
            "ovn": {
                "ovn_nb_connection": ovn.northbound,
                "ovn_sb_connection": ovn.southbound,
                "ovn_metadata_enabled": False,
                "enable_distributed_floating_ip": False,
            },
        }
