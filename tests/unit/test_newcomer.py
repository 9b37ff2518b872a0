"""The newcomer's path types what the README says, in the right cloud, and hands files and code over."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.bench import newcomer
from tests.bench.administrator import Administrator
from tests.bench.newcomer import Newcomer
from tests.readme import PATH_TO_THE_FIRST_PING, commands

CODE = "0A1B-2C3D-4E5F-6G7H-8J9K-0MNP-QRST"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What is typed: cloud, line, and the code that the administrator knows. Bundles are written as they would be."""
    lines: list[tuple[str, str, str]] = []

    def record(ours: Administrator, line: str, **environment: str) -> str:
        lines.append((ours.cloud.name, line, ours.code))
        assert environment == {"PROJECT": "p1"}
        if "isthmus invite" in line:
            ours.write("cloud-a.for.cloud-b.isthmus", "invitation")
            ours.code = CODE
        elif found := re.search(r"isthmus (join|accept) (\S+)", line):
            assert (ours.directory / found[2]).read_text() == {"join": "invitation", "accept": "answer"}[found[1]]
            ours.write("cloud-b.for.cloud-a.isthmus", "answer")
        return ""

    monkeypatch.setattr(Administrator, "type", record)
    return lines


@pytest.fixture
def walked(tmp_path: Path, typed: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch) -> Newcomer:
    """The path, in clouds that do nothing."""
    assert not typed
    made = SimpleNamespace(network_id="n1", project=SimpleNamespace(id="p1"), boot=lambda _: None)
    monkeypatch.setattr(newcomer, "Tenant", SimpleNamespace(create=lambda *_: made))
    monkeypatch.setattr(newcomer, "Stretch", SimpleNamespace(of=lambda *_: None))
    monkeypatch.setattr(newcomer, "_first_reply", lambda _: None)
    program = tmp_path / "program"
    sides = [
        SimpleNamespace(cloud=SimpleNamespace(name=name, cloud_id=f"cloud-{name}", kubectl=lambda *_: ""))
        for name in ("a", "b")
    ]
    assets = SimpleNamespace(helm=program, kubectl=program)
    clouds: Any = SimpleNamespace(both=sides, a=sides[0], assets=assets)
    path = Newcomer(clouds, tmp_path / "homes")
    path.walk()
    return path


def test_every_command_is_typed_in_its_cloud(walked: Newcomer, typed: list[tuple[str, str, str]]) -> None:
    """But the images are built before; the lab's own values are added."""
    expected = [
        (command.prompt or "a", command.line)
        for heading in PATH_TO_THE_FIRST_PING
        for command in commands(heading)
        if not command.line.startswith("make images ")
    ]
    assert [(cloud, line.removesuffix(" --values lab.yaml")) for cloud, line, _ in typed] == expected
    (changed,) = [line for _, line, _ in typed if line.endswith(" --values lab.yaml")]
    assert changed.startswith("helm install ")
    assert list(walked.seconds)[:3] == list(PATH_TO_THE_FIRST_PING)


@pytest.mark.usefixtures("walked")
def test_code_travels_with_the_files(typed: list[tuple[str, str, str]]) -> None:
    assert [code for _, line, code in typed if re.search("isthmus (join|accept)", line)] == [CODE, CODE]


@pytest.mark.usefixtures("walked")
def test_object_is_the_one_of_the_readme_for_another_network(tmp_path: Path) -> None:
    document = yaml.safe_load((tmp_path / "homes" / "a" / "web.yaml").read_text())
    assert (document["metadata"], document["spec"]["networkID"]) == ({"name": "web", "namespace": "shop"}, "n1")


def test_commands_and_time_have_limits(walked: Newcomer) -> None:
    commands_, seconds, *parts = newcomer.results(walked)
    assert (commands_.met, commands_.target, seconds.met, seconds.target) == (True, "<= 12", True, "<= 300")
    assert len(parts) == len(PATH_TO_THE_FIRST_PING) + 1
