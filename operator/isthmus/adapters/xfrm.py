"""Static policies and states of this node's kernel, by `ip xfrm`: no Python package speaks its netlink family."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress

from isthmus.model.errors import Conflict, ExternalError, NotFound, Unavailable
from isthmus.model.node.ipsec import BlockPolicy, SecurityAssociation, XfrmView

# A number below charon's (about 367,000 for our selectors) would win over its policies, and over the SAs with them.
BLOCK_PRIORITY = 900_000
_TIMEOUT_SECONDS = 10

_ENTRY = re.compile(r"^(?=src )", re.MULTILINE)
_BLOCK = re.compile(
    r"src 0\.0\.0\.0/0 dst (?:0\.0\.0\.0/0 proto udp (?P<end>[sd]port) (?P<port>[0-9]+)"
    r"|(?P<remote>[0-9.]+)/32 proto icmp type 3 code 3) *\n"
    rf"\s+dir (?P<direction>in|out) action block priority {BLOCK_PRIORITY} *(?:ptype main *)?\s*"
)
_STATE = re.compile(
    r"src (?P<source>\S+) dst (?P<destination>\S+) *\n"
    r"\s+proto (?P<protocol>\S+) spi 0x(?P<spi>[0-9a-f]{8}) reqid (?P<reqid>[0-9]+) mode \S+ *$",
    re.MULTILINE,
)
_ERRORS: dict[str, type[ExternalError]] = {
    "File exists": Conflict,
    "No such process": NotFound,
    "No such file or directory": NotFound,
}
_KEYED = re.compile(r"^\s+(?:aead|enc|auth|auth-trunc|comp) ", re.MULTILINE)


class IpXfrm:
    """`ports.Xfrm`, by calls of `ip`."""

    def view(self, addresses: frozenset[str]) -> XfrmView:
        """Two calls: all policies but those of sockets, and all states without their keys."""
        blocks = parse_blocks(_ip("xfrm policy list nosock"))
        associations = parse_associations(_ip("xfrm state list nokeys"))
        return XfrmView(
            frozenset(blocks),
            frozenset(a for a in associations if a.source in addresses or a.destination in addresses),
        )

    def add_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """All in one process or, where one fails, those before it."""
        words = (f"xfrm policy add {_selector(block)} action block priority {BLOCK_PRIORITY}" for block in blocks)
        if text := "".join(f"{line}\n" for line in sorted(words)):
            _ip("-batch -", text)

    def remove_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """By their selectors: the kernel has one policy for each."""
        for selector in sorted(map(_selector, blocks)):
            _delete(f"xfrm policy delete {selector}")

    def remove_associations(self, associations: Iterable[SecurityAssociation]) -> None:
        """By destination, protocol and SPI, which name a state."""
        for a in associations:
            _delete(f"xfrm state delete src {a.source} dst {a.destination} proto {a.protocol} spi 0x{a.spi:08x}")


def parse_blocks(text: str) -> Iterator[BlockPolicy]:
    """Our blocks in what `ip xfrm policy list` tells; policies of any other form are not ours."""
    for entry in _entries(text):
        if match := _BLOCK.fullmatch(entry):
            yield _block(match)


def _block(match: re.Match[str]) -> BlockPolicy:
    if match["remote"]:
        return BlockPolicy(match["direction"], icmp_unreachable_to=match["remote"])
    port = int(match["port"])
    source, destination = (port, None) if match["end"] == "sport" else (None, port)
    return BlockPolicy(match["direction"], source, destination)


def parse_associations(text: str) -> Iterator[SecurityAssociation]:
    """The states in what `ip xfrm state list` tells, without those that have no keys yet."""
    for entry in _entries(text):
        match = _STATE.match(entry)
        if match is None:
            raise Unavailable(f"ip xfrm state list: cannot read {entry.splitlines()[0][:200]!r}")
        if _KEYED.search(entry):
            yield SecurityAssociation(
                match["source"], match["destination"], int(match["spi"], 16), match["protocol"], int(match["reqid"])
            )


def _entries(text: str) -> list[str]:
    return [entry for entry in _ENTRY.split(text) if entry.strip()]


def _selector(block: BlockPolicy) -> str:
    if block.icmp_unreachable_to is not None:
        return f"src 0.0.0.0/0 dst {block.icmp_unreachable_to}/32 proto icmp type 3 code 3 dir {block.direction}"
    end, port = ("sport", block.source_port) if block.source_port is not None else ("dport", block.destination_port)
    return f"src 0.0.0.0/0 dst 0.0.0.0/0 proto udp {end} {port} dir {block.direction}"


def _delete(arguments: str) -> None:
    """One process for each: in a batch, `ip xfrm` ends at the first that is missing, even if it is forced."""
    with suppress(NotFound):
        _ip(arguments)


def _ip(arguments: str, text: str | None = None) -> str:
    command = ["ip", *arguments.split()]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"ip {arguments}: {error}") from error
    if done.returncode:
        said = done.stderr.strip()[-500:] or f"exit status {done.returncode}"
        raise next((kind for words, kind in _ERRORS.items() if words in said), Unavailable)(f"ip {arguments}: {said}")
    return done.stdout
