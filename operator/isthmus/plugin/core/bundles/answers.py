"""What invite, join and accept answer, and what they show before they ask."""

from __future__ import annotations

from typing import Any

from ..answer import Answer, ExitCode
from ..tables import Style
from .bundle import Header, Type
from .code import PairingCode
from .terms import Terms


def invited(
    header: Header, file: str, server: str, credential_ends: str, code: PairingCode, code_file: str | None
) -> Answer:
    """The invitation was written; the code is shown this once."""
    document = _document(header, file, server, credential_ends)

    def text(style: Style) -> list[str]:
        shown = [f"The pairing code is in {code_file}."]
        if code_file is None:
            shown = ["Pairing code, which is not shown again:", "", f"    {style.heading(code.text())}", ""]
        return [
            *_written(header, "invitation", file, credential_ends),
            *shown,
            f"Give the code to the administrator of {header.receiver} by another path than the file, by telephone for",
            "instance, and keep it for the answer: kubectl isthmus accept FILE",
        ]

    return Answer("invite", ExitCode.FINE, document, text)


def joined(header: Header, file: str, server: str, credential_ends: str) -> Answer:
    """The answer was written."""
    document = _document(header, file, server, credential_ends)

    def text(_: Style) -> list[str]:
        return [
            *_written(header, "answer", file, credential_ends),
            f"When it has been accepted: kubectl wait cloudpeer/{header.receiver} --for=condition=Ready",
        ]

    return Answer("join", ExitCode.FINE, document, text)


def accepted(header: Header) -> Answer:
    """The agreement begins."""
    document = {"peer": header.sender, "state": "Active"}
    lines = [
        f"CloudPeer {header.sender} is active.",
        f"When both clouds have connected: kubectl wait cloudpeer/{header.sender} --for=condition=Ready",
    ]
    return Answer("accept", ExitCode.FINE, document, lambda _: lines)


def summary(header: Header, terms: Terms, policy: str) -> list[str]:
    """What is to be agreed on. All of it is authentic, and checked."""
    what = "invitation" if header.type == Type.INVITATION else "answer"
    return [
        f"{what} of {header.sender}, valid until {header.expires:%Y-%m-%d %H:%M} UTC",
        f"  API server  {terms.server}",
        f"  gateways    in {', '.join(terms.gateway_cidrs)}",
        f"  tunnel      {terms.tunnel}, IDs {terms.tunnel.first} to {terms.tunnel.last}",
        f"  IPsec       IPsecPolicy {policy}, and a new pre-shared key",
    ]


def _written(header: Header, what: str, file: str, credential_ends: str) -> list[str]:
    return [
        f"Wrote the {what} to {file}: send it to the administrator of {header.receiver}.",
        f"It is valid until {header.expires:%Y-%m-%d %H:%M} UTC, the credential in it until {credential_ends}.",
    ]


def _document(header: Header, file: str, server: str, credential_ends: str) -> dict[str, Any]:
    return {
        "peer": header.receiver,
        "file": file,
        "server": server,
        "expires": f"{header.expires:%Y-%m-%dT%H:%M:%SZ}",
        "credentialExpires": credential_ends,
    }
