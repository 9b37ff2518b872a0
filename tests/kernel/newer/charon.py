"""A gateway node with the charon of our image, which can do ML-KEM; this machine's need not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from images.build import locate
from tests.images.archive import Archive
from tests.kernel.node import OVERRIDES, SETTINGS, Node
from tests.testbed.assets.cache import Cache, default_root
from tests.testbed.host.process import wait_until


def image() -> Archive:
    """The image of the current tree, which a guest cannot build."""
    path = locate(Cache(default_root()))["charon"].archive
    assert path.exists(), f"{path} does not exist: run `python -m images.build charon` first"
    return Archive(path)


class NewerNode(Node):
    """Its charon is in a root of its own, in which it finds the directory of settings, socket and log."""

    def __init__(self, name: str, address: str, directory: Path, archive: Archive) -> None:
        super().__init__(name, address, directory)
        settings = SETTINGS.read_text() + OVERRIDES.format(socket=self._socket, log=self.log)
        self._settings.write_text(f"{settings}\n")
        self._directory, self._root = directory, directory / f"{name}-root"
        self._root.mkdir()
        archive.unpack(self._root)

    def start_charon(self) -> None:
        """Start charon without a socket or PID file of an earlier one."""
        self._socket.unlink(missing_ok=True)
        inside = f"{self._root}{self._directory}"
        script = (
            f"set -e; mount -t tmpfs tmpfs {self._root}/run; mount --bind /dev {self._root}/dev; "
            f"mount -t proc proc {self._root}/proc; mkdir -p {inside}; mount --bind {self._directory} {inside}; "
            f"STRONGSWAN_CONF={self._settings} exec chroot {self._root} /usr/lib/ipsec/charon"
        )
        self._charon = subprocess.Popen(["ip", "netns", "exec", self.name, "bash", "-c", script])
        wait_until(self._listens, 30, f"charon's socket on {self.name}")
