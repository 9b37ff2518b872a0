"""VICI messages: requests that are sent to charon, and the parsing of its answers.

The names of a connection's children end in the connection's digest. So charon itself reports which version of a
connection is loaded, and for which version an SA was negotiated; neither is stored anywhere else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from isthmus.model.names import digest
from isthmus.model.node.ipsec import (
    Child,
    IkeChild,
    IkeConnection,
    IkeState,
    IkeView,
    NarrowedChild,
    PreSharedKeyRef,
)
from isthmus.model.node.traffic import AnyTraffic, IcmpType, Prefix, Selector, UdpPorts

from . import associations
from .associations import BOTH_ENDS, Message, carrying, child_names, named, spis_of

# In an initiator's log and in a responder's; the initiator only learns that authentication failed (RFC 7296, 2.21.2).
_KEY_REFUSED_LOG = re.compile(
    r"received AUTHENTICATION_FAILED notify error|tried \d+ shared keys? for .+ but MAC mismatched"
)
_RECEIVED_LOG = re.compile(r"received packet: from ([0-9a-f.:]+)\[\d+\] to ")
_IN_USE = frozenset({"INSTALLED", "REKEYING"})
_KEYS_AGREED = frozenset({b"ESTABLISHED", b"REKEYING"})
_INBOUND = ("spi-in",)
_SENT = "out"
_OUR_REQIDS = 0x40000000  # above those that charon, or anybody else, numbers from 1
_REPLAY_WINDOW_PACKETS = 1024  # the default of 32 drops packets that a multipath WAN reorders


def shared_key(connection: IkeConnection, key: bytes) -> dict[str, Any]:
    """The `load-shared` request: the pre-shared key of a pair of identities."""
    owners = [_identity(connection.ends.local_identity), _identity(connection.ends.remote_identity)]
    return {"id": connection.name, "type": "IKE", "data": key, "owners": owners}


def connection(wanted: IkeConnection) -> dict[str, Any]:
    """The `load-conn` request: IKEv2 with the connection's children."""
    # charon reuses an IKE SA for a connection if all settings are equal, and the key is not one of them. An identity
    # that only EAP would use makes them differ, so that a changed connection is negotiated again beside the old SA.
    ends, authentication = wanted.ends, _authentication(wanted)
    local = authentication | {"id": _identity(ends.local_identity), "eap_id": wanted.digest}
    # A charon that knows no SA of the peer would send INITIAL_CONTACT, and the peer drop the SAs that still carry the
    # traffic before the new ones are complete (RFC 7296, 2.4: either is optional). Duplicates are superseded later.
    settings = {
        "version": "2",
        "local_addrs": [ends.local_address],
        "remote_addrs": [ends.remote_address],
        "proposals": list(wanted.ike_proposals),
        "rekey_time": f"{wanted.ike_rekey_time_seconds}s",
        "dpd_delay": f"{wanted.dpd_delay_seconds}s",
        "keyingtries": "0",
        "unique": "never",
        "mobike": "no",
        "local": local,
        "remote": authentication | {"id": _identity(ends.remote_identity)},
        "children": {_child_name(child.name, wanted.digest): _child(wanted, child) for child in wanted.children},
    }
    return {wanted.name: settings}


def _authentication(wanted: IkeConnection) -> dict[str, Any]:
    match wanted.credential:
        case PreSharedKeyRef():
            return {"auth": "psk"}


def _child(wanted: IkeConnection, child: Child) -> dict[str, Any]:
    local, remote = _traffic_selectors(child.sent)
    # Only the initiator has trap policies: with traps on both sides both would fire at the same time and duplicate the
    # SAs. Without a trap, the block policies stop unprotected packets. A trap fires on outgoing packets, so it restores
    # only `out`: after the peer restarted or was away, close_action and dpd_action initiate both children again.
    opens = wanted.initiator
    return {
        # The policies of a new charon must fit the SAs of its predecessor, whatever it loads first.
        "reqid": str(_OUR_REQIDS | int(digest(wanted.name, child.name, digits=7), 16)),
        "mode": child.mode,
        "local_ts": [local],
        "remote_ts": [remote],
        "esp_proposals": list(wanted.esp_proposals),
        "rekey_time": f"{wanted.esp_rekey_time_seconds}s",
        "replay_window": str(_REPLAY_WINDOW_PACKETS),
        "start_action": "trap" if opens else "none",
        "close_action": "start" if opens else "none",
        "dpd_action": "restart" if opens else "clear",
    }


def _traffic_selectors(sent: Selector) -> tuple[str, str]:
    """The local and the remote traffic selector (swanctl.conf(5)) of what this node sends."""
    match sent.traffic:
        case UdpPorts(source, destination):
            return _end(sent.source, "udp", source), _end(sent.destination, "udp", destination)
        case IcmpType(type_, code):
            message = None if type_ is None else type_ << 8 | (code or 0)
            return _end(sent.source, str(sent.protocol), message), _end(sent.destination, str(sent.protocol), message)
        case AnyTraffic(protocol):
            return _end(sent.source, str(protocol), None), _end(sent.destination, str(protocol), None)


def _end(prefix: Prefix, protocol: str, port: int | None) -> str:
    return f"{prefix}[{protocol}]" if port is None else f"{prefix}[{protocol}/{port}]"


