"""`kubectl isthmus topology --serve` as a command: its options, what the browser is given, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import webbrowser
from functools import partial
from pathlib import Path

import pytest

from isthmus.plugin.main import main
from tests.fakes.failures import failure
from tests.fakes.kubectl import FakeKubectl

SOURCES = Path(__file__).parents[2] / "operator"


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--port", "8080"), "--port and --no-browser are for --serve"),
        (("--serve", "-o", "json"), "--output is not for --serve"),
        (("--no-browser",), "--port and --no-browser are for --serve"),
        (("--serve", "--port", "80"), "--port must be a number from 1024 to 65535, not '80'"),
        (
            ("--serve", "--port", "٨٠٨٠"),
            "--port must be a number from 1024 to 65535, not '\\u0668\\u0660\\u0668\\u0660'",
        ),
    ],
)
def test_options_of_the_page_are_checked(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert main(["topology", *arguments]) == 2
    assert capsys.readouterr().err == f"kubectl isthmus: {sentence}\n"


def test_a_page_needs_a_free_port_and_a_cluster(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["topology", "--serve", "--no-browser", "--port", port]) == 2
        assert f"cannot listen on port {port} of 127.0.0.1: Address already in use" in capsys.readouterr().err
    kubectl.fails("Unable to connect to the server: dial tcp: i/o timeout")
    assert failure(capsys, "topology", "--serve").startswith("the API server does not answer")


@pytest.mark.usefixtures("kubectl")
def test_the_browser_gets_the_token_in_a_file_of_the_user_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On its command line every user of the computer would see it."""
    seen: list[str] = []

    def opens(address: str) -> bool:
        path = Path(address.removeprefix("file://"))
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        seen.extend([address, path.read_text()])
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", opens)
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["topology", "--serve"]) == 0
    address = capsys.readouterr().out.splitlines()[0]
    assert address.partition("#")[2] not in seen[0]
    assert f'content="0; url={address}"' in seen[1]
    assert not Path(seen[0].removeprefix("file://")).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_usual_signal_ends_the_page_and_its_file(kubectl: FakeKubectl, tmp_path: Path, number: int) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"PATH": f"{kubectl.path}:/usr/bin:/bin", "PYTHONPATH": str(SOURCES), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "isthmus.plugin.main", "topology", "--serve", "--no-browser"]
    usual = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell has its background jobs ignore it
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=usual) as page:
        assert page.stdout is not None
        assert page.stdout.readline().startswith("http://127.0.0.1:")
        assert list(temporary.iterdir())
        page.send_signal(number)
        printed, _ = page.communicate(timeout=30)
    assert (page.returncode, printed.splitlines()[-1]) == (0, "The page has ended.")
    assert list(temporary.iterdir()) == []
