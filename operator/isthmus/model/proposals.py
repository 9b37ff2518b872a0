"""IKE and ESP proposals in strongSwan's notation: which an IPsecPolicy may have, and why others are refused.

Regular expressions are those of RE2 as well, for the API server evaluates the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Protocol = Literal["IKE", "ESP"]

ENCRYPTION: Final = ("aes256gcm16", "chacha20poly1305")
PSEUDO_RANDOM_FUNCTIONS: Final = ("prfsha256", "prfsha384", "prfsha512")
GROUPS: Final = (
    "ecp256", "ecp384", "ecp521", "ecp256bp", "ecp384bp", "ecp512bp", "x25519", "x448",
    "modp3072", "modp4096", "modp6144", "modp8192",
)  # fmt: skip
HYBRIDS: Final = ("mlkem768", "mlkem1024")
"""Additional key exchanges (RFC 9370) by ML-KEM (FIPS 203)."""
KEY_EXCHANGES: Final = (*GROUPS, *HYBRIDS)
HYBRID_MARK: Final = "-ke1_"
"""What a proposal with an additional key exchange has in it, and no other."""
_DEFAULT_HYBRID: Final = "mlkem768"
MAXIMUM_CHARACTERS: Final = 64


def _any_of(names: tuple[str, ...]) -> str:
    return f"({'|'.join(names)})"


_END: Final = rf"-{_any_of(GROUPS)}({HYBRID_MARK}{_any_of(HYBRIDS)})?$"
PATTERNS: Final[Mapping[Protocol, str]] = MappingProxyType(
    {
        "IKE": f"^{_any_of(ENCRYPTION)}-{_any_of(PSEUDO_RANDOM_FUNCTIONS)}{_END}",
        "ESP": f"^{_any_of(ENCRYPTION)}{_END}",
    }
)
"""What is allowed."""

# Weak or useless algorithms by name, each with the reason; the first that matches is given.
WEAK: Final = (
    (
        "(^|-)(3des|des|des_iv64|blowfish[0-9]*|cast128|idea|rc5)(-|$)",
        "this cipher has blocks of 64 bits, or a broken key length (RFC 8247, 2.1): use aes256gcm16",
    ),
    ("(^|-)null[a-z0-9_]*(-|$)", "null does not encrypt: use aes256gcm16"),
    ("(^|-)aes(128|192|256)?gmac(-|$)", "aesgmac does not encrypt: use aes256gcm16"),
    (
        "(^|-)(aes|aes(128|192|256)(ctr|xcbc|cmac)?|camellia[0-9a-z]*|serpent[0-9]*|twofish[0-9]*)(-|$)",
        "this cipher does not authenticate what it encrypts: use aes256gcm16 or chacha20poly1305",
    ),
    ("(^|-)aes256(gcm|ccm)(8|12|64|96)(-|$)", "the integrity check value is shorter than 16 bytes: use aes256gcm16"),
    ("(^|-)aes(128|192)(gcm|ccm)[0-9]*(-|$)", "the key is shorter than 256 bits: use aes256gcm16"),
    ("(^|-)(prf)?(md5|sha1)(_[0-9]+)?(-|$)", "MD5 and SHA-1 are broken (RFC 8247, 2.2): use prfsha384"),
    (
        "(^|-)(modp(768|1024|1536|2048|1024s160|2048s224|2048s256)|ecp192|ecp224|ecp224bp)(-|$)",
        "this group has less than 128 bits of strength, or a prime of unknown origin: use ecp384 or x25519",
    ),
    ("(^|-)mlkem512(-|$)|_mlkem512(-|$)", "ML-KEM-512 is the weakest set of parameters: use ke1_mlkem768"),
)
_WORDS: Final = f"(^|-){_any_of(GROUPS)}(-|$)"
NO_GROUP: Final = "a proposal needs a group, such as ecp384: without one there is no forward secrecy"


def rules() -> tuple[tuple[str, str], ...]:
    """The same as rules in CEL on one proposal, with the message of each."""
    weak = ((f"!self.matches('{pattern}')", reason) for pattern, reason in WEAK)
    has_weak_group = WEAK[-2][0]
    return (*weak, (f"self.matches('{_WORDS}') || self.matches('{has_weak_group}')", NO_GROUP))


def proposal_problem(protocol: Protocol, proposal: str) -> str | None:
    """Why a proposal is not allowed; None if it is."""
    if re.search(PATTERNS[protocol], proposal):
        return None
    for pattern, reason in WEAK:
        if re.search(pattern, proposal):
            return reason
    if not re.search(_WORDS, proposal):
        return NO_GROUP
    form = "<cipher>-<PRF>-<group>" if protocol == "IKE" else "<cipher>-<group>"
    return f"it is not of the form {form} of algorithms that Isthmus allows, such as {DEFAULT.of(protocol)[0]}"


@dataclass(frozen=True)
class ProposalLists:
    """Proposals of an IPsecPolicy in order of preference."""

    ike: tuple[str, ...]
    esp: tuple[str, ...]

    def of(self, protocol: Protocol) -> tuple[str, ...]:
        """Those of one protocol."""
        return self.ike if protocol == "IKE" else self.esp


DEFAULT: Final = ProposalLists(("aes256gcm16-prfsha384-ecp384",), ("aes256gcm16-ecp384",))

# docs/security.md has the documents that these follow, their dates, and what of them was read.
BASELINES: Final[Mapping[str, ProposalLists]] = MappingProxyType(
    {
        "BSI-TR-02102-3": ProposalLists(
            ike=(
                "aes256gcm16-prfsha512-ecp521",
                "aes256gcm16-prfsha384-ecp384",
                "aes256gcm16-prfsha512-ecp512bp",
                "aes256gcm16-prfsha384-ecp384bp",
            ),
            esp=("aes256gcm16-ecp521", "aes256gcm16-ecp384", "aes256gcm16-ecp512bp", "aes256gcm16-ecp384bp"),
        ),
        "CNSA-2.0": ProposalLists(
            ike=("aes256gcm16-prfsha384-ecp384-ke1_mlkem1024",), esp=("aes256gcm16-ecp384-ke1_mlkem1024",)
        ),
    }
)


def is_hybrid(proposal: str) -> bool:
    """Whether a proposal has an additional key exchange, and so resists a quantum computer."""
    return HYBRID_MARK in proposal


def additional_key_exchange(proposal: str) -> str | None:
    """The word of a proposal's additional key exchange, such as mlkem768; None if it has none."""
    return proposal.partition(HYBRID_MARK)[2] or None


