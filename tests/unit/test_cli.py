"""The command line explains mistakes in one sentence, without secrets."""

from __future__ import annotations

import json
import os
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from isthmus.cli import configuration
from isthmus.cli.configuration import load
from isthmus.cli.configurationfile import BadConfiguration
from isthmus.cli.main import main
from isthmus.model.settings import AgentSettings, ControllerSettings, Form, Settings

CANARY = "canary-70e1"
GOOD: dict[object, object] = {"cloud_id": "cloud-a", "gateway_cidrs": ["192.0.2.0/24"], "node_name": "gw-a1"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(configuration, "DEFAULT_FILE", str(tmp_path / "absent.yaml"))
    for name in [name for name in os.environ if name.startswith("ISTHMUS_")]:
        monkeypatch.delenv(name)


def _configure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(content)
    monkeypatch.setenv("ISTHMUS_CONFIG", str(path))


def _mistakes(kind: type[Settings]) -> str:
    with pytest.raises(BadConfiguration) as caught:
        load(kind)
    return str(caught.value)


def test_environment_takes_precedence_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD | {"metrics_port": 1234}))
    monkeypatch.setenv("ISTHMUS_METRICS_PORT", "4321")
    settings = load(AgentSettings)
    assert (settings.cloud_id, settings.node_name, settings.metrics_port) == ("cloud-a", "gw-a1", 4321)


LISTED = "must be a list of one to 16 IPv4 or IPv6 networks without host bits, such as [192.0.2.0/24, 2001:db8::/64]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "config.yaml: required: cloud_id, gateway_cidrs"),
        ("{}", "config.yaml: required: cloud_id, gateway_cidrs"),
        (json.dumps(GOOD | {"cloud_id": "Cloud A"}), "config.yaml: cloud_id: must be at most 40 lower-case letters"),
        (json.dumps(GOOD | {"cloud_id": 7}), "such as cloud-a; put it in quotes"),
        (json.dumps(GOOD | {"gateway_cidrs": "192.0.2.0/24"}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (json.dumps(GOOD | {"gateway_cidrs": ["192.0.2.1/24"]}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (json.dumps(GOOD | {"gateway_cidrs": ["2001:db8::1/64"]}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (json.dumps(GOOD | {"gateway_cidrs": ["fe80::/64"]}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (json.dumps(GOOD | {"gateway_cidrs": ["127.0.0.0/8"]}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (json.dumps(GOOD | {"gateway_cidrs": ["240.0.0.0/4"]}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (json.dumps(GOOD | {"gateway_cidrs": []}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (json.dumps(GOOD | {"gateway_cidrs": None}), f"config.yaml: gateway_cidrs: {LISTED}"),
        (
            json.dumps(GOOD | {"metrics_port": 99_999}),
            "config.yaml: metrics_port: must be a whole number from 0 to 65535",
        ),
        (
            json.dumps(GOOD | {"resync_seconds": 0}),
            "config.yaml: resync_seconds: must be a number of seconds, more than 0",
        ),
        (json.dumps(GOOD | {"log_level": "loud"}), "config.yaml: log_level: must be DEBUG, INFO, WARNING or ERROR"),
        ("a: b\ncloud_id: [unclosed", "config.yaml: is not valid YAML (line 2, column 20)"),
        ("cloud_id: \x01", "config.yaml: is not valid YAML"),
        ("just text", "config.yaml: must hold one setting a line, such as cloud_id: cloud-a"),
    ],
)
def test_invalid_setting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, message: str) -> None:
    _configure(monkeypatch, tmp_path, content)
    assert message in _mistakes(ControllerSettings)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("resync_second", "resync_second: unknown setting; did you mean resync_seconds?"),
        ("bfd_interval_miliseconds", "unknown setting; did you mean bfd_interval_milliseconds?"),
        ("openstack-cloud", "openstack-cloud: unknown setting; did you mean openstack_cloud?"),
        ("Log_Level", "Log_Level: unknown setting; did you mean log_level?"),
        ("password", "password: unknown setting"),
        ("a\x1b[2Jb", r"'a\x1b[2Jb': unknown setting"),
        (12, "12: unknown setting"),
    ],
)
@pytest.mark.parametrize("kind", [ControllerSettings, AgentSettings])
def test_unknown_setting_is_an_error_that_names_the_nearest_known_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[Settings], key: object, message: str
) -> None:
    _configure(monkeypatch, tmp_path, yaml.safe_dump(GOOD | {key: CANARY}))
    line = _mistakes(kind)
    assert line.startswith(f"{tmp_path}/config.yaml: ")
    assert line.endswith(message)
    assert CANARY not in line


def test_one_file_serves_both_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    union = GOOD | {"openstack_cloud": "isthmus", "probe_interval_seconds": 3}
    _configure(monkeypatch, tmp_path, json.dumps(union))
    assert load(ControllerSettings).openstack_cloud == "isthmus"
    assert load(AgentSettings).probe_interval_seconds == 3


def test_all_mistakes_are_reported_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _configure(monkeypatch, tmp_path, json.dumps({"cloud_idd": "cloud-a", "resync_seconds": CANARY}))
    monkeypatch.setenv("ISTHMUS_CLOUDS_FIEL", CANARY)
    assert [line.partition("config.yaml: ")[2] or line for line in _mistakes(ControllerSettings).splitlines()] == [
        "cloud_idd: unknown setting; did you mean cloud_id?",
        "environment variable ISTHMUS_CLOUDS_FIEL: unknown setting; did you mean ISTHMUS_CLOUDS_FILE?",
        "required: cloud_id, gateway_cidrs",
        "resync_seconds: must be a number of seconds, more than 0 and at most 3600",
    ]


@pytest.mark.parametrize("level", ["info", "Info", "INFO"])
def test_log_levels_are_case_insensitive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, level: str) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD | {"log_level": level}))
    assert load(AgentSettings).log_level == "INFO"


def test_invalid_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD))
    for wrong in ("192.0.2.0/24", "[192.0.2.0/24"):
        monkeypatch.setenv("ISTHMUS_GATEWAY_CIDRS", wrong)
        assert _mistakes(ControllerSettings) == f"environment variable ISTHMUS_GATEWAY_CIDRS: {LISTED}"


@pytest.mark.parametrize("written", ["[192.0.2.0/24, 198.51.100.0/24]", '["192.0.2.0/24", "198.51.100.0/24"]'])
def test_list_in_the_environment_is_written_as_in_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD))
    monkeypatch.setenv("ISTHMUS_GATEWAY_CIDRS", written)
    assert load(ControllerSettings).gateway_cidrs == ("192.0.2.0/24", "198.51.100.0/24")


def test_kubernetes_service_variables_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD))
    for service in ("ISTHMUS", "ISTHMUS_METRICS"):
        for name, value in {
            "SERVICE_HOST": "10.0.0.11",
            "SERVICE_PORT": "9090",
            "SERVICE_PORT_HTTP": "9090",
            "PORT": "tcp://10.0.0.11:9090",
            "PORT_9090_TCP": "tcp://10.0.0.11:9090",
            "PORT_9090_TCP_ADDR": "10.0.0.11",
        }.items():
            monkeypatch.setenv(f"{service}_{name}", value)
    assert load(ControllerSettings).metrics_port == 9090
    monkeypatch.setenv("ISTHMUS_METRICS_SERVICE_HOST", "10.0.0.11")
    monkeypatch.setenv(
        "ISTHMUS_METRICS_PORT", "9999"
    )  # the pod's own variable, which takes precedence over the Service's
    assert load(ControllerSettings).metrics_port == 9999


