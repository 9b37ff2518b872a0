"""Messages to charon, and parsing of its answers."""

from dataclasses import replace
from typing import Any

from isthmus.adapters.strongswan import messages
from isthmus.core.node import ipsec
from isthmus.model.node.ipsec import (
    EspTransport,
    EspTunnel,
    IkeAssociation,
    IkeChild,
    IkeConnection,
    IkeEnds,
    IkeState,
    IkeView,
    NarrowedChild,
    PreSharedKeyRef,
)
from isthmus.model.node.tunnel import TunnelEnds, Vxlan

CONNECTION = IkeConnection(
    name="ist0123456789",
    ends=IkeEnds("192.0.2.1", "198.51.100.1", "gw-a.cloud-a", "10.0.0.1"),
    protection=EspTransport(Vxlan(14789)),
    ike_proposals=("aes256gcm16-prfsha384-ecp384",),
    esp_proposals=("aes256gcm16-ecp384",),
    ike_rekey_time_seconds=28800,
    esp_rekey_time_seconds=3600,
    dpd_delay_seconds=10,
    initiator=True,
    credential=PreSharedKeyRef("key", "1"),
)
DIGEST = CONNECTION.digest


def _child(name: str, state: bytes, spi: bytes) -> dict[str, bytes]:
    own = {"name": name.encode(), "state": state, "uniqueid": spi.lstrip(b"0"), "reqid": spi}
    return own | {"spi-in": b"c0" + spi, "spi-out": b"d0" + spi}


def _sa(number: bytes, *children: dict[str, bytes], state: bytes = b"ESTABLISHED", tasks: Any = ()) -> dict[str, Any]:
    by_name = {f"{child['name'].decode()}-{i}": child for i, child in enumerate(children)}
    sa = {"uniqueid": number, "state": state, "child-sas": by_name} | ({"tasks-active": tasks} if tasks else {})
    return {CONNECTION.name: sa}


CURRENT = (_child(f"in-{DIGEST}", b"INSTALLED", b"01"), _child(f"out-{DIGEST}", b"REKEYING", b"02"))
FORMER = (_child("in-abcdef012345", b"INSTALLED", b"03"), _child("out-abcdef012345", b"INSTALLED", b"04"))
LOADED: dict[str, Any] = {CONNECTION.name: {"children": {f"in-{DIGEST}": {}, f"out-{DIGEST}": {}}}}


def test_connection_has_two_children_and_typed_identities() -> None:
    (settings,) = messages.connection(CONNECTION).values()
    assert settings["remote"] == {"auth": "psk", "id": "fqdn:10.0.0.1"}
    assert settings["proposals"] == ["aes256gcm16-prfsha384-ecp384"]
    children = settings["children"]
    out, into = children[f"out-{DIGEST}"], children[f"in-{DIGEST}"]
    assert (out["local_ts"], out["remote_ts"]) == (["192.0.2.1/32[17]"], ["198.51.100.1/32[17/14789]"])
    assert (into["local_ts"], into["remote_ts"]) == (["192.0.2.1/32[17/14789]"], ["198.51.100.1/32[17]"])
    assert {child["mode"] for child in children.values()} == {"transport"}


def test_tunnel_mode_protects_packets_between_the_inner_ends() -> None:
    inner = TunnelEnds("240.0.0.2", "240.0.0.3")
    changed = replace(CONNECTION, protection=EspTunnel(Vxlan(14789), inner))
    (settings,) = messages.connection(changed).values()
    assert (settings["local_addrs"], settings["remote_addrs"]) == (["192.0.2.1"], ["198.51.100.1"])
    out = settings["children"][f"out-{changed.digest}"]
    assert (out["mode"], out["local_ts"], out["remote_ts"]) == (
        "tunnel",
        ["240.0.0.2/32[17]"],
        ["240.0.0.3/32[17/14789]"],
    )
    assert changed.digest != DIGEST


def test_ike_begins_on_the_port_that_a_nat_forwards() -> None:
    (settings,) = messages.connection(replace(CONNECTION, remote_port=4501)).values()
    assert (settings["local_port"], settings["remote_port"]) == ("4500", "4501")
    (settings,) = messages.connection(CONNECTION).values()
    assert not settings.keys() & {"local_port", "remote_port"}


def test_a_peer_behind_a_nat_may_come_from_its_networks() -> None:
    (settings,) = messages.connection(replace(CONNECTION, remote_networks=("203.0.113.0/28",))).values()
    assert settings["remote_addrs"] == ["198.51.100.1", "203.0.113.0/28"], "the initiator takes the first one"


def test_digest_is_that_of_the_releases_before() -> None:
    """Otherwise an upgraded agent would have all its SAs negotiated again."""
    assert DIGEST == "3845c6c738fd"


