"""What charon says of a connection through NAT; tests/contract/charon.py has the same without it."""

from __future__ import annotations

from dataclasses import replace

from tests.kernel.node import KEY, Node, Pair
from tests.kernel.openvswitch import sh
from tests.testbed.host.process import wait_until

HIDDEN_BEHIND = "192.0.2.9"


def _hide(node: Node) -> None:
    """Give the IKE and ESP packets that the node sends another source address, as a router with NAT does."""
    rule = f"ip saddr {node.address} udp sport {{ 500, 4500 }} snat to {HIDDEN_BEHIND}"
    sh(
        f"ip addr add {HIDDEN_BEHIND}/24 dev eth0\n"
        "nft add table ip nat\n"
        "nft 'add chain ip nat sent { type nat hook postrouting priority srcnat; }'\n"
        f"nft 'add rule ip nat sent {rule}'",
        node.name,
    )


def test_who_is_behind_nat_is_found_by_both(pair: Pair) -> None:
    _hide(pair.a)
    for node in pair.nodes:
        node.block()
    behind, other = pair.connection(pair.a), pair.connection(pair.b)
    pair.a.ike.load(behind, KEY)
    pair.b.ike.load(replace(other, ends=replace(other.ends, remote_address=HIDDEN_BEHIND)), KEY)
    pair.a.ike.initiate(behind.name)

    def found(node: Node, name: str) -> str | None:
        state = node.ike.view().states.get(name)
        return state.in_force.nat if state is not None else None

    wait_until(lambda: (found(pair.a, behind.name), found(pair.b, other.name)) == ("Local", "Remote"), 20, "NAT")
    assert pair.a.ike.view().states[behind.name].in_force.ike_cipher == "aes256gcm16-prfsha384"
