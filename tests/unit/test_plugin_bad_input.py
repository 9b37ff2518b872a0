"""Every verb of `kubectl isthmus` where it cannot work: one sentence, exit code 3, and nothing is changed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.plugin.core.bundles.bundle import Header, Type, seal
from isthmus.plugin.core.bundles.code import PairingCode
from isthmus.plugin.core.verbs import VERBS
from tests.fakes.failures import failure
from tests.fakes.kubectl import MISSING_KIND, FakeKubectl

SERVER = "https://192.0.2.10:6443"
CODE = PairingCode.new(bytes(17))
LATER = datetime(2099, 1, 1, tzinfo=UTC)
INVITATION = Header(Type.INVITATION, "cloud-a", "cloud-b", LATER, b"i" * 32, b"i" * 32)
ANSWER = Header(Type.ANSWER, "cloud-a", "cloud-b", LATER, b"i" * 32, b"n" * 32)
COMMANDS = {
    "status": [],
    "peers": [],
    "networks": ["-n", "shop"],
    "diagnose": ["cloud-b"],
    "topology": [],
    "verify": ["web"],
    "bench": ["web"],
    "invite": ["cloud-b", "--server", SERVER, "--code-file", "new-code"],
    "join": ["invitation", "--server", SERVER, "--code-file", "code", "--yes"],
    "accept": ["answer", "--code-file", "code", "--yes"],
    "cordon": ["cloud-b"],
    "uncordon": ["cloud-b"],
    "drain": ["cloud-b", "--yes"],
    "revoke": ["cloud-b", "--yes"],
    "forget": ["cloud-b", "--yes"],
    "approve": ["web"],
    "refuse": ["web", "--reason", "no"],
    "gather": [],
    "restart": ["charon", "--yes"],
    "uninstall": ["--yes"],
    "version": [],
}
# For uninstall, a cluster without Isthmus is the end (test_plugin_uninstall.py).
NEEDS_ISTHMUS = sorted(set(COMMANDS) - {"uninstall"})
EVERY_VERB = pytest.mark.parametrize("verb", COMMANDS)


@pytest.fixture
def kubectl(kubectl: FakeKubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    monkeypatch.chdir(tmp_path)
    for name, header in (("invitation", INVITATION), ("answer", ANSWER)):
        (tmp_path / name).write_bytes(seal(header, b"{}", CODE))
    (tmp_path / "code").write_text(CODE.text())
    return kubectl


def sentence(capsys: pytest.CaptureFixture[str], verb: str, *options: str) -> str:
    """The only output; no file is written either."""
    before = sorted(Path.cwd().iterdir())
    found = failure(capsys, verb, *COMMANDS[verb], *options)
    assert [path for path in sorted(Path.cwd().iterdir()) if path not in before and path.name != "calls"] == []
    return found


def is_read_only(kubectl: FakeKubectl) -> bool:
    return all(" get " in call or call.startswith("get ") for call in kubectl.calls)


def test_all_verbs_that_read_the_cluster_are_here() -> None:
    assert set(COMMANDS) == {verb.name for verb in VERBS if verb.reads_cluster}


@EVERY_VERB
@pytest.mark.usefixtures("kubectl")
def test_kubectl_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert sentence(capsys, verb) == (
        "kubectl was not found in any directory of PATH: install it, or add its directory to PATH"
    )


@EVERY_VERB
def test_kubeconfig_without_the_context(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.fails('error: context "nope" does not exist')
    assert sentence(capsys, verb, "--context", "nope") == (
        "the kubeconfig has no context 'nope'; list them with: kubectl config get-contexts"
    )
    assert all("--context=nope" in call for call in kubectl.calls)
    assert is_read_only(kubectl)


@EVERY_VERB
def test_api_server_does_not_answer(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.fails("Unable to connect to the server: dial tcp 192.0.2.1:6443: i/o timeout")
    assert sentence(capsys, verb).startswith("the API server does not answer: Unable to connect to the server: ")
    assert is_read_only(kubectl)


@pytest.mark.parametrize("verb", NEEDS_ISTHMUS)
def test_cluster_without_isthmus(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.fails(MISSING_KIND)
    kubectl.group([])
    expected = "Isthmus is not installed in this cluster: it has no API group isthmus.cloud"
    assert sentence(capsys, verb) == expected
    assert is_read_only(kubectl)


@pytest.mark.parametrize("verb", NEEDS_ISTHMUS)
def test_definitions_of_another_version(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.fails(MISSING_KIND)
    kubectl.group(["v9"])
    assert sentence(capsys, verb) == (
        "this plugin reads isthmus.cloud/v1alpha1, and the cluster serves v9: use the plugin of its release"
    )
    assert is_read_only(kubectl)
