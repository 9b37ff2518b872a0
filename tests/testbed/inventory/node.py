"""Inventory of a gateway node: Open vSwitch, XFRM, nftables, network namespaces, links."""

import json
import re
from typing import Any, Final

from tests.testbed.node.node import Node

_COLUMNS: Final = {
    "Open_vSwitch": ("external_ids", "other_config", "manager_options"),
    "Manager": ("target", "connection_mode", "external_ids", "other_config"),
    "Bridge": (
        *("name", "fail_mode", "datapath_type", "protocols", "external_ids", "other_config"),
        *("ports", "controller", "mirrors", "netflow", "sflow", "ipfix"),
    ),
    "Controller": ("target", "connection_mode", "external_ids", "other_config"),
    "Mirror": ("name", "select_all", "select_src_port", "select_dst_port", "output_port", "external_ids"),
    "Port": ("name", "other_config", "external_ids", "qos", "interfaces"),
    "Interface": ("name", "type", "options", "external_ids", "other_config", "bfd"),
    "QoS": ("type", "other_config", "external_ids"),
}
# Neutron's back ends number conntrack zones and local VLANs in order of appearance, and add timestamps. The agent
# remembers which number it assigned last.
_NUMBERED_IN_ORDER: Final = re.compile(
    r"ct-zone-.*|tag|ovn-installed.*|ovn-ct-zone.*|ovn-nb-cfg.*|ovn-startup-ts|isthmus-last-.*"
)
# Without the keys of SAs, and without counters that change with traffic.
_KEY: Final = re.compile(r"0x[0-9a-f]{16,}")
_COUNTERS: Final = re.compile(
    r"^\s*(anti-replay|lastused|oseq|seq|replay|bitmap|lifetime|stats|([0-9a-f]{8} ?)+$).*\n", re.MULTILINE
)


def sections(node: Node) -> dict[str, dict[str, Any]]:
    """One section for each of them."""
    return {
        **_open_vswitch(node),
        # Not those of br-int: Neutron's back ends rewrite them with numbers of their own.
        "flow of br-cloud": _lines(_flows(node)),
        "xfrm policy": _blocks(node.run(["ip", "xfrm", "policy"]).stdout),
        "xfrm state": _blocks(_COUNTERS.sub("", node.run(["ip", "xfrm", "state"]).stdout)),
        "nftables": {"ruleset": node.run(["nft", "--stateless", "list", "ruleset"]).stdout.splitlines()},
        "network namespace": _namespaces(node),
        "link": _links(node),
        "route": _lines(node.run(["ip", "route", "show", "table", "all"]).stdout),
        "routing rule": _lines(node.run(["ip", "rule"]).stdout),
    }


def _namespaces(node: Node) -> dict[str, Any]:
    names = [line.split()[0] for line in node.run(["ip", "netns"]).stdout.splitlines()]
    return {name: True for name in names if not (name.startswith("qdhcp-") and _is_empty(node, name))}


def _is_empty(node: Node, namespace: str) -> bool:
    """Neutron's DHCP agent leaves an empty namespace if a network is deleted while it is being configured."""
    links = node.run(["ip", "-n", namespace, "-o", "link"], check=False).stdout.splitlines()
    return [line for line in links if ": lo:" not in line] == []


def _open_vswitch(node: Node) -> dict[str, dict[str, Any]]:
    """Rows by name or target, which need not be unique; references are replaced by what they refer to."""
    tables = _rows(node)
    names = {row["_uuid"][1]: _name(row, table) for table, rows in tables.items() for row in rows}
    found: dict[str, dict[str, Any]] = {}
    for table, rows in tables.items():
        section = found[f"ovsdb {table}"] = {}
        for row in rows:
            kept = {column: _plain(row[column], names) for column in _COLUMNS[table] if column in row}
            section.setdefault(_name(row, table), []).append(kept)
        for same in section.values():
            same.sort(key=repr)
    return found


def _rows(node: Node) -> dict[str, list[dict[str, Any]]]:
    """All tables in one transaction, as one line of JSON each."""
    lists = [word for table in _COLUMNS for word in ("--", "list", table)]
    listed = node.run(["ovs-vsctl", "--timeout=30", "--format=json", *lists]).stdout.splitlines()
    documents = zip(_COLUMNS, map(json.loads, listed), strict=True)
    return {
        table: [dict(zip(document["headings"], row, strict=True)) for row in document["data"]]
        for table, document in documents
    }


def _name(row: dict[str, Any], table: str) -> str:
    return str(row.get("name") or row.get("target") or table)


def _plain(value: Any, names: dict[str, str]) -> Any:
    """A value of OVSDB's JSON without numbers of back ends; sets and maps in a stable order."""
    match value:
        case ["map", pairs]:
            return {key: item for key, item in sorted(pairs) if not _NUMBERED_IN_ORDER.fullmatch(key)}
        case ["set", items]:
            return sorted(str(_plain(item, names)) for item in items)
        case ["uuid", uuid]:
            return names.get(uuid, "a row that is not listed")
    return value


def _flows(node: Node) -> str:
    if node.run(["ovs-vsctl", "--timeout=30", "br-exists", "br-cloud"], check=False).returncode:
        return ""
    dump = ["ovs-ofctl", "-O", "OpenFlow15", "--no-stats", "--no-names", "dump-flows", "br-cloud"]
    return node.run(dump).stdout


def _links(node: Node) -> dict[str, Any]:
    return {
        link["ifname"]: {
            "addresses": sorted(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]),
            # The MTU of Neutron's bridge is the smallest of its ports'.
            "mtu": link["mtu"] if link["ifname"] != "br-int" else None,
            # The probe port exists as long as br-cloud, and comes up with the first probed link.
            "up": link["ifname"] == "isprobe" or "UP" in link["flags"],
        }
        for link in json.loads(node.run(["ip", "-j", "address"]).stdout)
    }


def _lines(text: str) -> dict[str, Any]:
    return {line.strip(): True for line in text.splitlines() if line.strip()}


def _blocks(text: str) -> dict[str, Any]:
    """Policies or states, each beginning with an unindented line; duplicates are counted."""
    found: dict[str, int] = {}
    for block in re.split(r"\n(?=\S)", _KEY.sub("KEY", text).strip()):
        # Without an SPI it is an acquire of the kernel, which expires after some seconds.
        if block and "spi 0x00000000" not in block:
            name = " ".join(block.split())
            found[name] = found.get(name, 0) + 1
    return found
