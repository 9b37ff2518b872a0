"""All parts of a lab as objects, constructed from its state without starting anything; the third cloud apart."""

from dataclasses import dataclass, replace
from pathlib import Path

from tests.testbed.assets.cache import Cache
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.cloud.servers.broker import Broker
from tests.testbed.cloud.servers.database import Database
from tests.testbed.cloud.servers.keystone import Keystone
from tests.testbed.cloud.servers.neutron import Neutron
from tests.testbed.cloud.servers.ovn import OvnCentral
from tests.testbed.kubelet.workers import Workers
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.node import imports
from tests.testbed.node.backend import OvnController, OvsAgents
from tests.testbed.node.gateway import Gateway
from tests.testbed.state import State
from tests.testbed.topology import PODS_MEMORY_MEGABYTES, SECOND_SITES, SITES, THIRD_SITE, Site, SiteName


@dataclass(frozen=True)
class CloudParts:
    """The servers of one cloud, and the cloud from its users' perspective."""

    keystone: Keystone
    neutron: Neutron
    broker: Broker | None
    ovn: OvnCentral | None
    cloud: Cloud
    workers: Workers | None
    """The nodes of a cloud that runs pods."""


@dataclass(frozen=True)
class Parts:
    """All components of a lab, or of its third cloud."""

    database: Database
    clouds: dict[SiteName, CloudParts]


def assemble(state: State) -> Parts:
    """Construct the parts of a lab; missing directories are created."""
    database = Database(state.directory, state.memory, state.namespaces.cloud("a"))
    sites = {name: _sized(state, site) for name, site in SITES.items()}
    return Parts(database, {name: _cloud(state, database, site) for name, site in sites.items()})


def assemble_third(state: State) -> Parts:
    """Construct the parts of the third cloud, which has a database server of its own."""
    site = THIRD_SITE
    directory, data = _directories(state, site)
    database = Database(directory, data, state.namespaces.cloud(site.name))
    return Parts(database, {site.name: _cloud(state, database, site)})


def _runs_pods(state: State, site: Site) -> bool:
    return state.pods and site.name == "a"


def _sized(state: State, site: Site) -> Site:
    return replace(site, guest_memory_megabytes=PODS_MEMORY_MEGABYTES) if _runs_pods(state, site) else site


def _cloud(state: State, database: Database, site: Site) -> CloudParts:
    directory, data = _directories(state, site)
    netns = state.namespaces.cloud(site.name)
    passwords = state.passwords[site.name]
    environment = state.assets.openstack(site.release)
    address = site.server_address.ip
    ovn = OvnCentral(directory, data, netns, address) if site.back_end == "ovn" else None
    broker = None if ovn else Broker(directory, data, netns, address, passwords.broker)
    keystone = Keystone(site, environment, directory, data, netns, database.url(f"keystone_{site.name}"))
    neutron = Neutron(
        site,
        environment,
        directory,
        data,
        netns,
        database_url=database.url(f"neutron_{site.name}"),
        password=passwords.neutron,
        broker_url=broker.url if broker else None,
        ovn=ovn,
    )
    addresses = (str(address), str(site.server_wan_address.ip))
    gateway, second = Gateway(site, state.directory), Gateway(SECOND_SITES[site.name], state.directory)
    for node in (gateway, second):
        node.back_end = (
            OvnController(node, ovn)
            if ovn
            else OvsAgents(node, neutron, _imports(state, environment), serves_dhcp=node is gateway)
        )
    cloud = Cloud(
        site,
        directory=directory,
        netns=netns,
        passwords=passwords,
        kube=ControlPlane(
            state.assets,
            directory / "kube",
            addresses=addresses,
            netns=netns,
            runs_pods=_runs_pods(state, site),
        ),
        gateway=gateway,
        second_gateway=second,
    )
    workers = Workers(state, cloud) if _runs_pods(state, site) else None
    return CloudParts(keystone, neutron, broker, ovn, cloud, workers)


def _directories(state: State, site: Site) -> tuple[Path, Path]:
    """Of a cloud's files, and of its servers' data."""
    directories = state.directory / site.name, state.memory / site.name
    for path in directories:
        path.mkdir(exist_ok=True)
    return directories


def _imports(state: State, environment: Path) -> Path:
    return imports.ensure(Cache(state.assets.root), environment, imports.OVS_AGENTS)
