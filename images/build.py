"""Builds the images without a daemon: `python -m images.build [TARGET...] [--push REGISTRY]`, as root on Debian.

Each image is an OCI archive in the cache of the testbed's assets, named by a hash of everything that it is built from.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from images.inputs import CONTAINERFILE, REPOSITORY, TARGETS, Target, contents, epoch, revision
from tests.testbed.assets import packages
from tests.testbed.assets.cache import Asset, Cache, default_root
from tests.testbed.assets.command import exit_code
from tests.testbed.assets.workshop import Workshop

_SUITE: Final = "trixie"
# The packages of debian:trixie-slim.
_BASE: Final = ("mmdebstrap", "--quiet", "--variant=minbase", '--aptopt=APT::Install-Recommends "false"', _SUITE)
_BASE_SECONDS: Final = 60.0
_USUAL_SECONDS: Final[dict[Target, float]] = {"controller": 90, "agent": 90, "charon": 180}
# Change it with what buildah does here: it is part of the name in the cache.
_RECIPE: Final = "3"
_AUTHORITY: Final = "/run/isthmus-build-ca.crt"
# Debian's mirrors may be older than the validity of their index.
_APT_OPTIONS: Final = "-o Acquire::Check-Valid-Until=false -o Acquire::Retries=3"


@dataclass(frozen=True)
class Image:
    """One image of the cache."""

    target: Target
    asset: Asset
    tag: str

    @property
    def archive(self) -> Path:
        """OCI archive with this image alone."""
        return self.asset.directory / f"isthmus-{self.target}.oci.tar"


def locate(cache: Cache) -> dict[Target, Image]:
    """The images of the current tree, built or not."""
    base = _base(cache)
    return {target: _image(cache, base, target) for target in TARGETS}


def _base(cache: Cache) -> Asset:
    return cache.asset("image-base", *_BASE)


def _image(cache: Cache, base: Asset, target: Target) -> Image:
    source = revision(target)
    labels = (source.version, source.commit, epoch())
    asset = cache.asset(f"image-{target}", base.directory.name, _RECIPE, *labels, *contents(target))
    return Image(target, asset, f"localhost/isthmus-{target}:{source.version}")


class Builder:
    """buildah, with its storage in the cache.

    buildah uses stages of earlier builds again without regard to time stamps, so that each has a storage of its own.
    """

    def __init__(self, workshop: Workshop, storage: Path | None = None) -> None:
        self._workshop = workshop
        self._own = workshop.cache.asset("buildah", epoch())
        self._storage = storage or self._own.directory
        self._base = _base(workshop.cache)

    def ensure(self, image: Image) -> None:
        """Build the image unless it is in the cache."""
        self._workshop.build(self._own, 1, lambda _: None)
        self._workshop.build(self._base, _BASE_SECONDS, self._make_base)
        self._workshop.build(image.asset, _USUAL_SECONDS[image.target], lambda _: self.make(image, image.archive))

    def make(self, image: Image, archive: Path, *options: str) -> None:
        """Build the image into an archive."""
        name = image.asset.name
        with self._workshop.cache.lock("buildah-storage"), TemporaryDirectory() as directory:
            file = Path(directory, "Containerfile")
            file.write_text(_labelled(image.target))
            self._buildah(name, "rm", "--all")  # what a killed build has left
            self._import_base(name)
            arguments = [*_arguments(image), f"--file={file}", f"--build-arg=BASE={self._base_tag}"]
            self._buildah(name, "bud", *options, *arguments, str(REPOSITORY))
            compression = ("--format=oci", "--compression-format=gzip", "--compression-level=9")
            self._buildah(name, "push", *compression, image.tag, f"oci-archive:{archive}:{image.tag}")

    @property
    def _base_tag(self) -> str:
        return f"localhost/isthmus-base:{self._base.directory.name.rpartition('-')[2]}"

    def _make_base(self, directory: Path) -> None:
        self._workshop.run(self._base.name, [*_BASE, directory / "root.tar"], env={"SOURCE_DATE_EPOCH": "0"})
        (directory / "Containerfile").write_text("FROM scratch\nADD root.tar /\n")

    def _import_base(self, name: str) -> None:
        directory = str(self._base.directory)
        self._buildah(name, "bud", "--layers", "--timestamp=0", f"--tag={self._base_tag}", directory)

    def _buildah(self, name: str, *arguments: str) -> None:
        places = [
            f"--root={self._storage / 'storage'}",
            f"--runroot={self._storage / 'run'}",
            "--storage-driver=overlay",
        ]
        # Mounts of its own: buildah leaves some behind.
        self._workshop.run(name, ["unshare", "--mount", "buildah", *places, *arguments])


def _labelled(target: Target) -> str:
    """The Containerfile with the values of its labels: for build arguments buildah would use an earlier build again."""
    source = revision(target)
    text = CONTAINERFILE.read_text()
    return text.replace("${VERSION}", source.version).replace("${REVISION}", source.commit)


def _arguments(image: Image) -> list[str]:
    arguments = [
        f"--target={image.target}",
        f"--tag={image.tag}",
        f"--timestamp={epoch()}",
        "--layers",
        "--isolation=chroot",
        "--network=host",
        f"--build-arg=APT_OPTIONS={_APT_OPTIONS}",
    ]
    authority = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if authority:
        arguments += [f"--volume={authority}:{_AUTHORITY}:ro", f"--build-arg=PIP_CERT={_AUTHORITY}"]
    return arguments


def build(targets: Sequence[Target] = TARGETS) -> dict[Target, Image]:
    """Build what is not in the cache, and return the images. Raises BuildError with the end of the log."""
    cache = Cache(default_root())
    images = {target: image for target, image in locate(cache).items() if target in targets}
    with Workshop(cache) as workshop:
        installed = workshop.submit(lambda: packages.install(workshop, ["images"]))
        builder = Builder(workshop)
        for image in images.values():
            workshop.submit(lambda image=image: builder.ensure(image), after=[installed])  # type: ignore[misc]
    return images


def _push(image: Image, registry: str) -> None:
    destination = f"docker://{registry}/{image.tag.removeprefix('localhost/')}"
    with Workshop(Cache(default_root())) as workshop:
        workshop.run(f"push-{image.target}", ["skopeo", "copy", f"oci-archive:{image.archive}", destination])


def _build_and_push(targets: Sequence[Target], registry: str | None) -> None:
    for image in build(targets).values():
        print(f"{image.tag}  {image.archive.stat().st_size / 1e6:.1f} MB  {image.archive}")
        if registry:
            _push(image, registry)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m images.build")
    parser.add_argument("target", nargs="*", help=f"{', '.join(TARGETS)} (all of them)")
    parser.add_argument("--push", metavar="REGISTRY", help="copy them to REGISTRY/isthmus-<target>:<version>")
    arguments = parser.parse_args()
    chosen = [target for target in TARGETS if target in (arguments.target or TARGETS)]
    if unknown := set(arguments.target) - set(TARGETS):
        parser.error(f"unknown target: {', '.join(sorted(unknown))}")
    return exit_code(lambda: _build_and_push(chosen, arguments.push))


if __name__ == "__main__":
    sys.exit(main())
