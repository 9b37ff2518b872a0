"""The command line: what is wrong is said in a sentence, and without anybody's secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.cli.configuration import BadConfiguration, load
from isthmus.cli.main import main
from isthmus.model.settings import AgentSettings, ControllerSettings

GOOD = {"cloud_id": "cloud-a", "gateway_cidrs": ["192.0.2.0/24"], "node_name": "gw-a1"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for kind in (ControllerSettings, AgentSettings):
        monkeypatch.setitem(kind.model_config, "yaml_file", str(tmp_path / "absent.yaml"))
    monkeypatch.delenv("ISTHMUS_CONFIG", raising=False)


def _configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(content)
    monkeypatch.setenv("ISTHMUS_CONFIG", str(path))


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD | {"metrics_port": 1234}))
    monkeypatch.setenv("ISTHMUS_METRICS_PORT", "4321")
    settings = load(AgentSettings)
    assert (settings.cloud_id, settings.node_name, settings.metrics_port) == ("cloud-a", "gw-a1", 4321)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "cloud_id: Field required"),
        (json.dumps(GOOD | {"cloud_id": "Cloud A"}), "cloud_id: String should match"),
        (json.dumps(GOOD | {"gateway_cidrs": ["192.0.2.1/24"]}), "gateway_cidrs.0: "),
        (json.dumps(GOOD | {"metrics_port": 99_999}), "metrics_port: "),
        (json.dumps(GOOD | {"resync_seconds": 0}), "resync_seconds: "),
        ("cloud_id: [unclosed", "config.yaml or environment: "),
        ("just text", "config.yaml or environment: "),
    ],
)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, said: str) -> None:
    _configure(monkeypatch, tmp_path, content)
    with pytest.raises(BadConfiguration) as caught:
        load(ControllerSettings)
    assert said in str(caught.value)


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD))
    monkeypatch.setenv("ISTHMUS_GATEWAY_CIDRS", "192.0.2.0/24")
    with pytest.raises(BadConfiguration, match="gateway_cidrs"):
        load(ControllerSettings)


def test_a_missing_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ISTHMUS_CONFIG", str(tmp_path / "nowhere.yaml"))
    assert main(["controller"]) == 78
    assert "there is no file" in capsys.readouterr().err


def test_a_missing_kubeconfig_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD | {"kubeconfig": "/absent/kubeconfig"}))
    assert main(["agent"]) == 1
    assert capsys.readouterr().err == "isthmus: kubeconfig: Configuration file /absent/kubeconfig not found\n"


def test_the_hand_over_wants_https(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["peer-kubeconfig", "cloud-b", "--server", "http://192.0.2.10"])
    assert "must begin with https://" in capsys.readouterr().err
