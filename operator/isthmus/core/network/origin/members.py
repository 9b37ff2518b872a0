"""Members of a network beside its origin: their numbers, and the tunnel IDs by which they reach each other through it.

Our own links are the record. A number is not given again as long as any of them has it, and a tunnel ID stays in its
link, retired, until no gateway node of either cloud uses it: a late agent must not hand frames of this
network on into another one that was given the same tunnel ID.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from isthmus.model.api.v1alpha1.expansionlink import (
    MAX_OFFERED_MEMBERS,
    ORIGIN_NUMBER,
    ExpansionLink,
    OfferedMember,
)
from isthmus.model.types import MAX_MEMBER_NUMBER


def numbers_of(links: Mapping[str, ExpansionLink], able: Collection[str]) -> dict[str, int]:
    """By cloud ID the number of each member that has one, or is `able` to have one and gets it now."""
    found = {cloud_id: offer.number for cloud_id, link in links.items() if (offer := link.spec.offer) and offer.number}
    free = iter(_free(links.values()))
    return found | dict(zip(sorted({*able} - found.keys()), free, strict=False))


def _free(links: Iterable[ExpansionLink]) -> Iterable[int]:
    offers = [link.spec.offer for link in links if link.spec.offer is not None]
    used = {offer.number for offer in offers} | {member.number for offer in offers for member in offer.members}
    return (number for number in range(ORIGIN_NUMBER + 1, MAX_MEMBER_NUMBER + 1) if number not in used)


def offered_members(
    before: Sequence[OfferedMember],
    joined: Collection[int],
    named: Mapping[int, str],
    released: bool,
    unused_tunnel_ids: Callable[[int], Sequence[int]],
) -> tuple[OfferedMember, ...]:
    """The members that one link lists, ordered by number.

    `joined` are the numbers of those that its peer may reach through this cloud, `named` the cloud IDs of those that it
    may reach directly; `released` tells whether nobody uses the tunnel IDs any more that are retired. Without unused
    tunnel IDs new members are left out, but for those that are named.
    """
    kept = {
        member.number: member.model_copy(update={"retired": member.number not in joined})
        for member in before
        if member.tunnel_id is not None and (member.number in joined or not (member.retired and released))
    }
    room = max(0, MAX_OFFERED_MEMBERS - len(kept.keys() | named.keys()))
    new = sorted({*joined} - kept.keys())
    new = [number for number in new if number in named] + [number for number in new if number not in named][:room]
    tunnel_ids = unused_tunnel_ids(len(new)) if new else ()
    listed = {number: OfferedMember(number=number) for number in named} | kept
    listed |= {n: OfferedMember(number=n, tunnel_id=tunnel_id) for n, tunnel_id in zip(new, tunnel_ids, strict=False)}
    members = (member.model_copy(update={"cloud_id": named.get(number)}) for number, member in listed.items())
    return tuple(sorted(members, key=lambda member: member.number))
