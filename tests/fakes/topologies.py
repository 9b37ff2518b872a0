"""Objects of a cloud with any number of peers and networks, as kubectl prints them: renamed ones of a federation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .kubectl import active_lease, documents, stretched

Item = dict[str, Any]
HOSTILE_NAMES = (
    '<img src=x onerror="document.title=`taken`">',
    "</script><script>document.title='taken'</script>",
    'javascript:alert(1)" onload="alert(1)',
    "רשת \u202e\u2066 שלום",
    "网络" * 127 + "x",
    "a" * 255,
    "${document.title='taken'} {{7*7}} %3Cb%3E &lt;b&gt; \\N \\l",
    " ",
)
"""What a tenant or another company may choose; the longest names of Neutron have 255 characters."""
HOSTILE_NETWORK = {
    "kind": "NetworkExpansion",
    "metadata": {"name": "web", "namespace": "shop"},
    "status": {
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}],
        "networkName": "web \x1b[2J\u202e网络",
    },
}


def leases() -> list[Item]:
    """Leases of a controller and an agent that are active now."""
    return [active_lease(name) for name in ("isthmus-controller", "isthmus-agent-gw-cloud-a")]


def many(peers: int, networks: int) -> list[Item]:
    """cloud-a with so many peers; every second network of each is ours, the others are replicas of its own."""
    ours, theirs = (documents(cloud) for cloud in stretched().clouds)
    by_kind = {item["kind"]: item for item in ours}
    replica = next(item for item in theirs if item["kind"] == "Attachment")
    ids = [f"peer-{number:02}" for number in range(peers)]
    node = copy.deepcopy(by_kind["GatewayNode"])
    node["status"]["connections"] = [node["status"]["connections"][0] | _gateway(peer) for peer in ids]
    items = [node]
    for peer in ids:
        items += [_peer(by_kind["CloudPeer"], peer), _agreement(by_kind["PeerLink"], peer)]
        items += [_replica(replica, peer, number) for number in range(networks // 2)]
    for number in range(networks - networks // 2):
        items += [_expansion(by_kind["NetworkExpansion"], ids, number), _attachment(by_kind["Attachment"], ids, number)]
    return items


def stretched_items() -> list[Item]:
    """cloud-a, which has stretched one network to cloud-b: nothing is wrong."""
    return documents(stretched().clouds[0])


def with_names(items: Sequence[Item], names: Sequence[str]) -> list[Item]:
    """The same, with these names of networks, and as text wherever else a cloud publishes some."""
    changed = copy.deepcopy(list(items))
    for number, item in enumerate(changed):
        name = names[number % len(names)]
        if item["kind"] == "NetworkExpansion":
            item["status"]["networkName"] = name
        if item["kind"] == "GatewayNode":
            for connection, text in zip(item["status"]["connections"], _cycled(names), strict=False):
                connection.update(gateway=text, message=text)
    return changed


def with_tunnels_down(items: Sequence[Item], *peers: str, message: str = "no answer") -> list[Item]:
    """The same after the underlay to these peers was cut, as agent and controller report it."""
    return [_cut(item, peers, message) for item in items]


def with_members(items: Sequence[Item], *reported: Item) -> list[Item]:
    """The same as a receiver of networks of which there are others: 3, by a direct path as well, and 4.

    The agent reports this of them.
    """

    def changed(item: Item) -> Item:
        if item["kind"] != "Attachment" or item["spec"]["role"] != "Receiver":
            return item
        links = [item["spec"]["links"][0] | {"members": [{"number": number, "tunnelID": number} for number in (4, 3)]}]
        paths = [{"number": 3, "cloudID": "cloud-c", "tunnelID": 5, "gateway": {"name": "gw-cloud-c"}}]
        nodes = [node | {"members": list(reported)} for node in item["status"]["nodes"]]
        spec, status = {"links": links, "directPaths": paths}, {"nodes": nodes}
        return item | {"spec": item["spec"] | spec, "status": item["status"] | status}

    return [changed(item) for item in items]


def _cut(item: Item, peers: Sequence[str], message: str) -> Item:
    down = {"reason": "BFDDown", "message": message}
    if item["kind"] == "GatewayNode":
        change = {"up": False, "bfd": "Down", "path": {"ping": False, "ike": False, "esp": False}}
        connections = [
            c | change | {"ike": "Connecting", "esp": "Missing"} | down if c["cloudID"] in peers else c
            for c in item["status"]["connections"]
        ]
        return item | {"status": item["status"] | {"connections": connections}}
    if item["kind"] == "CloudPeer" and item["metadata"]["name"] in peers:
        types = ("Ready", "TunnelUp")
        conditions = [c | {"status": "False"} | down if c["type"] in types else c for c in item["status"]["conditions"]]
        return item | {"status": item["status"] | {"conditions": conditions}}
    if item["kind"] == "Attachment":
        return _changed_links(item, lambda link: link | {"up": False} | down if link["cloudID"] in peers else link)
    return item


def _changed_links(item: Item, change: Callable[[Item], Item]) -> Item:
    node = item["status"]["nodes"][0]
    nodes = [node | {"links": [change(link) for link in node["links"]]}]
    return item | {"status": item["status"] | {"nodes": nodes}}


def _cycled(names: Sequence[str]) -> list[str]:
    return list(names) * 20


def _named(item: Item, name: str, **spec: Any) -> Item:
    return item | {"metadata": item["metadata"] | {"name": name}, "spec": item.get("spec", {}) | spec}


def _gateway(peer: str) -> Item:
    return {"cloudID": peer, "gateway": f"gw-{peer}", "address": f"198.51.100.{int(peer.split('-')[1]) + 1}"}


def _peer(item: Item, peer: str) -> Item:
    return _named(item, peer, cloudID=peer)


def _agreement(item: Item, peer: str) -> Item:
    moved = _named(item, "cloud-a", peerCloudID=peer)
    return moved | {"metadata": moved["metadata"] | {"namespace": f"isthmus-peer-{peer}"}}


def _network_id(number: int, peer: str = "ours") -> str:
    return f"face0000-{number:04}-0000-0000-{peer.encode().hex()[-12:]:0>12}"


def _replica(item: Item, peer: str, number: int) -> Item:
    network = _network_id(number, peer)
    link = item["spec"]["links"][0] | {"cloudID": peer, "gateway": {"name": f"gw-{peer}"}}
    origin: Mapping[str, str] = {"cloudID": peer, "networkID": network}
    named = _named(item, f"{peer}.{network}", origin=origin, links=[link], activeNode="gw-cloud-a")
    node = item["status"]["nodes"][0] | {"node": "gw-cloud-a"}
    moved = named | {"status": named["status"] | {"nodes": [node]}}
    return _changed_links(moved, lambda observed: observed | {"cloudID": peer})


def _expansion(item: Item, peers: Sequence[str], number: int) -> Item:
    named = _named(item, f"web-{number}", networkID=_network_id(number), peers=[{"name": peer} for peer in peers])
    reported = [item["status"]["peers"][0] | {"name": peer, "cloudID": peer} for peer in peers]
    return named | {"status": item["status"] | {"peers": reported, "networkName": f"web {number}"}}


def _attachment(item: Item, peers: Sequence[str], number: int) -> Item:
    network, link = _network_id(number), item["spec"]["links"][0]
    links = [link | {"cloudID": peer, "gateway": {"name": f"gw-{peer}"}} for peer in peers]
    origin = {"cloudID": "cloud-a", "networkID": network}
    named = _named(item, f"cloud-a.{network}", origin=origin, links=links)
    node = item["status"]["nodes"][0]
    observed = [node["links"][0] | {"cloudID": peer} for peer in peers]
    return named | {"status": item["status"] | {"nodes": [node | {"links": observed}]}}