def test_only_the_initiator_has_traps() -> None:
    for initiator, actions in ((True, ("trap", "start", "restart")), (False, ("none", "none", "clear"))):
        (settings,) = messages.connection(replace(CONNECTION, initiator=initiator)).values()
        for child in settings["children"].values():
            assert (child["start_action"], child["close_action"], child["dpd_action"]) == actions


def test_key_is_in_no_other_message() -> None:
    key = b"a key of 32 bytes or a few more .."
    assert messages.shared_key(CONNECTION, key)["data"] == key
    assert repr(key)[2:-1] not in repr(messages.connection(CONNECTION)) + repr(CONNECTION)


def test_view_of_an_established_connection() -> None:
    view = messages.parse_view("s1", {"version": b"5.9.8"}, [LOADED], [_sa(b"1", *CURRENT)])
    assert (view.instance, view.version, view.loaded) == ("s1", "5.9.8", {CONNECTION.name: DIGEST})
    children = frozenset({IkeChild(1, frozenset({0xC001, 0xD001})), IkeChild(2, frozenset({0xC002, 0xD002}))})
    spis = frozenset(spi for child in children for spi in child.spis)
    assert view.states == {CONNECTION.name: IkeState(True, frozenset({"in", "out"}), False, spis, children)}


def test_former_children_are_superseded_and_not_installed() -> None:
    states = messages.parse_view("s1", {"version": b"6"}, [LOADED], [_sa(b"1", *FORMER), _sa(b"2")]).states
    assert states[CONNECTION.name].children_installed == frozenset()
    assert states[CONNECTION.name].superseded
    assert states[CONNECTION.name].spis == {0xC003, 0xD003, 0xC004, 0xD004}


def test_children_not_in_the_kernel_are_ignored() -> None:
    being_made = {"name": f"in-{DIGEST}".encode(), "state": b"CREATED", "reqid": b"1"}
    sas = [_sa(b"1", being_made, state=b"CONNECTING")]
    view = messages.parse_view("s1", {"version": b"6"}, [LOADED], sas)
    assert view.states[CONNECTION.name] == IkeState(established=False)


def test_what_must_be_in_the_kernel_of_a_child_that_replaces_another() -> None:
    """The responder installs the new outgoing SA when the old child goes, whose own may be gone before that."""
    replaced = _child(f"in-{DIGEST}", b"REKEYED", b"01")
    replacing = _child(f"in-{DIGEST}", b"INSTALLED", b"03")
    deleted = _child(f"out-{DIGEST}", b"DELETED", b"02")
    sas = [_sa(b"1", replaced, replacing, deleted)]
    (state,) = messages.parse_view("s1", {"version": b"6"}, [LOADED], sas).states.values()
    assert state.children == {IkeChild(3, frozenset({0xC003}))}


def _with_selectors(child: dict[str, Any], local: bytes, remote: bytes) -> dict[str, Any]:
    return child | {"local-ts": [local], "remote-ts": [remote]}


def test_children_are_judged_by_their_selectors() -> None:
    any_port, tunnel_port, remote = b"192.0.2.1/32[udp]", b"192.0.2.1/32[udp/14789]", b"198.51.100.1/32[udp/14789]"
    into, out = (f"{child}-{DIGEST}" for child in ("in", "out"))
    configured = {name: _with_selectors({}, any_port, remote) for name in (into, out)}
    loaded: list[dict[str, Any]] = [{CONNECTION.name: {"children": configured}}]

    def view(local: bytes) -> IkeView:
        sa = _sa(b"1", _with_selectors(CURRENT[0], any_port, remote), _with_selectors(CURRENT[1], local, remote))
        return messages.parse_view("s1", {"version": b"6"}, loaded, [sa])

    assert view(any_port).states[CONNECTION.name].narrowed == frozenset()
    assert ipsec.up(CONNECTION, view(any_port))
    (narrowed,) = view(tunnel_port).states[CONNECTION.name].narrowed
    assert narrowed == NarrowedChild(
        "out",
        "192.0.2.1/32[udp] === 198.51.100.1/32[udp/14789]",
        "192.0.2.1/32[udp/14789] === 198.51.100.1/32[udp/14789]",
    )
    assert not ipsec.up(CONNECTION, view(tunnel_port))


def test_which_children_are_asked_for_anew() -> None:
    sas = [_sa(b"1", *CURRENT), _sa(b"2", *FORMER)]
    assert messages.children_with(sas, frozenset({0xC001, 0xD002, 0xD004})) == ["1", "4"]
    assert messages.children_with(sas, frozenset()) == []


def test_foreign_connections_are_ignored() -> None:
    answers: list[dict[str, Any]] = [
        {"theirs": {"children": {"net": {}}}},
        {"mixed": {"children": {"in-abc": {}, "out-def": {}}}},
        {"empty": {"children": {}}},
    ]
    theirs = {
        "theirs": {"uniqueid": b"9", "state": b"ESTABLISHED", "child-sas": {"n": _child("net", b"INSTALLED", b"9")}}
    }
    view = messages.parse_view("s1", {"version": b"6"}, answers, [theirs])
    assert view.loaded == {}
    assert view.states["theirs"].spis == {0xC09, 0xD09}


