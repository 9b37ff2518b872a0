"""VICI messages: requests that are sent to charon, and the parsing of its answers.

The names of a connection's children end in the connection's digest. So charon itself reports which version of a
connection is loaded, and for which version an SA was negotiated; neither is stored anywhere else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isthmus.model import proposals
from isthmus.model.node.ipsec import (
    CertificateChain,
    CertificateRef,
    Child,
    IkeAssociation,
    IkeChild,
    IkeConnection,
    IkeState,
    IkeView,
    NarrowedChild,
    PreSharedKeyRef,
)
from isthmus.model.node.traffic import AnyTraffic, IcmpType, Prefix, Selector, UdpPorts
from isthmus.model.proposals import HYBRID_MARK, is_hybrid

Message = Mapping[str, Any]

# As charon reports algorithms, by the words of proposals that mean something else to it.
_KEY_EXCHANGES = {
    "ECP_256": "ecp256", "ECP_384": "ecp384", "ECP_521": "ecp521",
    "ECP_256_BP": "ecp256bp", "ECP_384_BP": "ecp384bp", "ECP_512_BP": "ecp512bp",
    "CURVE_25519": "x25519", "CURVE_448": "x448",
    "MODP_3072": "modp3072", "MODP_4096": "modp4096", "MODP_6144": "modp6144", "MODP_8192": "modp8192",
    "ML_KEM_512": "mlkem512", "ML_KEM_768": "mlkem768", "ML_KEM_1024": "mlkem1024",
}  # fmt: skip

NO_CERTIFICATES = CertificateChain()

_DISTINCTION = re.compile(r"[0-9a-f]{12}-(?P<number>[0-9]+)")
_CHILD_NAME = re.compile(r"(?P<child>[a-z]+)-(?P<digest>[0-9a-f]{12})")
# In an initiator's log and in a responder's; the initiator only learns that authentication failed (RFC 7296, 2.21.2).
_KEY_REFUSED_LOG = re.compile(
    r"received AUTHENTICATION_FAILED notify error|tried \d+ shared keys? for .+ but MAC mismatched"
    r"|no trusted .+ public key found for|constraint check failed: |no private key found for"
)
_REVOKED_LOG = re.compile(r"certificate was revoked on ")
_RECEIVED_LOG = re.compile(r"received packet: from ([0-9a-f.:]+)\[\d+\] to ")
_CARRIES_TRAFFIC = frozenset({"INSTALLED", "REKEYING", "REKEYED"})
IN_USE = frozenset({"INSTALLED", "REKEYING"})
KEYS_AGREED = frozenset({b"ESTABLISHED", b"REKEYING"})
_INBOUND, _BOTH_ENDS = ("spi-in",), ("spi-in", "spi-out")
_NAT_PORT = "4500"
_TASKS = ("tasks-active", "tasks-queued")
_MAX_QUEUED_TASKS = 4
_REKEYED_SECONDS = 3  # by then a rekeying is complete, also if both sides have begun one


def shared_key(connection: IkeConnection, key: bytes) -> dict[str, Any]:
    """The `load-shared` request: the pre-shared key of a pair of identities."""
    owners = [_identity(connection.ends.local_identity), _identity(connection.ends.remote_identity)]
    return {"id": connection.name, "type": "IKE", "data": key, "owners": owners}


def private_key(chain: CertificateChain) -> dict[str, Any]:
    """The `load-key` request: the private key of this node's certificate."""
    return {"type": "any", "data": chain.private_key}


def revocation_list(content: bytes) -> dict[str, Any]:
    """The `load-cert` request for a list in DER. It replaces an older one of the same CA."""
    return {"type": "X509_CRL", "flag": "NONE", "data": content}