def group(proposal: str) -> str:
    """The word of a proposal's group, such as ecp384, whether there is an additional key exchange or not."""
    return proposal.partition(HYBRID_MARK)[0].rpartition("-")[2]


def proposals_of(
    baseline: str | None, ike: tuple[str, ...] | None, esp: tuple[str, ...] | None, *, require_hybrid: bool = False
) -> ProposalLists:
    """What a policy stands for: its own lists, else those of its baseline, else the default.

    Its own lists are as they are. To the others hybrid IKE proposals are added in front, the classical ones being the
    fallback: all keys, of ESP as well, follow from those of the IKE SA. With `require_hybrid` there is no fallback.
    """
    named = BASELINES.get(baseline or "", DEFAULT)
    offered = ike or _with_hybrids(named.ike)
    if require_hybrid:
        offered = tuple(proposal for proposal in offered if is_hybrid(proposal))
    return ProposalLists(offered, esp or named.esp)


def without_hybrids(proposals: tuple[str, ...]) -> tuple[str, ...]:
    """The fallback alone; all of them if there is no other."""
    return tuple(proposal for proposal in proposals if not is_hybrid(proposal)) or proposals


def _with_hybrids(proposals: tuple[str, ...]) -> tuple[str, ...]:
    hybrids = (p if is_hybrid(p) else f"{p}{HYBRID_MARK}{_DEFAULT_HYBRID}" for p in proposals)
    return tuple(dict.fromkeys((*hybrids, *proposals)))
