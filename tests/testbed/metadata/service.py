"""A cloud's metadata service, started by the tests that need it: importing an agent takes a guest half a minute."""

import secrets
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.testbed.assembly import CloudParts
from tests.testbed.assets.cache import Cache
from tests.testbed.cloud.servers import ini
from tests.testbed.cloud.servers.daemon import accepts, await_server
from tests.testbed.cloud.servers.ovn import OvnCentral
from tests.testbed.host.process import wait_until
from tests.testbed.lab import Lab
from tests.testbed.node import imports
from tests.testbed.node.agent import OVSDB, Agent
from tests.testbed.node.backend import OvsAgents
from tests.testbed.topology import NOVA_METADATA_PORT

_STUB: Final = Path(__file__).with_name("nova.py")
_STUB_NAME: Final = "nova-metadata"
_SOCKET: Final = "/run/neutron/metadata_proxy"
_START_SECONDS: Final = 180.0


@contextmanager
def serving(lab: Lab) -> Iterator[None]:
    """Both clouds serve metadata within the block, as Neutron's own settings and agents do it."""
    a, b = lab.parts.clouds["a"], lab.parts.clouds["b"]
    cache = Cache(lab.state.assets.root)
    services: list[MetadataService] = [OvnMetadata(a, cache), OvsMetadata(b, cache)]
    with ThreadPoolExecutor(len(services)) as pool:
        try:
            list(pool.map(MetadataService.start, services))
            yield
        finally:
            list(pool.map(MetadataService.stop, services))


class MetadataService(ABC):
    """Nova's part, which is a stub, and Neutron's agent on the gateway node."""

    def __init__(self, parts: CloudParts, cache: Cache, program: str, modules: tuple[str, ...]) -> None:
        self.parts = parts
        self.cloud = parts.cloud
        self._node = parts.cloud.gateway
        self._agent = Agent(program, self._node, parts.neutron)
        self._cache = cache
        self._modules = modules

    def start(self) -> None:
        """Start both, and return when the agent listens, and Neutron serves new networks."""
        secret = secrets.token_hex(16)
        self._start_stub(secret)
        imports.read(self._node, imports.ensure(self._cache, self.parts.neutron.environment, self._modules))
        address = self.cloud.site.server_address.ip
        options = {
            "nova_metadata_host": address,
            "nova_metadata_port": NOVA_METADATA_PORT,
            "metadata_proxy_shared_secret": secret,
        }
        self._agent.configure(ini.merge({"DEFAULT": options, "ovs": OVSDB}, self._sections()))
        # The node has one processor, on which Isthmus's agent and charon run, too.
        self._agent.spawn("nice", "-n", "10")
        self._switch(on=True)
        wait_until(self._listens, _START_SECONDS, f"{self._agent.program} of {self._node.name}", poll_seconds=0.5)

    def stop(self) -> None:
        """Stop both; Neutron is as it was before."""
        self._node.stop(self._agent.program, grace_seconds=2)
        self._node.run(["rm", "-f", _SOCKET])
        self._forget_agent()
        self._switch(on=False)
        self.cloud.stop(_STUB_NAME)

    @abstractmethod
    def _sections(self) -> ini.Sections:
        """What the agent needs to know besides."""

    @abstractmethod
    def _switch(self, *, on: bool) -> None:
        """Restart that part of Neutron which gives networks metadata."""

    @abstractmethod
    def _forget_agent(self) -> None:
        """Remove what Neutron knows about the agent."""

    def _start_stub(self, secret: str) -> None:
        address = self.cloud.site.server_address.ip
        argv: list[str | Path] = [sys.executable, _STUB, self.cloud.cloud_id, str(address), str(NOVA_METADATA_PORT)]
        self.cloud.spawn(argv, _STUB_NAME, env={"METADATA_SECRET": secret})
        await_server(self.cloud.directory, _STUB_NAME, lambda: accepts(address, NOVA_METADATA_PORT))

    def _listens(self) -> bool:
        if not self._node.alive(self._agent.program):
            raise RuntimeError(f"{self._agent.program} ended, see {self._node.log(self._agent.program)}")
        return not self._node.run(["test", "-S", _SOCKET], check=False).returncode


class OvnMetadata(MetadataService):
    """ML2/OVN: the server gives each network a port for metadata, the agent of each node serves it there."""

    def __init__(self, parts: CloudParts, cache: Cache) -> None:
        super().__init__(parts, cache, "neutron-ovn-metadata-agent", imports.OVN_METADATA_AGENT)

    def _sections(self) -> ini.Sections:
        return {"ovn": {"ovn_sb_connection": self._central.node_remote}}

    def _switch(self, *, on: bool) -> None:
        self.parts.neutron.restart({"ovn": {"ovn_metadata_enabled": on}})

    def _forget_agent(self) -> None:
        """Not by Neutron's API, which would remove the chassis with the agent."""
        keys = ('"neutron:ovn-metadata-id"', '"neutron:ovn-metadata-sb-cfg"')
        remove = ["remove", "Chassis_Private", self._node.name, "external_ids", *keys]
        subprocess.run(["ovn-sbctl", f"--db={self._central.southbound}", *remove], check=True)

    @property
    def _central(self) -> OvnCentral:
        assert self.parts.ovn is not None
        return self.parts.ovn


class OvsMetadata(MetadataService):
    """ML2/OVS: the DHCP agent answers at networks without a router, and hands requests to the metadata agent."""

    def __init__(self, parts: CloudParts, cache: Cache) -> None:
        super().__init__(parts, cache, "neutron-metadata-agent", imports.METADATA_AGENT)

    def _sections(self) -> ini.Sections:
        return {}

    def _switch(self, *, on: bool) -> None:
        back_end = self._node.back_end
        assert isinstance(back_end, OvsAgents)
        back_end.restart_dhcp(isolated_metadata=on)

    def _forget_agent(self) -> None:
        network = self.cloud.openstack().network
        for agent in network.agents(host=self._node.name, agent_type="Metadata agent"):
            network.delete_agent(agent)