def connection(
    wanted: IkeConnection, chain: CertificateChain = NO_CERTIFICATES, apart_from: int | None = None
) -> dict[str, Any]:
    """The `load-conn` request: IKEv2 with the connection's children.

    With the number of the newest IKE SA, what is initiated afterwards joins neither that nor an older one.
    """
    # charon reuses an IKE SA for a connection if all settings are equal, and the key is not one of them. An identity
    # that only EAP would use makes them differ, so that a changed connection is negotiated again beside the old SA.
    ends = wanted.ends
    own, peers = _authentication(wanted, chain)
    distinction = wanted.digest if apart_from is None else f"{wanted.digest}-{apart_from}"
    local = own | {"id": _identity(ends.local_identity), "eap_id": distinction}
    settings = {
        "version": "2",
        "local_addrs": [ends.local_address],
        "remote_addrs": [ends.remote_address, *wanted.remote_networks],
        **_ports(wanted),
        "proposals": list(wanted.ike_proposals),
        **_lifetime(wanted.ike_rekey_time_seconds, wanted.ike_margin_seconds, "over_time"),
        "dpd_delay": f"{wanted.dpd_delay_seconds}s",
        "keyingtries": "0",
        # A new IKE SA never ends an older one by itself: that would take the children along before the new one has all
        # of its own. The agent retires what is superseded.
        "unique": "never",
        "mobike": "no",
        "local": local,
        "remote": peers | {"id": _identity(ends.remote_identity)},
        "children": {_child_name(child.name, wanted.digest): _child(wanted, child) for child in wanted.children},
    }
    return {wanted.name: settings}


def _ports(wanted: IkeConnection) -> dict[str, str]:
    """With a port other than 500, IKE begins where it would otherwise move because of a NAT (RFC 7296, 2.23)."""
    return {} if wanted.remote_port is None else {"local_port": _NAT_PORT, "remote_port": str(wanted.remote_port)}


def _authentication(wanted: IkeConnection, chain: CertificateChain) -> tuple[dict[str, Any], dict[str, Any]]:
    """How this node authenticates itself, and how the peer's has to.

    The CAs belong to the connection: charon trusts those of all connections, and accepts for each only its own.
    """
    by_key = {"auth": "psk"}
    match wanted.credential:
        case PreSharedKeyRef():
            return by_key, by_key
        case CertificateRef(certificate=certificate, authorities=authorities):
            own = {"auth": "pubkey", "certs": [chain.certificate]} if certificate else by_key
            return own, {"auth": "pubkey", "cacerts": list(chain.authorities)} if authorities else by_key


def _child(wanted: IkeConnection, child: Child) -> dict[str, Any]:
    local, remote = _traffic_selectors(child.sent)
    # Only the initiator has trap policies: with traps on both sides both would fire at the same time and duplicate the
    # SAs. Without a trap, the block policies stop unprotected packets. A trap fires on outgoing packets, so it restores
    # only `out`: after the peer restarted or was away, close_action and dpd_action initiate both children again.
    opens = wanted.initiator
    return {
        "mode": child.mode,
        "local_ts": [local],
        "remote_ts": [remote],
        "esp_proposals": list(wanted.esp_proposals),
        **_lifetime(wanted.esp_rekey_time_seconds, wanted.esp_margin_seconds, "life_time", since_begin=True),
        "reqid": str(child.reqid),
        "replay_window": str(wanted.replay_window_packets),
        "start_action": "trap" if opens else "none",
        "close_action": "start" if opens else "none",
        "dpd_action": "restart" if opens else "clear",
    }


def _lifetime(rekey_seconds: int, margin_seconds: int | None, end: str, since_begin: bool = False) -> dict[str, str]:
    """When an SA is rekeyed, and when it ends at the latest: setting `end` counts from the rekeying, or from the
    beginning.
    """
    rekeyed = {"rekey_time": f"{rekey_seconds}s"}
    if margin_seconds is None:
        return rekeyed
    ends_seconds = margin_seconds + (rekey_seconds if since_begin else 0)
    return rekeyed | {"rand_time": f"{margin_seconds}s", end: f"{ends_seconds}s"}


