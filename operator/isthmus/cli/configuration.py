"""The settings of a process, or a sentence for each thing that is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError
from yaml import YAMLError

from isthmus.model.settings import Settings

S = TypeVar("S", bound=Settings)

_FILE = "ISTHMUS_CONFIG"


class BadConfiguration(Exception):
    """What is wrong, a line for each field; never a value, which may be a secret."""


def load(kind: type[S]) -> S:
    """Read the file that ISTHMUS_CONFIG names (or the default one, if it is there) and the environment."""
    named = os.environ.get(_FILE)
    if named:
        if not Path(named).is_file():
            raise BadConfiguration(f"{_FILE}: there is no file {named}")
        kind.model_config["yaml_file"] = named
    try:
        return kind()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        lines = (f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in problems)
        raise BadConfiguration("\n".join(lines)) from None
    except (SettingsError, YAMLError, TypeError, ValueError, OSError) as error:
        raise BadConfiguration(f"{kind.model_config.get('yaml_file')} or environment: {error}") from None
