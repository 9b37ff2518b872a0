"""This node's network stack, and the dataplane probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from isthmus.model.node.host import KernelChange, NodeView, ProbeResult
from isthmus.model.node.tunnel import TunnelEnds


class Netlink(Protocol):
    """This node's own network stack, read only. Thread-safe."""

    def view(self) -> NodeView:
        """Addresses of interfaces that are up, with the interface's MTU, and UDP ports of foreign tunnel devices.

        Devices that Open vSwitch creates for its tunnels MUST be left out: `Ovsdb.view` reports those. Addresses that
        `InnerNetwork` has made MUST be left out, too: they are `inner_ends`, if they are complete.
        """
        ...


class InnerNetwork(Protocol):
    """Ends of tunnels inside ESP tunnel mode: an address of this node, and a route from it to the remote one.

    What IPsec does not protect MUST NOT leave the node by such a route. Thread-safe.
    """

    def ensure_ends(self, ends: Iterable[TunnelEnds]) -> None:
        """Have these besides those that exist, each address before the route from it.

        `Conflict` if a device that is not ours has the name of ours.
        """
        ...

    def remove_ends_except(self, kept: frozenset[TunnelEnds]) -> None:
        """Remove all others, complete or not, each route before its address. MUST NOT fail if there are none."""
        ...


class TunnelDevices(Protocol):
    """The kernel's devices of our tunnels. ovs-vswitchd makes them, and deletes them with the last port of a kind."""

    def indexes(self, names: frozenset[str]) -> Mapping[str, int]:
        """The interface indexes of those devices that exist. A device that is made again has another one."""
        ...

    def has_esp_offload(self) -> bool:
        """Whether the kernel has the part of ESP that segments large packets itself (`INET_ESP_OFFLOAD`)."""
        ...

    def taking_large_packets(self, names: frozenset[str]) -> frozenset[str]:
        """Those of the devices to which the kernel hands packets that are still to be segmented (GSO)."""
        ...

    def set_segmentation_before(self, names: frozenset[str]) -> None:
        """Have the kernel segment packets before it hands them to these devices. MUST NOT fail if one is gone."""
        ...


class KernelMonitor(Protocol):
    """Notifications that something in this node's kernel may have changed. Whether it has, only a view tells."""

    def start(self, changed: Callable[[KernelChange], None]) -> None:
        """Call `changed`, on a thread of the monitor's own, within milliseconds of a change by any process.

        Changes in quick succession SHOULD be one call. If notifications are lost, it MUST be called with all changes
        that there are. `Unavailable` if the kernel does not let us subscribe.
        """
        ...

    def stop(self) -> None:
        """MUST NOT return while a call is being made. MUST NOT fail if it has not been started."""
        ...


class DataplaneProbe(Protocol):
    """Probe frames that enter br-cloud at its probe port, cross a link and are reflected by the peer's br-cloud."""

    def exchange(
        self,
        macs: Mapping[str, str],
        timeout_seconds: float,
        spread_seconds: float = 0.0,
        mtus: Mapping[str, int] = MappingProxyType({}),
        whole: bool = False,
    ) -> Mapping[str, ProbeResult]:
        """Send one frame for each link, and collect the reflected ones until all are back or the timeout is over.

        Frames MUST be sent at an even pace over `spread_seconds`, and replies read meanwhile: thousands of frames back
        to back overrun socket buffers and the peer's meter. The timeout counts from the last frame. `sent` of a link
        is 0 where its frame could not be sent: then nothing is known of that link.
        `macs` maps a link's name to the source MAC by which br-cloud's flows select the link. The result has an entry
        for every link. A link's frame has as many octets after its Ethernet header as `mtus` says, so that it is as
        long as the longest that a machine sends, and as few as possible if it says nothing; `sent` is 0 if the probe
        port's own MTU is less. With `whole`, no frame may be fragmented between here and the remote gateway; replies
        may. Frames MUST carry an unpredictable nonce, so that only a receiver of the request can
        answer.
        `Unavailable` if there is no probe port; `MissingCapability`, which names it, if the process may not send.
        """
        ...


class GatewayPing(Protocol):
    """ICMP echo (RFC 792) from this node to gateways of peers."""

    def answering(self, addresses: frozenset[str], timeout_seconds: float) -> frozenset[str]:
        """Send one request to each address; those that answer within the time.

        Only an answer to that very request counts. `Unavailable` if none could be sent; `MissingCapability`, which
        names it, if the process may not.
        """
        ...
