"""Credentials are redacted in log lines."""

import json
import logging
import warnings

import pytest

from isthmus.model.redaction import redacted
from isthmus.telemetry.logs import set_up

CANARY = "canary-5f0c2d7a9b"


@pytest.mark.parametrize(
    "line",
    [
        f"psk={CANARY}",
        f'{{"password": "{CANARY}"}}',
        f"Expected key value in kubeconfig/{{'user': {{'token': '{CANARY}'}}}}",
        f"Authorization: Bearer {CANARY}",
        f"{{'Authorization': 'Bearer {CANARY}'}}",
        f"psk=it's-{CANARY}",
        f"X-Auth-Token: {CANARY}",
        f"client-key-data: {CANARY}",
        f"eyJhbGciOiJSUzI1NiIsImtpZCI6.{CANARY}.signature",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----",
    ],
)
def test_credential_is_redacted(line: str) -> None:
    assert CANARY not in redacted(f"before {line} after")


def test_ordinary_line_is_unchanged() -> None:
    line = "network 6c1b3b1e: CreateSubnet(cidr='10.20.0.0/24', gateway_ip='10.20.0.1')"
    assert redacted(line) == line


@pytest.mark.parametrize("style", ["text", "json"])
def test_line_on_standard_output(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up("INFO", style)  # type: ignore[arg-type]
    logging.getLogger("isthmus.test").info("token=%s", CANARY)
    line = capsys.readouterr().out
    assert CANARY not in line
    assert "redacted" in line
    if style == "json":
        assert json.loads(line)["level"] == "INFO"


def test_warnings_of_libraries_are_logged_and_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    logging.captureWarnings(False)
    set_up("INFO", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"no vendor profile; password: {CANARY}", stacklevel=1)
    logging.captureWarnings(False)
    out, err = capsys.readouterr()
    assert "no vendor profile" in json.loads(out)["message"]
    assert CANARY not in out + err
    assert err == ""
