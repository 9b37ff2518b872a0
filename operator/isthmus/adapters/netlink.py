"""This node's own network stack, as `ip -json` tells it."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

from isthmus.model.errors import Unavailable
from isthmus.model.node.host import NodeAddress, NodeView
from isthmus.model.types import MAXIMUM_MTU

_TIMEOUT_SECONDS = 10
_OVS_DEVICES = ("vxlan_sys_", "genev_sys_")  # the kernel's side of tunnels that Open vSwitch's database tells of
_TUNNELS = {"vxlan": ("port", 8472), "geneve": ("port", 6081)}  # where `ip` names the port, and its default


class IpRoute2:
    """`ports.Netlink`, by one call of `ip`."""

    def view(self) -> NodeView:
        """Addresses, and UDP ports that other tunnels of this node have."""
        links = self._links()
        return NodeView(
            tuple(sorted(_addresses(links), key=lambda a: a.address)),
            frozenset(_tunnel_udp_ports(links)),
            platform.release(),
        )

    def _links(self) -> list[dict[str, Any]]:
        command = ["ip", "-json", "-details", "address", "show"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=True)
            links: list[dict[str, Any]] = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise Unavailable(f"ip address show: {error}") from error
        return [link for link in links if link.get("ifname")]


def _addresses(links: Iterable[dict[str, Any]]) -> Iterator[NodeAddress]:
    for link in links:
        for address in link.get("addr_info", ()):
            if address.get("family") == "inet" and "UP" in link.get("flags", ()):
                yield NodeAddress(address["local"], min(link["mtu"], MAXIMUM_MTU))  # a loopback's is 65536


def _tunnel_udp_ports(links: Iterable[dict[str, Any]]) -> Iterator[int]:
    for link in links:
        details = link.get("linkinfo", {})
        key, default = _TUNNELS.get(details.get("info_kind"), (None, 0))
        if key is not None and not link["ifname"].startswith(_OVS_DEVICES):
            yield int(details.get("info_data", {}).get(key, default))