def _traffic_selectors(sent: Selector) -> tuple[str, str]:
    """The local and the remote traffic selector (swanctl.conf(5)) of what this node sends.

    With the number of the protocol: charon would look up its name in /etc/protocols, which an image need not have.
    """
    match sent.traffic:
        case UdpPorts(source, destination):
            ports = source, destination
        case IcmpType(type_, code):
            message = None if type_ is None else type_ << 8 | (code or 0)
            ports = message, message
        case AnyTraffic():
            ports = None, None
    return _end(sent.source, sent.protocol, ports[0]), _end(sent.destination, sent.protocol, ports[1])


def _end(prefix: Prefix, protocol: int, port: int | None) -> str:
    return f"{prefix}[{protocol}]" if port is None else f"{prefix}[{protocol}/{port}]"


def parse_view(instance: str, version: Message, connections: Iterable[Message], sas: Iterable[Message]) -> IkeView:
    """The view from the answers to `version`, `list-conns` and `list-sas`."""
    loaded: dict[str, str] = {}
    selectors: dict[str, str] = {}
    for name, settings in _named(connections):
        digests = {match["digest"] for match in _child_names(settings["children"])}
        if len(digests) == 1:
            loaded[name] = digests.pop()
            selectors |= {child: _selectors(configured) for child, configured in settings["children"].items()}
    return IkeView(
        instance=instance,
        loaded=loaded,
        apart_from=loaded_apart_from(connections),
        states=_states(sas, loaded, selectors),
        version=version["version"].decode(),
    )


def key_exchanges(algorithms: Message) -> frozenset[str]:
    """Those that proposals may name, from the answer to `get-algorithms`.

    strongSwan 5 has them in a section of another name, and no additional ones among them.
    """
    listed = (_KEY_EXCHANGES.get(name) for section in ("ke", "dh") for name in algorithms.get(section, ()))
    return frozenset(word for word in listed if word in proposals.KEY_EXCHANGES)


def loaded_apart_from(connections: Iterable[Message]) -> dict[str, int]:
    """By connection that was loaded apart from IKE SAs, in the answer to `list-conns`, the number of the newest one."""
    found = {}
    for name, settings in _named(connections):
        for part, authentication in settings.items():
            match = _DISTINCTION.fullmatch(_text(authentication.get("eap_id"))) if part.startswith("local-") else None
            if match:
                found[name] = int(match["number"])
    return found


def loaded_children(connections: Iterable[Message]) -> frozenset[str]:
    """Names of children in the answer to `list-conns`."""
    return frozenset(match[0] for _, settings in _named(connections) for match in _child_names(settings["children"]))


def complete(connections: Iterable[Message], sas: Iterable[Message]) -> frozenset[str]:
    """Connections of which all loaded children carry traffic, from the answers to `list-conns` and `list-sas`."""
    installed = installed_children(sas)
    loaded = {name: loaded_children([{name: settings}]) for name, settings in _named(connections)}
    return frozenset(name for name, children in loaded.items() if children and children <= installed)


def installed_children(sas: Iterable[Message]) -> frozenset[str]:
    """Names of children that carry traffic, in the answer to `list-sas`."""
    return frozenset(match[0] for _, sa in _named(sas) for match in _carrying(sa))


def stuck_associations(sas: Iterable[Message], loaded: frozenset[str]) -> list[str]:
    """IDs of IKE SAs, in the answer to `list-sas`, that lack loaded children and have no task to negotiate them."""
    stuck = []
    for _, sa in _named(sas):
        waiting = sa["state"] == b"ESTABLISHED" and not any(sa.get(tasks) for tasks in _TASKS)
        if waiting and {match[0] for match in _carrying(sa)} < loaded:
            stuck.append(_id(sa))
    return stuck


def overloaded(sas: Iterable[Message]) -> bool:
    """Whether, in the answer to `list-sas`, more tasks are queued for the peer than one attempt needs."""
    return any(len(sa.get("tasks-queued", ())) > _MAX_QUEUED_TASKS for _, sa in _named(sas))


