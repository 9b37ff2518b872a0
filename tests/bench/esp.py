"""ESP between the hosts, independent of the tunnel, as a reference; and byte counters of ESP."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tests.testbed.node.node import Node

HOST_PART = 12


def host_address(node: Node) -> str:
    """An additional address: the agent would remove SAs between the tunnel addresses that charon does not know."""
    return str(node.site.wan[HOST_PART])


def tunnel_address(node: Node) -> str:
    """The node's tunnel address."""
    return str(node.site.gateway_wan_address.ip)


def carried_bytes(node: Node, source: str, destination: str) -> int:
    """Bytes carried by the kernel's ESP SAs from one address to another."""
    command = ["ip", "-s", "xfrm", "state", "list", "nokeys", "src", source, "dst", destination]
    counts = re.findall(r"^\s+(\d+)\(bytes\), \d+\(packets\)", node.run(command).stdout, re.MULTILINE)
    return sum(map(int, counts))


@contextmanager
def protected(a: Node, b: Node, port: int) -> Iterator[None]:
    """While the block runs, TCP on that port between both host addresses is protected by ESP."""
    try:
        _protect(a, b, port)
        yield
    finally:
        for node in (a, b):
            _unprotect(node, port)


def _protect(a: Node, b: Node, port: int) -> None:
    """Static SAs and policies in transport mode, with AES-256-GCM as for the tunnel."""
    local, remote = host_address(a), host_address(b)
    keys = {(local, remote): secrets.token_hex(36), (remote, local): secrets.token_hex(36)}
    states = "".join(
        f"xfrm state add src {src} dst {dst} proto esp spi {0xE0000 + number:#x} reqid {port} mode transport "
        f"aead rfc4106(gcm(aes)) 0x{key} 128\n"
        for number, ((src, dst), key) in enumerate(keys.items())
    )
    for node, mine, theirs in ((a, local, remote), (b, remote, local)):
        policies = "".join(
            f"xfrm policy add src {src}/32 dst {dst}/32 proto tcp {selector} {port} dir {direction} "
            f"tmpl src {src} dst {dst} proto esp reqid {port} mode transport\n"
            for src, dst, direction in ((mine, theirs, "out"), (theirs, mine, "in"))
            for selector in ("dport", "sport")
        )
        node.run(["ip", "-batch", "-"], input=f"address replace {mine}/24 dev wan0\n{states}{policies}")


def _unprotect(node: Node, port: int) -> None:
    """Undo `_protect`, even if it failed."""
    node.run(
        f"ip address del {host_address(node)}/24 dev wan0; ip xfrm state deleteall reqid {port}; "
        f"ip -o xfrm policy | grep -E '[sd]port {port}' | sed -E 's/ dir (in|out).*/ dir \\1/' | "
        "while read line; do ip xfrm policy delete $line; done",
        check=False,
    )