def test_rekeying_sa_is_established() -> None:
    view = messages.parse_view("s1", {"version": b"6"}, [LOADED], [_sa(b"1", *CURRENT, state=b"REKEYING")])
    assert view.states[CONNECTION.name].established


def test_connecting_sa_is_not_initiated_again() -> None:
    silent = _sa(b"1", state=b"CONNECTING")
    (waiting,) = silent.values()
    assert not messages.overloaded([silent])
    waiting["tasks-queued"] = [b"CHILD_CREATE"] * 5
    assert messages.overloaded([silent])


def test_stuck_and_superseded_associations() -> None:
    loaded = messages.loaded_children([LOADED])
    sas = [
        _sa(b"1", *FORMER),
        _sa(b"2", *CURRENT),
        _sa(b"3"),
        _sa(b"4", CURRENT[0]),
        _sa(b"5", CURRENT[0], tasks=[b"CHILD_CREATE"]),
        _sa(b"6", state=b"CONNECTING"),
    ]
    assert messages.stuck_associations(sas, loaded) == ["3", "4"]
    assert messages.superseded_associations(sas, loaded) == ["1"]
    assert messages.installed_children(sas[1:2]) == loaded


def test_established_ike_associations_are_listed_oldest_first() -> None:
    newer = _sa(b"10", CURRENT[0], tasks=[b"CHILD_CREATE"])
    newer[CONNECTION.name] |= {"initiator": b"yes"}
    sas = [newer, _sa(b"9", *CURRENT), _sa(b"8", *FORMER), _sa(b"11", state=b"CONNECTING")]
    (state,) = messages.parse_view("s1", {"version": b"6"}, [LOADED], sas).states.values()
    complete = IkeAssociation(9, False, frozenset({"in", "out"}))
    assert state.associations == (complete, IkeAssociation(10, True, frozenset({"in"})))
    assert [association.busy for association in state.associations] == [False, True]
    assert messages.numbers(sas) == [8, 9, 10, 11]
    assert messages.without(sas, frozenset({9, 10, 11})) == [sas[2]]


def test_child_that_an_association_has_twice_is_a_duplicate_unless_it_is_being_rekeyed() -> None:
    name = f"in-{DIGEST}"
    older, newer = _child(name, b"INSTALLED", b"07"), _child(name, b"INSTALLED", b"08")
    other = _child(f"out-{DIGEST}", b"INSTALLED", b"09")
    for state, seconds, found in ((b"INSTALLED", b"3", {7}), (b"INSTALLED", b"2", set()), (b"REKEYED", b"3", set())):
        children = older | {"state": state, "install-time": b"3"}, newer | {"install-time": seconds}, other
        states = messages.parse_view("s1", {"version": b"6"}, [LOADED], [_sa(b"1", *children)]).states
        (association,) = states[CONNECTION.name].associations
        assert association.duplicates == found


def test_what_is_initiated_later_joins_no_association_of_now() -> None:
    """By the one setting that no peer sees, and with the same children."""
    (settings,), (apart,) = (messages.connection(CONNECTION, apart_from=number).values() for number in (None, 7))
    assert settings["local"].pop("eap_id") != apart["local"].pop("eap_id")
    assert settings == apart


def test_no_association_ends_another_and_reqids_outlive_charon() -> None:
    (settings,) = messages.connection(CONNECTION).values()
    assert settings["unique"] == "never"
    reqids = {name.partition("-")[0]: int(child["reqid"]) for name, child in settings["children"].items()}
    assert reqids == {child.name: child.reqid for child in replace(CONNECTION, ike_rekey_time_seconds=7).children}
    assert len(set(reqids.values())) == 2
    assert all(1 << 31 <= reqid < 1 << 32 for reqid in reqids.values()), "charon counts up from 1"


def test_a_revoked_peer_is_told_from_charons_log() -> None:
    text = b"certificate was revoked on Nov 27 07:25:50 UTC 2026, reason: unspecified"
    event = {"msg": text, "ikesa-name": b"istpeer"}
    assert messages.connection_with_revoked_certificate(event) == "istpeer"
    assert messages.connection_with_revoked_certificate({"msg": text}) is None
    assert messages.connection_with_revoked_certificate(event | {"msg": b"x " + text}) is None
    assert messages.connection_with_refused_key(event) is None
    refused = {"msg": b"no trusted ECDSA public key found for 'gw-a.cloud-a'", "ikesa-name": b"istpeer"}
    assert messages.connection_with_refused_key(refused) == "istpeer"