def numbers(sas: Iterable[Message]) -> list[int]:
    """Numbers of the IKE SAs in the answer to `list-sas`, oldest first."""
    return sorted(int(_id(sa)) for _, sa in _named(sas))


def without(sas: Iterable[Message], numbers: frozenset[int]) -> list[Message]:
    """The answer to `list-sas`, without the IKE SAs of these numbers."""
    return [{name: sa} for name, sa in _named(sas) if int(_id(sa)) not in numbers]


def superseded_associations(sas: Iterable[Message], loaded: frozenset[str]) -> list[str]:
    """IDs of IKE SAs, in the answer to `list-sas`, with children that are not the loaded ones."""
    return [_id(sa) for _, sa in _named(sas) if any(match[0] not in loaded for match in _carrying(sa))]


def children_with(sas: Iterable[Message], spis: frozenset[int]) -> list[str]:
    """IDs of the children, in the answer to `list-sas`, that have one of these SPIs and are not being rekeyed."""
    return [
        str(child["uniqueid"].decode())
        for _, sa in _named(sas)
        for child in sa["child-sas"].values()
        if child["state"] == b"INSTALLED" and spis.intersection(_spis(child))
    ]


def connection_with_refused_key(event: Message) -> str | None:
    """Name of the connection, if a `log` event reports that one side refused the other's key; else None."""
    text = event.get("msg", b"").decode(errors="replace")
    return event.get("ikesa-name", b"").decode(errors="replace") or None if _KEY_REFUSED_LOG.match(text) else None


def connection_with_revoked_certificate(event: Message) -> str | None:
    """Name of the connection, if a `log` event reports that the peer's certificate is revoked; else None."""
    text = event.get("msg", b"").decode(errors="replace")
    return event.get("ikesa-name", b"").decode(errors="replace") or None if _REVOKED_LOG.match(text) else None


def remote_addresses(connections: Iterable[Message]) -> frozenset[str]:
    """Remote addresses in the answer to `list-conns`."""
    found = (settings.get("remote_addrs", ()) for _, settings in _named(connections))
    return frozenset(address.decode() for addresses in found for address in addresses)


def sender_of_ike_packet(event: Message) -> str | None:
    """Address of the sender, if a `log` event reports an IKE packet that was received; else None."""
    match = _RECEIVED_LOG.match(event.get("msg", b"").decode(errors="replace"))
    return match[1] if match else None


def _states(sas: Iterable[Message], loaded: Mapping[str, str], selectors: Mapping[str, str]) -> dict[str, IkeState]:
    """State by connection, over all its IKE SAs: there are two while one replaces the other.

    `selectors` are the configured ones, by child.
    """
    states: dict[str, IkeState] = {}
    for name, sa in _named(sas):
        before = states.get(name, IkeState(established=False))
        children = {match["child"]: match["digest"] == loaded.get(name) for match in _carrying(sa)}
        states[name] = IkeState(
            established=before.established or sa["state"] in KEYS_AGREED,
            children_installed=before.children_installed | {child for child, current in children.items() if current},
            superseded=before.superseded or not all(children.values()),
            spis=before.spis | frozenset(spi for child in sa["child-sas"].values() for spi in _spis(child)),
            children=before.children | frozenset(_children_in_use(sa)),
            narrowed=before.narrowed | frozenset(_narrowed(sa, selectors)),
            associations=_ordered((*before.associations, *_association(sa, children))),
            key_exchange=_weaker(before.key_exchange, _key_exchange(sa)),
            packets_in=before.packets_in + sum(int(child.get("packets-in", 0)) for child in sa["child-sas"].values()),
        )
    return states


