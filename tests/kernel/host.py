"""A network namespace as a node, and what other programs do in its kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from isthmus.adapters.linux.xfrm import BLOCK_PRIORITY
from isthmus.model.names import INNER_DEVICE
from isthmus.model.node.ipsec import BlockPolicy, SecurityAssociation
from isthmus.model.node.tunnel import TunnelEnds
from tests.contract.host import ADDRESS
from tests.kernel.openvswitch import sh

NODE = "host"
MTU = 1450
_FOREIGN_PRIORITY = 5


@dataclass
class IpAndNft:
    """`tests.contract.host.HostTools` by iproute2 and nftables."""

    netns: str

    def inner_exists(self) -> bool:
        return INNER_DEVICE in sh("ip -o link", self.netns)

    def remove_inner_address(self, ends: TunnelEnds) -> None:
        sh(f"ip addr del {ends.local}/32 dev {INNER_DEVICE}", self.netns)

    def remove_inner_route(self, ends: TunnelEnds) -> None:
        sh(f"ip route del {ends.remote}/32 dev {INNER_DEVICE}", self.netns)

    def disable_inner(self) -> None:
        sh(f"ip link set {INNER_DEVICE} down", self.netns)

    def take_inner_name(self) -> None:
        sh(f"ip link add {INNER_DEVICE} type veth peer name other", self.netns)

    def add_policy(self, block: BlockPolicy) -> None:
        sh(f"ip xfrm policy add {block} action block priority {_FOREIGN_PRIORITY}", self.netns)

    def has_policy(self, block: BlockPolicy) -> bool:
        return f"proto udp{block.selector.traffic} " in sh("ip xfrm policy list nosock", self.netns)

    def change_policy(self, block: BlockPolicy) -> None:
        sh(f"ip xfrm policy update {block} action block priority {BLOCK_PRIORITY + 1}", self.netns)

    def add_former_block(self, block: BlockPolicy) -> None:
        sh(f"ip xfrm policy add {block} action block priority {BLOCK_PRIORITY}", self.netns)

    def flush_policies(self) -> None:
        sh("ip xfrm policy flush", self.netns)

    def add_association(self, association: SecurityAssociation) -> None:
        a, key = association, f"0x{'11' * 36}"
        name = f"src {a.source} dst {a.destination} proto {a.protocol} spi {a.spi} reqid {a.reqid}"
        sh(f"ip xfrm state add {name} mode transport aead 'rfc4106(gcm(aes))' {key} 128", self.netns)

    def add_tunnel_device(self, udp_port: int) -> None:
        sh(f"ip link add device type vxlan id 5 dstport {udp_port}", self.netns)

    def add_address(self, address: str) -> None:
        sh(f"ip addr add {address}/{ip_address(address).max_prefixlen} dev eth0", self.netns)

    def add_nftables_table(self, name: str) -> None:
        sh(f"nft 'add table inet {name}; add chain inet {name} c; add rule inet {name} c counter'", self.netns)

    def flush_ruleset(self) -> None:
        sh("nft flush ruleset", self.netns)


@contextmanager
def host() -> Iterator[IpAndNft]:
    """A node with one address."""
    sh(
        f"ip netns add {NODE}; ip -n {NODE} link set lo up\n"
        f"ip -n {NODE} link add eth0 mtu {MTU} type veth peer name far\n"
        f"ip -n {NODE} addr add {ADDRESS}/24 dev eth0; ip -n {NODE} link set eth0 up; ip -n {NODE} link set far up"
    )
    try:
        yield IpAndNft(NODE)
    finally:
        sh(f"ip netns del {NODE}")
