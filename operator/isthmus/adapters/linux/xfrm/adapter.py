"""`ports.Xfrm`. Each call uses a netlink socket of its own, so that any thread may call."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, nlmsg

from isthmus.model.errors import Conflict, ExternalError, NotFound
from isthmus.model.node.ipsec import BlockPolicy, BlockView, ProtectPolicy, SecurityAssociation

from ..netlink import NetlinkSocket, decoded
from . import messages
from .policies import OwnPolicy, by_index, by_selector, encoded, index_of, own_indexes, own_policies
from .states import associations, encoded_id
from .templates import protect_policies

_NEW = NLM_F_CREATE | NLM_F_EXCL
_ACTIONS = {messages.ALLOW: "allow", messages.BLOCK: "block"}


class NetlinkXfrm:
    """`ports.Xfrm` for the network namespace of the calling thread."""

    def blocks(self) -> BlockView:
        """One dump of all policies."""
        with _kernel() as kernel:
            ours = list(own_policies(kernel.dump(messages.GETPOLICY, nlmsg())))
        outdated = frozenset(own.block for own in ours if not own.current)
        return BlockView(frozenset(own.block for own in ours), outdated)

    def add_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """One request for each block policy."""
        conflicts = []
        with _kernel() as kernel:
            dump = kernel.dump(messages.GETPOLICY, nlmsg())
            existing = {own.block: own for own in own_policies(dump)}
            taken = {index_of(raw) for raw in dump}
            for block in sorted(blocks, key=str):
                try:
                    kernel.change(*_commands(block, existing.get(block), taken))
                except Conflict:
                    conflicts.append(_described(kernel, block))
        if conflicts:
            raise Conflict(f"foreign XFRM policies: {', '.join(conflicts)}")

    def remove_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """By index, so that a foreign policy with the same selector is never hit."""
        unwanted = frozenset(blocks)
        with _kernel() as kernel:
            for own in own_policies(kernel.dump(messages.GETPOLICY, nlmsg())):
                if own.block in unwanted:
                    _delete(kernel, messages.DELPOLICY, by_index(own))

    def associations(self, addresses: Collection[str]) -> frozenset[SecurityAssociation]:
        """One dump of all states."""
        with _kernel() as kernel:
            dump = kernel.dump(messages.GETSA, nlmsg())
        return frozenset(a for a in associations(dump) if a.source in addresses or a.destination in addresses)

    def protect_policies(self) -> frozenset[ProtectPolicy]:
        """One dump of all policies."""
        with _kernel() as kernel:
            return frozenset(protect_policies(kernel.dump(messages.GETPOLICY, nlmsg())))

    def remove_associations(self, unwanted: Iterable[SecurityAssociation]) -> None:
        """By destination, protocol and SPI, which identify a state."""
        with _kernel() as kernel:
            for association in unwanted:
                _delete(kernel, messages.DELSA, encoded_id(association))


def _kernel() -> NetlinkSocket:
    return NetlinkSocket(messages.NETLINK_XFRM, "XFRM")


def _commands(block: BlockPolicy, own: OwnPolicy | None, taken: set[int]) -> Iterator[tuple[int, nlmsg, int]]:
    """What adds or corrects a block policy. An update in place leaves no gap."""
    if own is not None and own.has_own_index:
        yield messages.UPDPOLICY, encoded(block, own.index), 0
        return
    if own is not None:
        yield messages.DELPOLICY, by_index(own), 0
    candidates = own_indexes(block)
    index = next((index for index in candidates if index not in taken), candidates[0])
    taken.add(index)
    yield messages.NEWPOLICY, encoded(block, index), _NEW


def _described(kernel: NetlinkSocket, block: BlockPolicy) -> str:
    """The foreign policy with the selector of a block, as an administrator can find it."""
    with suppress(ExternalError):
        policy = decoded(messages.Policy, kernel.get(messages.GETPOLICY, by_selector(block)))
        if policy is not None:
            action = _ACTIONS.get(policy["action"], str(policy["action"]))
            return f"{block} (action {action} priority {policy['priority']} index {policy['index']})"
    return str(block)


def _delete(kernel: NetlinkSocket, kind: int, message: nlmsg) -> None:
    with suppress(NotFound):
        kernel.change((kind, message, 0))
