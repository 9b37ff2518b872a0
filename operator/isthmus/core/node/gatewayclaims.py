"""Which members of a network may not claim the address of a gateway: all but the cloud whose router has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

HERE = 0  # the number of this cloud among the members that frames come from


def wrong_claims(
    of_origin: Iterable[str],
    of_here: Iterable[str],
    of_members: Mapping[int, Iterable[str]],
    *,
    at_origin: bool,
    direct: Iterable[int] = (),
) -> Iterator[tuple[int, str]]:
    """Pairs of a sender's number and a gateway's IPv4 address that its ARP may not claim.

    `of_origin` are the origin's gateways, `of_here` this cloud's own on a replica, `of_members` those of each member,
    by number, which has an entry for every one. `direct` are those of which the origin does not see all frames. At a
    receiver its own side and these are wrong for the origin's gateways, and the origin is for its own.
    """
    wrong_for_origin = (*of_members,) if at_origin else (HERE, *direct)
    for address in of_origin:
        yield from ((sender, address) for sender in wrong_for_origin)
    for address in of_here:
        yield from ((sender, address) for sender in of_members)
    for member, addresses in of_members.items():
        for address in addresses:
            yield from ((sender, address) for sender in (HERE, *of_members) if sender != member)