def _key_exchange(sa: Message) -> str:
    """Of an IKE SA, in the notation of proposals; empty as long as it has no keys."""
    if sa["state"] not in KEYS_AGREED:
        return ""
    group, additional = (_text(sa.get(name)) for name in ("dh-group", "ake1"))
    word = _KEY_EXCHANGES.get(group, group.lower())
    return f"{word}{HYBRID_MARK}{_KEY_EXCHANGES.get(additional, additional.lower())}" if additional else word


def _weaker(one: str, other: str) -> str:
    """Of two IKE SAs' key exchanges the one that protects less."""
    return other if other and (not one or (is_hybrid(one) and not is_hybrid(other))) else one


def _association(sa: Message, children: Mapping[str, bool]) -> Iterator[IkeAssociation]:
    if sa["state"] in KEYS_AGREED and all(children.values()):
        yield IkeAssociation(
            number=int(_id(sa)),
            initiated=sa.get("initiator") == b"yes",
            children=frozenset(children),
            busy=any(sa.get(tasks) for tasks in _TASKS),
            duplicates=frozenset(_duplicates(sa)),
        )


def _ordered(associations: Iterable[IkeAssociation]) -> tuple[IkeAssociation, ...]:
    return tuple(sorted(associations, key=lambda association: association.number))


def _carrying(sa: Message) -> Iterator[re.Match[str]]:
    """Names of an IKE SA's children that are installed in the kernel."""
    return _child_names(
        child["name"].decode() for child in sa["child-sas"].values() if child["state"].decode() in _CARRIES_TRAFFIC
    )


def _duplicates(sa: Message) -> Iterator[int]:
    """What a rekeying replaces is in another state, or soon will be."""
    latest: dict[bytes, Message] = {}
    installed = [child for child in sa["child-sas"].values() if child["state"] == b"INSTALLED"]
    for child in sorted(installed, key=lambda child: (_installed_seconds(child), -int(child["uniqueid"]))):
        newest = latest.setdefault(child["name"], child)
        if newest is not child and _installed_seconds(newest) >= _REKEYED_SECONDS:
            yield int(child["uniqueid"])


def _installed_seconds(child: Message) -> int:
    return int(child.get("install-time", 0))


def _children_in_use(sa: Message) -> Iterator[IkeChild]:
    names = Counter(child["name"] for child in sa["child-sas"].values())
    for child in sa["child-sas"].values():
        if child["state"].decode() in IN_USE:
            # Of two children of one name one replaces the other, and each may be without its outgoing SA for a moment.
            ends = _BOTH_ENDS if names[child["name"]] == 1 else _INBOUND
            yield IkeChild(int(child["reqid"]), frozenset(_spis(child, ends)))


def _narrowed(sa: Message, selectors: Mapping[str, str]) -> Iterator[NarrowedChild]:
    for child in sa["child-sas"].values():
        name = child["name"].decode()
        if child["state"].decode() in IN_USE and name in selectors:
            configured, negotiated = selectors[name], _selectors(child)
            if negotiated != configured:
                yield NarrowedChild(name.partition("-")[0], configured, negotiated)


def _selectors(child: Message) -> str:
    """Both traffic selectors of a child, in the answers to `list-conns` and `list-sas` alike."""
    return " === ".join(b" ".join(child.get(end, ())).decode() for end in ("local-ts", "remote-ts"))


def _spis(child: Message, ends: Iterable[str] = _BOTH_ENDS) -> Iterator[int]:
    return (int(child[end], 16) for end in ends if end in child)


def _child_names(names: Iterable[str]) -> Iterator[re.Match[str]]:
    return (match for name in names if (match := _CHILD_NAME.fullmatch(name)))


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _id(sa: Message) -> str:
    return str(sa["uniqueid"].decode())


def _named(answers: Iterable[Message]) -> Iterator[tuple[str, Message]]:
    return (item for answer in answers for item in answer.items())


def _child_name(child: str, digest: str) -> str:
    return f"{child}-{digest}"


def _identity(name: str) -> str:
    # Without the type, charon would parse a name such as 10.0.0.1 as an address.
    return f"fqdn:{name}"
