"""Neutron's back end on a gateway node, which wires br-int there."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from openstack.connection import Connection

from tests.testbed.cloud.servers.neutron import Neutron
from tests.testbed.cloud.servers.ovn import OvnCentral
from tests.testbed.host.process import wait_until
from tests.testbed.node import imports
from tests.testbed.node.agent import OVSDB, Agent
from tests.testbed.node.node import Node

_KEEP_FLOWS_SECONDS = 8
_DHCP_STARTED = "DHCP agent started"


class BackEnd(Protocol):
    """Neutron's processes on a node."""

    def start(self) -> None:
        """Start the processes."""

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the process that wires br-int with a signal, restart it, and wait for its first iteration."""

    def ready(self, admin: Connection) -> bool:
        """Whether Neutron considers it alive, and newly plugged ports become active."""


@dataclass(frozen=True)
class OvnController:
    """ML2/OVN: ovn-controller only."""

    node: Node
    central: OvnCentral

    def start(self) -> None:
        """Configure the central database and start ovn-controller, which creates br-int."""
        settings = {
            "ovn-remote": self.central.node_remote,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": self.node.site.gateway_address.ip,
            "ovn-bridge": "br-int",
            # After a start it keeps existing flows for this time: otherwise a restart loses packets.
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
        # Only then it replaces the flows, which may affect traffic.
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
    """ML2/OVS: the Open vSwitch agent, and the DHCP agent unless networks get it from another node."""

    node: Node
    neutron: Neutron
    imports: Path
    serves_dhcp: bool = True

    def start(self) -> None:
        """Start the agents early: imports are slow in User Mode Linux, and they wait for the servers."""
        imports.read(self.node, self.imports)
        ovs = {
            "ovs": {**OVSDB, "local_ip": self.node.site.gateway_address.ip},
            "agent": {
                "tunnel_types": "vxlan",
                "polling_interval": 1,
                "minimize_polling": True,
                "extensions": "qos",
            },
            "securitygroup": {
                "firewall_driver": "openvswitch",
                "enable_security_group": True,
                "enable_ipset": False,
            },
        }
        self._switching.configure(ovs)
        self._switching.spawn()
        if self.serves_dhcp:
            self._configure_dhcp()
            # It has nothing to do until the other agent has reported: leave the node's only processor to that one.
            self._dhcp.spawn("nice", "-n", "10")

    def restart_dhcp(self, *, isolated_metadata: bool) -> None:
        """Restart the DHCP agent, with metadata for networks without a router or not, and wait until it listens."""
        starts = self._dhcp.logged(_DHCP_STARTED)
        _end(self.node, self._dhcp.program, signal.SIGTERM)
        self._configure_dhcp(isolated_metadata=isolated_metadata)
        self._dhcp.spawn()
        wait_until(lambda: self._dhcp.logged(_DHCP_STARTED) > starts, 180, "start of the DHCP agent", 0.5)

    def _configure_dhcp(self, *, isolated_metadata: bool = False) -> None:
        options = {
            "interface_driver": "openvswitch",
            "enable_isolated_metadata": isolated_metadata,
            "resync_interval": 5,
        }
        self._dhcp.configure({"DEFAULT": options, "ovs": OVSDB})

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """See BackEnd; the DHCP agent is not restarted."""
        rounds = self._first_iterations()
        _end(self.node, self._switching.program, how)
        self._switching.spawn()
        wait_until(lambda: self._first_iterations() > rounds, 180, "first iteration of the Open vSwitch agent", 0.5)

    def ready(self, admin: Connection) -> bool:
        """See BackEnd. A heartbeat is not sufficient: ports plugged before the first iteration would stay DOWN."""
        return self._first_iterations() > 0 and bool(_alive_agents(admin, self.node))

    def known(self, admin: Connection) -> bool:
        """Whether both agents have reported: a DHCP agent gets networks only where an Open vSwitch agent is.

        The DHCP agent reports before it listens, and misses networks that are scheduled in between.
        """
        kinds = {agent.agent_type for agent in _alive_agents(admin, self.node)}
        listens = self._dhcp.logged(_DHCP_STARTED) > 0
        return kinds >= {"Open vSwitch agent", "DHCP agent"} and listens

    @property
    def _switching(self) -> Agent:
        return Agent("neutron-openvswitch-agent", self.node, self.neutron)

    @property
    def _dhcp(self) -> Agent:
        return Agent("neutron-dhcp-agent", self.node, self.neutron)

    def _first_iterations(self) -> int:
        return self._switching.logged("iteration:0 completed")


def _end(node: Node, name: str, how: signal.Signals) -> None:
    """Kill agents that do not stop soon, as a service manager does: they ignore SIGTERM for long."""
    if how == signal.SIGTERM:
        node.stop(name, grace_seconds=2)
        return
    node.kill(name, how)
    wait_until(lambda: not node.alive(name), 60, f"end of {name}")


def _alive_agents(admin: Connection, node: Node) -> list[Any]:
    return [agent for agent in admin.network.agents(host=node.name) if agent.is_alive]
