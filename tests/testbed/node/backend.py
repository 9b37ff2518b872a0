"""Neutron's back end on a gateway node: what wires br-int there."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from openstack.connection import Connection

from tests.testbed.cloud.servers import ini
from tests.testbed.cloud.servers.neutron import Neutron
from tests.testbed.cloud.servers.ovn import OvnCentral
from tests.testbed.host.process import wait_until
from tests.testbed.node.node import Node

_KEEP_FLOWS_SECONDS = 8
_OVSDB = {"ovsdb_connection": "unix:/run/openvswitch/db.sock", "datapath_type": "system"}


class BackEnd(Protocol):
    """The processes of Neutron on a node."""

    def start(self) -> None:
        """Start them."""

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End what wires br-int by a signal, start it again, and wait until it has done its first round."""

    def ready(self, admin: Connection) -> bool:
        """Whether Neutron believes in it, and ports plugged now become active."""


@dataclass(frozen=True)
class OvnController:
    """ML2/OVN: ovn-controller, and nothing of Neutron's own."""

    node: Node
    central: OvnCentral

    def start(self) -> None:
        """Point the node to the central databases and start ovn-controller, which makes br-int."""
        settings = {
            "ovn-remote": self.central.node_remote,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.node.site.gateway_address.ip,
            "ovn-bridge": "br-int",
            # At its start it keeps the flows of its predecessor for so long: else a restart loses packets.
            "ovn-ofctrl-wait-before-clear": 1000 * _KEEP_FLOWS_SECONDS,
        }
        columns = [f'external_ids:{key}="{value}"' for key, value in settings.items()]
        self.node.run(["ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", *columns])
        self._spawn()

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """See BackEnd."""
        _end(self.node, "ovn-controller", how)
        self._spawn()
        connected = "ovn-appctl -t ovn-controller connection-status | grep -qx connected"
        wait_until(lambda: not self.node.run(connected, check=False).returncode, 60, "ovn-controller")
        # Only then does it replace the flows, which is what may be noticed.
        time.sleep(_KEEP_FLOWS_SECONDS + 2)

    def ready(self, admin: Connection) -> bool:
        """See BackEnd."""
        return bool(_alive_agents(admin, self.node))

    def _spawn(self) -> None:
        self.node.spawn(
            ["ovn-controller", "unix:/run/openvswitch/db.sock", "--pidfile", "-vconsole:info"], "ovn-controller"
        )


@dataclass(frozen=True)
class OvsAgents:
    """ML2/OVS: the Open vSwitch agent and the DHCP agent."""

    node: Node
    neutron: Neutron
    imports: Path

    def start(self) -> None:
        """Start both agents: they import for long in User Mode Linux, and wait for the servers by themselves."""
        self.node.run(f"xargs cat <{self.imports} >/dev/null", timeout_seconds=120)
        ovs = {
            "ovs": {**_OVSDB, "local_ip": self.node.site.gateway_address.ip},
            "agent": {"tunnel_types": "vxlan", "polling_interval": 1, "minimize_polling": True},
            "securitygroup": {
                "firewall_driver": "openvswitch",
                "enable_security_group": True,
                "enable_ipset": False,
            },
        }
        dhcp: dict[str, dict[str, object]] = {
            "DEFAULT": {
                "interface_driver": "openvswitch",
                "enable_isolated_metadata": False,
                "resync_interval": 5,
            },
            "ovs": {**_OVSDB},
        }
        self._configure("neutron-openvswitch-agent", ovs)
        self._configure("neutron-dhcp-agent", dhcp)
        self._spawn("neutron-openvswitch-agent")
        # It is given nothing to do before the other has reported: let that one have the node's one processor.
        self._spawn("neutron-dhcp-agent", "nice", "-n", "10")

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """See BackEnd; the DHCP agent is left alone."""
        rounds = self._first_rounds()
        _end(self.node, "neutron-openvswitch-agent", how)
        self._spawn("neutron-openvswitch-agent")
        wait_until(lambda: self._first_rounds() > rounds, 180, "first round of the Open vSwitch agent", 0.5)

    def ready(self, admin: Connection) -> bool:
        """See BackEnd: the heartbeat comes before the first round, in which a plugged port would stay DOWN."""
        return self._first_rounds() > 0 and bool(_alive_agents(admin, self.node))

    def known(self, admin: Connection) -> bool:
        """Whether both have reported: the DHCP agent is given networks where an Open vSwitch agent can wire them.

        It reports before it listens, and never hears of a network that it is given in between.
        """
        kinds = {agent.agent_type for agent in _alive_agents(admin, self.node)}
        listens = self._said("neutron-dhcp-agent", "DHCP agent started") > 0
        return kinds >= {"Open vSwitch agent", "DHCP agent"} and listens

    def _configure(self, agent: str, sections: ini.Sections) -> None:
        self.node.put(f"/run/neutron/{agent}.conf", self.neutron.agent_configuration(self.node.name, sections))

    def _spawn(self, agent: str, *wrapper: str) -> None:
        programs = self.neutron.environment / "bin"
        self.node.spawn(
            [*wrapper, programs / agent, "--config-file", f"/run/neutron/{agent}.conf"],
            agent,
            # The agents start their helpers by name.
            env={"PATH": f"{programs}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "TMPDIR": "/run"},
        )

    def _first_rounds(self) -> int:
        return self._said("neutron-openvswitch-agent", "iteration:0 completed")

    def _said(self, agent: str, what: str) -> int:
        log = self.node.log(agent)
        return log.read_text(errors="replace").count(what) if log.exists() else 0


def _end(node: Node, name: str, how: signal.Signals) -> None:
    """Neutron's agents ignore SIGTERM for long: as a service manager would, kill what has not ended soon."""
    if how == signal.SIGTERM:
        node.stop(name, grace_seconds=2)
        return
    node.kill(name, how)
    wait_until(lambda: not node.alive(name), 10, f"end of {name}")


def _alive_agents(admin: Connection, node: Node) -> list[Any]:
    return [agent for agent in admin.network.agents(host=node.name) if agent.is_alive]
