"""Mistakes in a clouds file are reported with its name, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.adapters.openstack import OpenStackCloud
from isthmus.model.errors import Invalid

CANARY = "canary-9e02"
AUTH = f"{{auth_url: 'http://127.0.0.1:1/v3', username: u, password: {CANARY}, project_name: p}}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the file cannot be read: No such file or directory"),
        ("", "the file has no mapping `clouds`"),
        ("clouds: [isthmus]", "the file has no mapping `clouds`"),
        (f"clouds: {{isthmus: {{auth: {{password: {CANARY}", "the file is not valid YAML"),
        ("clouds: {}", "there is no such entry; the file has none"),
        (f"clouds: {{b: {{auth: {AUTH}}}, a: {{}}}}", "there is no such entry; the file has a, b"),
        (f"clouds: {{isthmus: {{auth: {CANARY}}}}}", "`auth` is no mapping"),
        (
            f"clouds: {{isthmus: {{auth: {AUTH}, regions: [north, {{name: south}}]}}}}",
            "several regions are listed (north, south): set region_name to one of them",
        ),
    ],
)
def test_unusable_clouds_file_is_explained(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "clouds.yaml"
    if content is not None:
        path.write_text(content)
    cloud = OpenStackCloud(str(path), "isthmus")
    for ask in (cloud.check, cloud.own_project_id):
        with pytest.raises(Invalid) as caught:
            ask()
        assert str(caught.value) == f"clouds file {path}, entry isthmus: {message}"


def test_error_of_the_sdk_does_not_quote_the_password(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text(f"clouds: {{isthmus: {{auth_type: no-such-plugin, auth: {AUTH}}}}}")
    with pytest.raises(Invalid, match=rf"^clouds file {path}, entry isthmus: ") as caught:
        OpenStackCloud(str(path), "isthmus").check()
    assert CANARY not in str(caught.value)


def test_corrected_clouds_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    cloud = OpenStackCloud(str(path), "isthmus")
    with pytest.raises(Invalid, match="No such file"):
        cloud.check()
    path.write_text("clouds: {other: {}}")
    with pytest.raises(Invalid, match="the file has other"):
        cloud.check()
