"""The WAN between the clouds: it can be cut, delayed and captured."""

import contextlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

from tests.testbed.host import netns
from tests.testbed.node.hosting import WAN_BRIDGE
from tests.testbed.node.node import Node
from tests.testbed.topology import KUBERNETES_PORT, SITES, CloudName, Namespaces
from tests.testbed.wan.capture import Capture
from tests.testbed.wan.nat import Nat
from tests.testbed.wan.wire import Expected, mac_addresses


class Wan:
    """The routed link, at its router."""

    def __init__(self, namespaces: Namespaces, gateways: dict[CloudName, Node], directory: Path) -> None:
        self._namespaces = namespaces
        self._gateways = gateways
        self._directory = directory

    def cut(self) -> None:
        """Drop everything; the links stay up, as with a failure somewhere on the path."""
        self._drop("wan", [""])

    def restore(self) -> None:
        """Undo `cut`."""
        self._pass("wan")

    def cut_api(self, cloud: CloudName) -> None:
        """Make a cloud's Kubernetes API unreachable for the other one; everything else is forwarded.

        In both directions: a watch that is open would otherwise go on to bring events.
        """
        address = SITES[cloud].server_wan_address.ip
        requests, answers = f"daddr {address} tcp dport", f"saddr {address} tcp sport"
        self._drop(f"api_{cloud}", [f"ip {direction} {KUBERNETES_PORT}" for direction in (requests, answers)])

    def restore_api(self, cloud: CloudName) -> None:
        """Undo `cut_api`."""
        self._pass(f"api_{cloud}")

    @contextlib.contextmanager
    def without_apis(self) -> Iterator[None]:
        """Cut both clouds' access to each other's API while the block runs."""
        try:
            self.cut_api("a")
            self.cut_api("b")
            yield
        finally:
            self.restore_api("a")
            self.restore_api("b")

    def delay(self, milliseconds: float) -> None:
        """Delay packets of the gateway nodes to the WAN, in each direction; 0 ends it.

        Configured on the nodes, because the kernel under the router may lack netem.
        """
        for node in self._gateways.values():
            if milliseconds:
                netem = ["netem", "delay", f"{milliseconds}ms", "limit", "10000"]
                node.run(["tc", "qdisc", "replace", "dev", "wan0", "root", *netem])
            else:
                node.run(["tc", "qdisc", "del", "dev", "wan0", "root"], check=False)

    @contextlib.contextmanager
    def capture(self, *guests: Node, nats: tuple[Nat, ...] = ()) -> Iterator[Capture]:
        """Record all sides of the router while the block runs; the summary is available after it.

        `guests` are gateway nodes that a test has added, in one of both clouds or in one of its own; behind `nats`
        gateway nodes may be meanwhile.
        """
        sides = (*SITES.values(), *(node.site for node in guests))
        cards = self._cards(guests).union(*(mac_addresses(each.links) for each in nats))
        expected = Expected.of(sides, cards, frozenset(each.address.ip for each in nats))
        capture = Capture.start(self._namespaces.wan, self._directory, expected, sides)
        try:
            yield capture
        finally:
            capture.stop()

    def expect(self, capture: Capture, guest: Node) -> None:
        """Tell a capture of a cloud of a gateway node that was added there since."""
        capture.expect(Expected.of([guest.site], self._cards([guest])))

    def _cards(self, guests: Iterable[Node]) -> frozenset[str]:
        """MAC addresses of the router's cards, of the gateway nodes', and of each cloud's bridge with its ports."""
        listed = [netns.run(self._namespaces.wan, "ip", "-j", "link")]
        for node in (*self._gateways.values(), *guests):
            namespace = self._namespaces.cloud(node.site.name)
            listed.append(node.run(["ip", "-j", "link", "show", "dev", "wan0"]).stdout)
            for which in ("dev", "master"):
                listed.append(netns.run(namespace, "ip", "-j", "link", "show", which, WAN_BRIDGE))
        return frozenset().union(*map(mac_addresses, listed))

    def drop_between_gateways(self, match: str = "", source: CloudName | None = None) -> None:
        """Drop what matches an expression of nft(8) between the gateways, both ways or only from this cloud."""
        sources: tuple[CloudName, ...] = ("a", "b") if source is None else (source,)
        self._drop("gateways", [f"{_to_other_gateway(each)} {match}" for each in sources])

    def pass_between_gateways(self) -> None:
        """Undo `drop_between_gateways`."""
        self._pass("gateways")

    def drop_between(self, one: IPv4Address, other: IPv4Address) -> None:
        """Drop everything between two gateways of any clouds."""
        self._drop("pair", [f"ip saddr {source} ip daddr {target}" for source, target in ((one, other), (other, one))])

    def pass_between(self) -> None:
        """Undo `drop_between`."""
        self._pass("pair")

    def _drop(self, table: str, matches: Iterable[str]) -> None:
        rules = "".join(f"    {match} counter drop\n" for match in matches)
        chain = f"  chain forward {{\n    type filter hook forward priority 0; policy accept;\n{rules}  }}\n"
        script = f"add table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n{chain}}}\n"
        netns.run(self._namespaces.wan, "nft", script)

    def _pass(self, table: str) -> None:
        netns.run(self._namespaces.wan, "nft", f"add table inet {table}\ndelete table inet {table}\n")


def _to_other_gateway(source: CloudName) -> str:
    target: CloudName = "b" if source == "a" else "a"
    ends = (SITES[each].gateway_wan_address.ip for each in (source, target))
    return "ip saddr {} ip daddr {}".format(*ends)
