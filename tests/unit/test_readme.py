"""The README's path from two prepared clouds to a network in both is short, and its commands are found."""

from __future__ import annotations

import pytest
import yaml

from tests.readme import PATH_TO_THE_FIRST_PING, Command, commands, example

MAXIMUM = 12


def test_path_has_few_commands() -> None:
    assert 0 < len([command for heading in PATH_TO_THE_FIRST_PING for command in commands(heading)]) <= MAXIMUM


def test_prompts_comments_and_continued_lines_are_no_part_of_a_command() -> None:
    install, agree = commands("Install"), commands("Agree with another cloud")
    (helm,) = [command.line for command in install if command.line.startswith("helm install ")]
    assert "--create-namespace   --set image.registry=" in helm
    assert Command("kubectl isthmus accept cloud-b.for.cloud-a.isthmus", "a") in agree
    assert [command.prompt for command in agree if " join " in command.line] == ["b"]
    assert not [command for command in install + agree if "  #" in command.line]


def test_object_of_a_tenant_is_found() -> None:
    assert yaml.safe_load(example("In one minute"))["kind"] == "NetworkExpansion"


def test_section_that_is_missing_is_an_error() -> None:
    with pytest.raises(LookupError, match="no section 'Instal'"):
        commands("Instal")
