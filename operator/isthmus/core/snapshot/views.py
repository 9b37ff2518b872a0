"""The last views of all peers, with indexes over the links that they offer."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec
from isthmus.model.api.v1alpha1.memberlink import MemberLinkSpec
from isthmus.model.api.v1alpha1.portslice import PortSliceSpec
from isthmus.model.facts.peer import PeerView, Published
from isthmus.model.sharedmapping import SharedMapping

Links = SharedMapping[str, Published[ExpansionLinkSpec]]

_NO_LINKS: Final = Links()
_NO_MEMBER_LINKS: Final = SharedMapping[str, Published[MemberLinkSpec]]()
_NO_SLICES: Final = SharedMapping[str, Mapping[int, Published[PortSliceSpec]]]()


@dataclass(frozen=True)
class ViewChange:
    """What differs between two views of a peer."""

    cloud_id: str
    links: frozenset[str]
    """Link names of networks whose link, MemberLink or PortSlices were added, changed or removed."""
    peer: bool
    """Whether its PeerLink changed, or how far the peer can be read and understood."""
    networks: bool
    """Whether all networks of the peer are concerned: by the PeerLink, or by how far the peer can be read."""


@dataclass
class PeerViews:
    """Views by cloud ID."""

    _views: dict[str, PeerView] = field(default_factory=dict)
    _offers: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    """Names of active offers, sorted, by the peer's cloud ID and tunnel ID."""
    _own_networks: dict[str, set[str]] = field(default_factory=dict)

    def get(self, cloud_id: str) -> PeerView | None:
        """The last view; None if the peer was not read yet."""
        return self._views.get(cloud_id)

    def items(self) -> tuple[tuple[str, PeerView], ...]:
        """All views by cloud ID."""
        return tuple(self._views.items())

    def offered(self, cloud_id: str) -> Collection[str]:
        """Names of the links that the peer publishes about networks of its own."""
        return self._own_networks.get(cloud_id, frozenset())

    def first_offer_with(self, cloud_id: str, tunnel_id: int) -> str | None:
        """Name of the first of the active offers that the peer publishes with that tunnel ID."""
        return next(iter(self._offers.get((cloud_id, tunnel_id), ())), None)

    def replace(self, views: Mapping[str, PeerView]) -> tuple[ViewChange, ...]:
        """The differences from the views as they are now, found without a look at what they share."""
        changes = [self._store(cloud_id, views.get(cloud_id)) for cloud_id in sorted(self._views.keys() | views.keys())]
        return tuple(change for change in changes if change is not None)

    def _store(self, cloud_id: str, view: PeerView | None) -> ViewChange | None:
        before = self._views.get(cloud_id)
        if view is before or view == before:
            return None
        old, new = before.links if before else _NO_LINKS, view.links if view else _NO_LINKS
        differing = _differing(old, new)
        for name in differing:
            self._forget_offer(cloud_id, name, old.get(name))
            self._add_offer(cloud_id, name, new.get(name))
        self._note_own_networks(cloud_id, differing, new)
        if view is None:
            del self._views[cloud_id]
        else:
            self._views[cloud_id] = view
        networks = _of_networks(before) != _of_networks(view)
        slices, members = _with_other_slices(before, view), _with_other_member_links(before, view)
        changed = (link for links in (old, new) for name in differing if (link := links.get(name)) is not None)
        peer = networks or _texts(before) != _texts(view) or any(link.problem or link.left_out for link in changed)
        links = differing | slices.links | members.links
        return ViewChange(cloud_id, links, peer or slices.peer or members.peer, networks)

    def _note_own_networks(self, cloud_id: str, differing: frozenset[str], published: Collection[str]) -> None:
        own = {name for name in differing if name.startswith(f"{cloud_id}.")}
        held = self._own_networks.setdefault(cloud_id, set())
        held |= {name for name in own if name in published}
        held -= {name for name in own if name not in published}

    def _forget_offer(self, cloud_id: str, name: str, link: Published[ExpansionLinkSpec] | None) -> None:
        for tunnel_id in _offered_tunnel_ids(link):
            names = self._offers[cloud_id, tunnel_id]
            del names[bisect_left(names, name)]
            if not names:
                del self._offers[cloud_id, tunnel_id]

    def _add_offer(self, cloud_id: str, name: str, link: Published[ExpansionLinkSpec] | None) -> None:
        for tunnel_id in _offered_tunnel_ids(link):
            insort(self._offers.setdefault((cloud_id, tunnel_id), []), name)


def _differing(old: Links, new: Links) -> frozenset[str]:
    """Names whose link differs: by UID and generation, which a spec never changes without."""
    return frozenset(name for name in old.differing(new) if _version(old.get(name)) != _version(new.get(name)))


def _version(link: Published[ExpansionLinkSpec] | None) -> object:
    return link and (link.uid, link.generation, link.problem)


@dataclass(frozen=True)
class _Others:
    links: frozenset[str]
    peer: bool
    """Whether one of them is not understood completely."""


def _with_other_slices(before: PeerView | None, after: PeerView | None) -> _Others:
    """The networks whose PortSlices differ."""
    old, new = (view.port_slices if view else _NO_SLICES for view in (before, after))
    links = frozenset(name for name in old.differing(new) if old.get(name) != new.get(name))
    held = [each for slices in (old, new) for name in links for each in slices.get(name, {}).values()]
    return _Others(links, any(each.problem or each.left_out for each in held))


def _with_other_member_links(before: PeerView | None, after: PeerView | None) -> _Others:
    """The networks whose MemberLink differs."""
    old, new = (view.member_links if view else _NO_MEMBER_LINKS for view in (before, after))
    links = frozenset(name for name in old.differing(new) if old.get(name) != new.get(name))
    held = [each for published in (old, new) for name in links if (each := published.get(name)) is not None]
    return _Others(links, any(each.problem or each.left_out for each in held))


def _texts(view: PeerView | None) -> object:
    return view and (view.message, view.port_slices_problem, view.member_links_problem)


def _offered_tunnel_ids(link: Published[ExpansionLinkSpec] | None) -> frozenset[int]:
    spec = link.spec if link is not None else None
    offer = spec.offer if spec is not None and spec.state == "Active" else None
    return frozenset(offer.tunnel_ids) if offer is not None else frozenset()


def _of_networks(view: PeerView | None) -> object:
    return view and (view.complete, view.member_links_complete, view.reachable, view.reason, view.peer_link)
