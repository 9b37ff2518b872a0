"""Names and addresses of a lab, the same in every lab except for its name.

    <lab>-a --- mgmt bridge 198.18.1.0/24 --- <lab>-tester --- mgmt bridge 198.18.2.0/24 --- <lab>-b
       |                                                                                       |
    wan bridge 192.0.2.0/24 ------------------ <lab>-wan (router) ------------------ wan bridge 198.51.100.0/24

A test can add a third cloud (<lab>-c, on the same router, for the same tester), which is either an OpenStack cloud at
THIRD_SITE or a plain one at PLAIN_SITE, and to either of the first two a second gateway node, at SECOND_SITES.

Namespaces are private to a lab, so that all labs can use the same addresses and ports.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network
from typing import Final, Literal

CloudName = Literal["a", "b"]
SiteName = Literal["a", "b", "c"]
BackEnd = Literal["ovn", "ovs"]

WAN_MTU: Final = 1500
EXEC_PORT: Final = 7000
KEYSTONE_PORT: Final = 5000
NEUTRON_PORT: Final = 9696
NOVA_METADATA_PORT: Final = 8775
KUBERNETES_PORT: Final = 6443
RABBITMQ_PORT: Final = 5672
OVN_SOUTHBOUND_PORT: Final = 6642


@dataclass(frozen=True, kw_only=True)
class Location:
    """One gateway node and its cloud's place in the lab.

    Host numbers: 1 servers or router, 2 tester, 10 Kubernetes API, 11 gateway node, 12 second gateway node, 20 a NAT in
    front of the gateway node.
    """

    name: str
    gateway: str
    management: IPv4Network
    wan: IPv4Network
    guest_memory_megabytes: int
    gateway_number: int = 11

    @property
    def cloud_id(self) -> str:
        """The cloud's ID in the federation."""
        return f"cloud-{self.name}"

    @property
    def server_address(self) -> IPv4Interface:
        """Address of the cloud's servers in the management network."""
        return _host(self.management, 1)

    @property
    def tester_address(self) -> IPv4Interface:
        """The tester's address in this cloud's management network."""
        return _host(self.management, 2)

    @property
    def gateway_address(self) -> IPv4Interface:
        """The gateway node's address in the management network."""
        return _host(self.management, self.gateway_number)

    @property
    def router_address(self) -> IPv4Interface:
        """The WAN router's address on this cloud's side."""
        return _host(self.wan, 1)

    @property
    def server_wan_address(self) -> IPv4Interface:
        """Address at which the other cloud reads the Kubernetes API."""
        return _host(self.wan, 10)

    @property
    def gateway_wan_address(self) -> IPv4Interface:
        """The gateway node's address on the WAN."""
        return _host(self.wan, self.gateway_number)

    @property
    def nat_address(self) -> IPv4Interface:
        """Address on the WAN of a NAT that a test puts in front of the gateway node."""
        return _host(self.wan, 20)


@dataclass(frozen=True, kw_only=True)
class Site(Location):
    """The place of a cloud with OpenStack in it."""

    name: SiteName
    back_end: BackEnd
    release: str

    @property
    def region(self) -> str:
        """The Keystone region."""
        return f"Region{self.name.upper()}"

    @property
    def auth_url(self) -> str:
        """URL of Keystone."""
        return f"http://{self.server_address.ip}:{KEYSTONE_PORT}/v3"

    @property
    def network_url(self) -> str:
        """URL of Neutron."""
        return f"http://{self.server_address.ip}:{NEUTRON_PORT}"


def _host(network: IPv4Network, number: int) -> IPv4Interface:
    return IPv4Interface((network[number], network.prefixlen))


SITES: Final[dict[CloudName, Site]] = {
    "a": Site(
        name="a",
        back_end="ovn",
        release="newest",
        gateway="gw-a1",
        management=IPv4Network("198.18.1.0/24"),
        wan=IPv4Network("192.0.2.0/24"),
        guest_memory_megabytes=800,
    ),
    "b": Site(
        name="b",
        back_end="ovs",
        release="2024.1",
        gateway="gw-b1",
        management=IPv4Network("198.18.2.0/24"),
        wan=IPv4Network("198.51.100.0/24"),
        guest_memory_megabytes=2000,
    ),
}

THIRD_SITE: Final = Site(
    name="c",
    back_end="ovn",
    release="2024.1",
    gateway="gw-c1",
    management=IPv4Network("198.18.3.0/24"),
    wan=IPv4Network("203.0.113.0/24"),
    guest_memory_megabytes=600,
)
"""Location of an optional third OpenStack cloud."""

PODS_MEMORY_MEGABYTES: Final = 1800
"""Memory of a gateway node that has containerd, a kubelet and the images on it."""

PODS_NETWORK: Final = "10.97.1.0/24"
"""Addresses of pods on the node of cloud A that is on the host's kernel."""

SECOND_SITES: Final[dict[SiteName, Site]] = {
    "a": replace(SITES["a"], gateway="gw-a2", gateway_number=12, guest_memory_megabytes=600),
    "b": replace(SITES["b"], gateway="gw-b2", gateway_number=12, guest_memory_megabytes=1200),
    "c": replace(THIRD_SITE, gateway="gw-c2", gateway_number=12),
}
"""Optional second gateway nodes of all clouds, each as its cloud's site with another node."""

PLAIN_SITE: Final = Location(
    name=THIRD_SITE.name,
    gateway=THIRD_SITE.gateway,
    management=THIRD_SITE.management,
    wan=THIRD_SITE.wan,
    guest_memory_megabytes=160,
)
"""The same place for a cloud without OpenStack and Isthmus: there is one of both at a time."""


@dataclass(frozen=True)
class Namespaces:
    """The names of a lab's network namespaces."""

    lab: str

    def cloud(self, name: str) -> str:
        """Namespace of all servers of one cloud."""
        return f"{self.lab}-{name}"

    def gateway(self, location: Location) -> str:
        """Namespace of the gateway node, if it runs on the host's kernel."""
        return f"{self.lab}-{location.gateway}"

    def nat(self, location: Location) -> str:
        """Namespace of the NAT in front of the gateway node, if there is one."""
        return f"{self.lab}-nat-{location.name}"

    @property
    def wan(self) -> str:
        """Namespace of the router between the clouds."""
        return f"{self.lab}-wan"

    @property
    def tester(self) -> str:
        """Namespace of the tester: tests, demo and benchmarks."""
        return f"{self.lab}-tester"

    def all(self) -> list[str]:
        """All namespaces that a lab may have created."""
        clouds = (*SITES.values(), PLAIN_SITE)
        return [
            self.tester,
            *(self.gateway(location) for location in (*clouds, *SECOND_SITES.values())),
            *(self.nat(location) for location in clouds),
            *(self.cloud(location.name) for location in clouds),
            self.wan,
        ]