def test_missing_file_is_named_with_its_purpose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = f"isthmus: configuration: no configuration file: {tmp_path}/absent.yaml does not exist; "
    assert main(["controller"]) == 78
    assert capsys.readouterr().err == f"{message}required: cloud_id, gateway_cidrs\n"
    assert main(["agent"]) == 78
    assert capsys.readouterr().err == f"{message}required: cloud_id, gateway_cidrs, node_name\n"


def test_environment_alone_is_sufficient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CLOUD_ID": "cloud-a", "GATEWAY_CIDRS": "[192.0.2.0/24]"}.items():
        monkeypatch.setenv(f"ISTHMUS_{name}", value)
    assert load(ControllerSettings).cloud_id == "cloud-a"


def test_file_given_explicitly_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ISTHMUS_CONFIG", str(tmp_path / "nowhere.yaml"))
    monkeypatch.setenv("ISTHMUS_CLOUD_ID", "cloud-a")
    monkeypatch.setenv("ISTHMUS_GATEWAY_CIDRS", "[192.0.2.0/24]")
    missing = f"{tmp_path}/nowhere.yaml, named by ISTHMUS_CONFIG, does not exist"
    assert _mistakes(ControllerSettings) == f"no configuration file: {missing}"
    assert _mistakes(AgentSettings) == f"no configuration file: {missing}; required: node_name"


def test_unreadable_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ISTHMUS_CONFIG", str(tmp_path))
    assert _mistakes(ControllerSettings) == f"{tmp_path}: cannot be read: Is a directory"


def test_every_setting_is_described_and_constrained() -> None:
    for kind in (ControllerSettings, AgentSettings):
        for name, field in kind.model_fields.items():
            assert field.description, name
            assert any(isinstance(item, Form) for item in field.metadata), name
            for unit in re.findall(r"_(seconds|milliseconds)$", name):
                assert unit in field.description.lower(), name


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"isthmus {version('isthmus')}\n")


def test_missing_kubeconfig_is_explained_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _configure(monkeypatch, tmp_path, json.dumps(GOOD | {"kubeconfig": "/absent/kubeconfig"}))
    assert main(["agent"]) == 1
    assert capsys.readouterr().err == "isthmus: kubeconfig: no such file: /absent/kubeconfig\n"


def test_peer_kubeconfig_requires_https(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["peer-kubeconfig", "cloud-b", "--server", "http://192.0.2.10"])
    assert "must begin with https://" in capsys.readouterr().err


def test_impossible_cloud_id_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["peer-kubeconfig", "Cloud_B", "--server", "https://192.0.2.10"])
    assert "must be a cloud ID" in capsys.readouterr().err
