"""The specification of the protocol agrees with the code, so that neither is changed without the other."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from isthmus.adapters.linux import probe
from isthmus.adapters.linux.xfrm import BLOCK_PRIORITY
from isthmus.adapters.peers import api, budget
from isthmus.agent import answers, prober
from isthmus.core.federation.agreement import own_tunnel_ids
from isthmus.core.federation.peer import MAX_GATEWAYS
from isthmus.core.keys import enumeration
from isthmus.core.network.port_slices import bucket_of
from isthmus.core.network.remote_link import offer_problem
from isthmus.core.node import flows
from isthmus.core.node.inner import inner_ends
from isthmus.core.node.ipsec import MINIMUM_KEY_LENGTH
from isthmus.core.placement.mtu import inner_mtu
from isthmus.model import names, peerkubeconfig, proposals
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.schema import crd_of
from isthmus.model.api.v1alpha1.cloudpeer import Limits, TunnelIDRange
from isthmus.model.api.v1alpha1.expansionlink import (
    MAX_ADDRESSES_PER_PORT,
    MAX_PORTS_PER_LINK,
    MAX_SUBNETS,
    ExpansionLink,
)
from isthmus.model.api.v1alpha1.ipsecpolicy import ESP, IKE, IPsecPolicySpec
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.api.v1alpha1.portslice import MAX_BUCKETS, MAX_PORTS_PER_SLICE, PortSlice
from isthmus.model.names import GROUP, VERSION
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REPLY_MAC, PROBE_REQUEST_MAC
from isthmus.model.node.tunnel import Geneve, Gre, Vxlan
from isthmus.model.protocol import PROTOCOL_VERSION, PROTOCOL_VERSIONS, Feature, features_of
from isthmus.model.reasons import ANSWER_REASONS
from isthmus.model.settings import AgentSettings, ControllerSettings
from isthmus.model.types import MAXIMUM_MTU, MINIMUM_MTU, NEUTRON_TUNNEL_PORTS

from . import document

Schema = dict[str, Any]
DEFAULT_RANGE = TunnelIDRange()
INNER_ENDS = inner_ends("gw-a1.cloud-a", "gw-b1.cloud-b")
CONTROLLER, AGENT = ControllerSettings.model_fields, AgentSettings.model_fields


def leaves(schema: Schema, path: str = "", required: bool = True) -> Iterator[tuple[str, Schema, bool]]:
    """Scalars and lists of a schema by the document's field names, and whether they are required."""
    if schema["type"] == "object":
        for name, field in schema["properties"].items():
            inner = f"{path}.{name}" if path else name
            yield from leaves(field, inner, name in schema.get("required", []))
    elif schema["type"] == "array":
        yield f"{path}[]", schema, required
        if schema["items"]["type"] == "object":
            yield from leaves(schema["items"], f"{path}[]")
    else:
        yield path, schema, required


