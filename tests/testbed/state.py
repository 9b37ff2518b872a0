"""State of a lab on disk, with which another process can attach to it or tear it down."""

import json
import os
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Final, get_args

from tests.testbed.assets import Assets
from tests.testbed.topology import Namespaces, SiteName

_PREFIX: Final = "isthmus-"
_FILE: Final = "lab.json"
_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True)
class Passwords:
    """The passwords of one cloud, new in every lab."""

    admin: str
    neutron: str
    operator: str
    broker: str

    @classmethod
    def generate(cls) -> "Passwords":
        """Generate new passwords."""
        return cls(*(secrets.token_urlsafe(16) for _ in fields(cls)))


@dataclass(frozen=True)
class State:
    """A lab's name, paths and secrets, and whether cloud A runs Isthmus in pods."""

    name: str
    assets: Assets
    pods: bool = False
    passwords: dict[SiteName, Passwords] = field(
        default_factory=lambda: {name: Passwords.generate() for name in get_args(SiteName)}
    )

    @property
    def directory(self) -> Path:
        """Directory of logs, configuration and process IDs."""
        return run_directory(self.name)

    @property
    def memory(self) -> Path:
        """Directory of the servers' data, in memory."""
        return memory_directory(self.name)

    @property
    def namespaces(self) -> Namespaces:
        """The names of the network namespaces."""
        return Namespaces(self.name)

    def save(self) -> None:
        """Register the lab, before anything else of it is created."""
        try:
            self.directory.mkdir(mode=0o700)
        except FileExistsError:
            raise LookupError(f"lab {self.name} already exists") from None
        self.memory.mkdir(mode=0o700)
        document = asdict(self)
        (self.directory / _FILE).write_text(json.dumps(document, default=str, indent=1))

    @classmethod
    def load(cls, name: str) -> "State":
        """The state of a lab that another process brought up."""
        try:
            document = json.loads((run_directory(name) / _FILE).read_text())
        except FileNotFoundError:
            raise LookupError(f"there is no lab {name}; there are: {', '.join(known()) or 'none'}") from None
        paths = {key: value and Path(value) for key, value in document["assets"].items()}
        passwords = {cloud: Passwords(**values) for cloud, values in document["passwords"].items()}
        return cls(document["name"], Assets(**paths), document["pods"], passwords)


def new_name() -> str:
    """An unused name."""
    return f"ist-{secrets.token_hex(2)}"


def known() -> list[str]:
    """The names of the labs on this machine."""
    found = Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_FILE}")
    return sorted(path.parent.name.removeprefix(_PREFIX) for path in found)


def only() -> str:
    """The name of the one lab on this machine, or the one that ISTHMUS_LAB names."""
    if chosen := os.environ.get("ISTHMUS_LAB"):
        return chosen
    names = known()
    if len(names) != 1:
        raise LookupError(f"name one of the labs: {', '.join(names)}" if names else "there is no lab")
    return names[0]


def run_directory(name: str) -> Path:
    """Directory of a lab's files."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{name}"


def memory_root() -> Path:
    """A file system in memory."""
    return _MEMORY


def memory_directory(name: str) -> Path:
    """Directory of a lab's data."""
    return memory_root() / name


def keep_logs(name: str) -> Path:
    """Copy a lab's logs to a directory that outlives it, replacing previous ones."""
    kept, origin = Path(tempfile.gettempdir()) / f"{_PREFIX}failed", run_directory(name)
    shutil.rmtree(kept, ignore_errors=True)
    for log in origin.glob("**/*.log"):
        copy = kept / log.relative_to(origin)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, copy)
    return kept


def remove(name: str) -> None:
    """Remove both directories."""
    shutil.rmtree(memory_directory(name), ignore_errors=True)
    shutil.rmtree(run_directory(name), ignore_errors=True)
