"""`kubectl isthmus` cannot import the schemas, so its lists of kinds are compared with them."""

from __future__ import annotations

from isthmus.model.api.kinds import KINDS
from isthmus.model.names import GROUP
from isthmus.plugin import readings
from isthmus.plugin.core.gather import sources
from isthmus.plugin.core.removal import installation, left

OURS = {kind.registration.plural: kind.registration.kind for kind in KINDS}


def test_gather_reads_every_kind() -> None:
    assert sorted(sources.KINDS) == sorted(OURS)


def test_uninstall_deletes_every_definition() -> None:
    assert sorted(installation.DEFINITIONS) == sorted(f"{plural}.{GROUP}" for plural in OURS)


def test_kinds_that_are_read_have_these_names() -> None:
    assert left.KINDS.items() <= OURS.items()
    assert set(readings.KINDS) <= set(OURS)