def fields_of(kind: type[CustomObject]) -> dict[str, tuple[Schema, bool]]:
    (version,) = crd_of(kind)["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    parts = ("offer.", "answer.")  # these have a table of their own
    found = {}
    for path, schema, required in leaves(spec):
        part = next((part for part in parts if path.startswith(part)), "")
        found[path.removeprefix(part)] = schema, required
    return found


def documented(title: str) -> dict[str, str]:
    """The type column of the tables of fields, by the field's name."""
    return {row[0].strip("`"): row[1] for row in document.rows(title) if len(row) == 3 and row[0].startswith("`")}


@pytest.mark.parametrize(
    "kind", [PeerLink, ExpansionLink, PortSlice, MemberLink], ids=lambda kind: kind.registration.kind
)
def test_every_field_is_documented_as_it_is(kind: type[CustomObject]) -> None:
    listed, fields = documented(kind.registration.kind), fields_of(kind)
    assert set(listed) - {"offer", "answer"} == set(fields)
    for name, (schema, required) in fields.items():
        assert ("required" in listed[name]) == required, name
        if "maximum" in schema:
            assert f"{schema['minimum']} to {schema['maximum']}".replace(str(2**53 - 1), "2^53 - 1") in listed[name], (
                name
            )
        if "maxItems" in schema:
            assert str(schema["maxItems"]) in listed[name], name
        for value in schema.get("enum", []):
            assert f"`{value}`" in listed[name], name
        if isinstance(schema.get("default"), int) and not isinstance(schema["default"], bool):
            assert f"default {schema['default']}" in listed[name], name


@pytest.mark.parametrize(
    "kind", [PeerLink, ExpansionLink, PortSlice, MemberLink], ids=lambda kind: kind.registration.kind
)
def test_examples_are_objects_of_ours(kind: type[CustomObject]) -> None:
    examples = list(document.examples(kind.registration.kind))
    assert examples
    for example in examples:
        spec = kind.from_wire(example).to_wire()["spec"]
        assert spec == example["spec"], "all fields, and no unknown ones"
        offer = ExpansionLink.from_wire(example).spec.offer if kind is ExpansionLink else None
        assert offer is None or offer_problem(offer) is None


def test_reasons_of_an_answer() -> None:
    table = {row[0].strip("`") for row in document.rows("ExpansionLink") if len(row) == 2 and row[0].startswith("`")}
    assert table == ANSWER_REASONS | {"Accepted"}


def test_proposals() -> None:
    words = {row[0].strip("`") for row in document.rows("Proposals") if row[0].startswith("`")}
    assert words == {
        *proposals.ENCRYPTION, *proposals.PSEUDO_RANDOM_FUNCTIONS, *proposals.GROUPS, *proposals.HYBRIDS,
    }  # fmt: skip
    default = (*proposals.DEFAULT.ike, *proposals.DEFAULT.esp)
    assert all(f"`{proposal}`" in document.section("Proposals") for proposal in default)


def test_features_by_version() -> None:
    listed = {int(row[0]): row[1] for row in document.rows("Versions")}
    assert set(listed) == set(PROTOCOL_VERSIONS)
    for feature in Feature:
        (since,) = (v for v in PROTOCOL_VERSIONS if feature in features_of(v) - features_of(v - 1))
        assert feature in listed[since]


def test_bucket_of_a_port() -> None:
    (example,) = document.examples("PortSlice")
    spec = PortSlice.from_wire(example).spec
    assert {bucket_of(port.id, spec.buckets) for port in spec.ports} == {spec.bucket}
    assert f"begins with the byte {sha256(spec.ports[0].id.encode()).digest()[0]:#04x}" in document.section("PortSlice")


def test_mtu() -> None:
    table = document.rows("MTU")
    assert len(table) > 1
    for kinds, column in (((Vxlan, Geneve), 1), ((Gre,), 2)):
        for kind in kinds:
            mtus = [inner_mtu(int(row[0]), kind.HEADER_BYTES) for row in table]
            in_tunnel_mode = [inner_mtu(int(row[0]), kind.HEADER_BYTES, tunnel_mode=True) for row in table]
            assert [mtu - less for mtu, less in zip(mtus, in_tunnel_mode, strict=True)] == [20] * len(mtus)
            over_ipv6 = [inner_mtu(int(row[0]), kind.HEADER_BYTES, underlay=6) for row in table]
            assert [mtu - less for mtu, less in zip(mtus, over_ipv6, strict=True)] == [20] * len(mtus)
            assert mtus == [int(row[column]) for row in table], kind


def test_odd_range_of_tunnel_ids() -> None:
    odd = TunnelIDRange(first=7, last=9)
    assert list(own_tunnel_ids(odd, "cloud-a", "cloud-b")) == [7]
    assert list(own_tunnel_ids(odd, "cloud-b", "cloud-a")) == [8, 9]
    assert "the range 7 to 9 gives 7 to the first, 8 and 9 to the second" in document.section("Tunnel IDs")
    first, second = (own_tunnel_ids(DEFAULT_RANGE, *pair) for pair in (("a", "b"), ("b", "a")))
    listed = f"{first[0]:#x} to {first[-1]:#x} and {second[0]:#x} to {second[-1]:#x}"
    assert f"the default range gives {listed}" in document.section("Tunnel IDs")


def test_byte_by_byte_the_probe_is_what_we_send() -> None:
    payload = probe._payload(1)
    frame = probe._frame(PROBE_REQUEST_MAC, names.probe_mac("cloud-a.6c1b", "cloud-b"), payload, 0)
    bounds = [row[0].split(" to ") for row in document.rows("The dataplane probe")]
    parts = [frame[int(first) : int(last) + 1] for first, last in bounds]
    assert b"".join(parts) == frame
    assert [len(part) for part in parts] == [int(row[1]) for row in document.rows("The dataplane probe")]
    digest = sha256(b"echo\0cloud-a.6c1b\0cloud-b").digest()
    assert parts[1] == b"\x02" + digest[:5]
    assert parts[2] == PROBE_ETHERTYPE.to_bytes(2)
    assert parts[3:5] == [b"isthmus1", (1).to_bytes(8)]
    assert parts[6] == bytes(14)
    assert payload == b"".join(parts[3:6])


SENTENCES = [
    ("Overview", f"A cloud has up to {MAX_GATEWAYS}."),
    (
        "What the administrators agree on beforehand",
        f"default {Vxlan.DEFAULT_UDP_PORT} for VXLAN, {Geneve.DEFAULT_UDP_PORT} for Geneve |",
    ),
    (
        "What the administrators agree on beforehand",
        f"first and last, default {DEFAULT_RANGE.first:#x} to {DEFAULT_RANGE.last:#x} |",
    ),
    (
        "What the administrators agree on beforehand",
        "MUST NOT be {}, {} or {},".format(*sorted(NEUTRON_TUNNEL_PORTS)),
    ),
    ("Names", f"| publishing namespace | `{names.peer_namespace('<reader’s cloud ID>')}` |".replace("’", "'")),
    ("Names", f"| link name | `{names.link_name('<origin’s cloud ID>', '<network ID>')}` |".replace("’", "'")),
    ("What is published", f"(group `{GROUP}`, version `{VERSION}`)"),
    ("Reading", f"/apis/{GROUP}/{VERSION}/namespaces/isthmus-peer-<reader>/peerlinks?limit={api._PAGE} "),
    ("Reading", f"send at most {api._MAX_PAGE_BYTES >> 20} MiB"),
    ("Reading", f"list at most {budget.MAX_NAMES:,} objects of each kind on {api._MAX_PAGES:,} pages"),
    ("Reading", f"answer within {api._TIMEOUT_SECONDS:g} s, send a page within {api._READ_SECONDS:g} s"),
    ("Reading", f"end after at most {api._MAX_EVENT_BYTES >> 20} MiB"),
    ("Reading", f"asks again every {CONTROLLER['peer_poll_seconds'].default} s"),
    ("The credential", f"of at most {peerkubeconfig._MAX_BYTES >> 10} KiB without YAML aliases"),
    ("The credential", f"nested at most {peerkubeconfig._MAX_DEPTH} deep"),
    *(("The credential", f"`{field}`") for field in sorted(peerkubeconfig._CONTEXT_FIELDS)),
    *(("The credential", f"`{field}`") for field in sorted(peerkubeconfig._CLUSTER_FIELDS)),
    *(("The credential", f"`{field}`") for field in sorted(peerkubeconfig._USER_FIELDS)),
    *(("The credential", f"`{field}`") for field in sorted(peerkubeconfig._IGNORED)),
    ("Absence", f"ours: {CONTROLLER['absence_grace_seconds'].default} s"),
    ("IKE", f"`<gateway name>.<cloud ID>`, such as `{names.ike_identity('gw-a1', 'cloud-a')}`"),
    ("IKE", f"ours: IKE {IKE().rekey_time_seconds // 3600} h, ESP {ESP().rekey_time_seconds // 3600} h"),
    ("IKE", f"empty INFORMATIONAL after {IPsecPolicySpec().dpd_delay_seconds} s of silence"),
    ("The pre-shared key and certificates", f"At least {MINIMUM_KEY_LENGTH} printable ASCII characters"),
    ("Children", f"ours: {ESP().replay_window_packets} packets"),
    ("Children", f"and `gw-b1.cloud-b` have {INNER_ENDS.local} and {INNER_ENDS.remote}."),
    ("Fail closed", f"action block priority {BLOCK_PRIORITY}"),
    ("Encapsulation", f"ours: for {flows._LEARN_SECONDS} s, {flows._LEARN_LIMIT:,} for each peer of a network"),
    ("Encapsulation", f"sends at most {flows._STORM_PACKETS_PER_SECOND:,} packets/s of them for each network"),
    ("Encapsulation", f"with a burst of {flows._STORM_BURST_PACKETS:,}"),
    ("BFD", f"| Desired Min TX Interval | {AGENT['bfd_interval_milliseconds'].default} ms "),
    ("BFD", f"| Required Min RX Interval | {AGENT['bfd_interval_milliseconds'].default} ms "),
    ("The dataplane probe", f"untagged Ethernet frame of {probe._SHORTEST_FRAME_BYTES} bytes"),
    ("The dataplane probe", f"| destination: `{PROBE_REQUEST_MAC}` | the request's source |"),
    ("The dataplane probe", f"| source: the sender's address of this link | `{PROBE_REPLY_MAC}` |"),
    ("The dataplane probe", f"| ethertype {PROBE_ETHERTYPE:#x} |"),
    ("The dataplane probe", f"every frame of ethertype {PROBE_ETHERTYPE:#x} with destination `{PROBE_REQUEST_MAC}`"),
    ("The dataplane probe", f"request for each link every {AGENT['probe_interval_seconds'].default} s"),
    ("The dataplane probe", f"waits {prober._TIMEOUT_SECONDS:g} s for the reply"),
    ("The dataplane probe", {3: "one of the last three came back"}[answers._DOWN_AFTER]),
    (
        "The dataplane probe",
        f"meter for each remote gateway: {flows._PROBE_PACKETS_PER_SECOND} packets a second, doubled until",
    ),
    ("Versions", f"`protocolVersion` is {PROTOCOL_VERSION} for ever"),
    ("Versions", f"Ours speaks {', '.join(map(str, PROTOCOL_VERSIONS[:-1]))} and {PROTOCOL_VERSIONS[-1]}."),
    ("Limits", f"| objects of one peer | {budget.MAX_OBJECTS:,} |"),
    ("Limits", f"| ports of one peer | {budget.MAX_PORTS:,} |"),
    ("Limits", f"| `spec`s of one peer | {budget.MAX_BYTES >> 20} MiB as JSON |"),
    ("Limits", f"| names of objects in a list | {budget.MAX_NAMES:,} of each kind |"),
    ("Limits", f"| bytes of a page | {api._MAX_PAGE_BYTES >> 20} MiB |"),
    ("Limits", f"| gateways of a cloud | {MAX_GATEWAYS} |"),
    ("Limits", f"| subnets of an offer | {MAX_SUBNETS} |"),
    ("Limits", f"| PortSlices of a link | {MAX_BUCKETS}, of {MAX_PORTS_PER_SLICE} ports each |"),
    ("Limits", f"| ports of a link | {MAX_PORTS_PER_LINK}, with {MAX_ADDRESSES_PER_PORT} addresses each |"),
    ("Limits", f"ours by default {Limits().networks})"),
    ("Limits", f"until `2 * limits.networks + {enumeration._EXTRA_REFUSED_OFFERS}` networks"),
    ("Limits", f"| MTU | {MINIMUM_MTU} to {MAXIMUM_MTU} |"),
    ("Limits", f"| kubeconfig | {peerkubeconfig._MAX_BYTES >> 10} KiB |"),
]


@pytest.mark.parametrize(("title", "sentence"), SENTENCES, ids=lambda text: text[:40])
def test_constants(title: str, sentence: str) -> None:
    assert sentence in document.section(title)


# Matches of the guard, and their description in the document.
_GUARD = {
    "vlan_tci=0x1000/0x1000": "VLAN tag",
    "dl_src=01:00:00:00:00:00/01:00:00:00:00:00": "group address as source",
    "dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:00": "`01:80:c2:00:00:00` to `:ff`",
    "reg1=0,dl_type=0x88b5": "ethertype 0x88b5, but for probes",
    "udp,tp_dst=67": "IPv4, UDP, destination port 67 or 68",
    "udp,tp_dst=68": "IPv4, UDP, destination port 67 or 68",
    "udp6,tp_dst=546": "IPv6, UDP, destination port 546 or 547",
    "udp6,tp_dst=547": "IPv6, UDP, destination port 546 or 547",
    "ip,nw_dst=169.254.169.254": "IPv4 from or to 169.254.169.254",
    "ip,nw_src=169.254.169.254": "IPv4 from or to 169.254.169.254",
    "arp,arp_tpa=169.254.169.254": "ARP with that as sender or target protocol address",
    "arp,arp_spa=169.254.169.254": "ARP with that as sender or target protocol address",
    "ipv6,ipv6_dst=fe80::a9fe:a9fe": "IPv6 from or to `fe80::a9fe:a9fe`",
    "ipv6,ipv6_src=fe80::a9fe:a9fe": "IPv6 from or to `fe80::a9fe:a9fe`",
    "icmp6,icmp_type=133": "ICMPv6 133, 134 or 137",
    "icmp6,icmp_type=134": "ICMPv6 133, 134 or 137",
    "icmp6,icmp_type=137": "ICMPv6 133, 134 or 137",
    "icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::a9fe:a9fe": "ICMPv6 135 or 136, code 0, with that as target",
    "icmp6,icmp_type=136,icmp_code=0,nd_target=fe80::a9fe:a9fe": "ICMPv6 135 or 136, code 0, with that as target",
}


def test_guard() -> None:
    discovery = {f"icmp6,icmp_type={type_}" for type_ in flows._DISCOVERY_TYPES}
    assert set(flows._NEVER_CROSSES) | discovery == set(_GUARD)
    listed = [row[0] for row in document.rows("Guard")]
    one_way = [
        "ARP whose sender protocol address is a `gatewayIP`",
        "ARP whose sender protocol address is in `answer.gatewayAddresses`",
        "claims of an IPv6 `gatewayIP` or of one of `routerAddresses`",
    ]
    for words in {*_GUARD.values(), *one_way}:
        assert [row for row in listed if words in row], words
    assert len(listed) == len(set(_GUARD.values())) + len(one_way)