def parse_view(instance: str, version: Message, connections: Iterable[Message], sas: Iterable[Message]) -> IkeView:
    """The view from the answers to `version`, `list-conns` and `list-sas`."""
    found = list(sas)
    loaded: dict[str, str] = {}
    selectors: dict[str, str] = {}
    for name, settings in named(connections):
        digests = {match["digest"] for match in child_names(settings["children"])}
        if len(digests) == 1:
            loaded[name] = digests.pop()
            selectors |= {child: _selectors(configured) for child, configured in settings["children"].items()}
    return IkeView(
        instance=instance,
        loaded=loaded,
        states=_states(found, loaded, selectors),
        version=version["version"].decode(),
    )


def loaded_children(connections: Iterable[Message]) -> frozenset[str]:
    """Names of children in the answer to `list-conns`."""
    return frozenset(match[0] for _, settings in named(connections) for match in child_names(settings["children"]))


def complete(connections: Iterable[Message], sas: Iterable[Message]) -> frozenset[str]:
    """Connections of which all loaded children carry traffic, from the answers to `list-conns` and `list-sas`."""
    installed = associations.installed_children(sas)
    loaded = {name: loaded_children([{name: settings}]) for name, settings in named(connections)}
    return frozenset(name for name, children in loaded.items() if children and children <= installed)


def connection_with_refused_key(event: Message) -> str | None:
    """Name of the connection, if a `log` event reports that one side refused the other's key; else None."""
    text = event.get("msg", b"").decode(errors="replace")
    return event.get("ikesa-name", b"").decode(errors="replace") or None if _KEY_REFUSED_LOG.match(text) else None


def remote_addresses(connections: Iterable[Message]) -> frozenset[str]:
    """Remote addresses in the answer to `list-conns`."""
    found = (settings.get("remote_addrs", ()) for _, settings in named(connections))
    return frozenset(address.decode() for addresses in found for address in addresses)


def sender_of_ike_packet(event: Message) -> str | None:
    """Address of the sender, if a `log` event reports an IKE packet that was received; else None."""
    match = _RECEIVED_LOG.match(event.get("msg", b"").decode(errors="replace"))
    return match[1] if match else None


def _states(sas: Collection[Message], loaded: Mapping[str, str], selectors: Mapping[str, str]) -> dict[str, IkeState]:
    """State by connection, over all its IKE SAs: there are two while one replaces the other.

    `selectors` are the configured ones, by child.
    """
    states: dict[str, IkeState] = {}
    by_name = _by_name(sas)
    for name, sa in named(sas):
        before = states.get(name, IkeState(established=False))
        children = {match["child"]: match["digest"] == loaded.get(name) for match in carrying(sa)}
        states[name] = IkeState(
            established=before.established or sa["state"] in _KEYS_AGREED,
            children_installed=before.children_installed | {child for child, current in children.items() if current},
            superseded=before.superseded or not all(children.values()),
            spis=before.spis | frozenset(spi for child in sa["child-sas"].values() for spi in spis_of(child)),
            children=before.children | frozenset(_children_in_use(sa)),
            narrowed=before.narrowed | frozenset(_narrowed(sa, selectors)),
            packets_in=before.packets_in + sum(int(child.get("packets-in", 0)) for child in sa["child-sas"].values()),
        )
    for name, version in loaded.items():
        if name in states:
            states[name] = _succeeding(states[name], by_name[name], frozenset(_with_version(selectors, version)))
    return states


def _succeeding(state: IkeState, sas: Collection[Message], loaded: frozenset[str]) -> IkeState:
    """The state, with what is known from the ages of its IKE SAs."""
    return replace(
        state,
        superseded=state.superseded or bool(associations.duplicates(sas, loaded)),
        settled=loaded <= associations.settled_children(sas),
        peer_took_over=any(associations.preceding(sas, child) for child in sent_children(loaded)),
    )


def _by_name(sas: Iterable[Message]) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = {}
    for name, sa in named(sas):
        found.setdefault(name, []).append(sa)
    return found


def _with_version(children: Iterable[str], version: str) -> Iterator[str]:
    return (child for child in children if child.endswith(f"-{version}"))


def sent_children(loaded: Iterable[str]) -> list[str]:
    """Of the loaded children, that of what this node sends through tunnels that begin here."""
    return sorted(match[0] for match in child_names(loaded) if match["child"] == _SENT)


def _children_in_use(sa: Message) -> Iterator[IkeChild]:
    names = Counter(child["name"] for child in sa["child-sas"].values())
    for child in sa["child-sas"].values():
        if child["state"].decode() in _IN_USE:
            # Of two children of one name one replaces the other, and each may be without its outgoing SA for a moment.
            ends = BOTH_ENDS if names[child["name"]] == 1 else _INBOUND
            yield IkeChild(int(child["reqid"]), frozenset(spis_of(child, ends)))


def _narrowed(sa: Message, selectors: Mapping[str, str]) -> Iterator[NarrowedChild]:
    for child in sa["child-sas"].values():
        name = child["name"].decode()
        if child["state"].decode() in _IN_USE and name in selectors:
            configured, negotiated = selectors[name], _selectors(child)
            if negotiated != configured:
                yield NarrowedChild(name.partition("-")[0], configured, negotiated)


def _selectors(child: Message) -> str:
    """Both traffic selectors of a child, in the answers to `list-conns` and `list-sas` alike."""
    return " === ".join(b" ".join(child.get(end, ())).decode() for end in ("local-ts", "remote-ts"))


def _child_name(child: str, version: str) -> str:
    return f"{child}-{version}"


def _identity(name: str) -> str:
    # Without the type, charon would parse a name such as 10.0.0.1 as an address.
    return f"fqdn:{name}"
