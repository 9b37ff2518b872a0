"""An Attachment at the origin that somebody deletes or edits: nothing that was published changes, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment, Record
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Stretched


def attachment(cloud: FakeCloud) -> Attachment:
    (only,) = cloud.attachments()
    return only


def link(cloud: FakeCloud) -> ExpansionLink:
    (only,) = cloud.links()
    return only


def delete(stretched: Stretched) -> None:
    """As `kubectl delete attachment` does."""
    found = attachment(stretched.a)
    stretched.a.kubectl.delete(Attachment, found.metadata.name, found.metadata.namespace)


def edit_slice(stretched: Stretched) -> None:
    """As `kubectl edit` does; with the controller's field manager, as it forces its own values."""
    found = attachment(stretched.a)
    (entry,) = found.spec.record.subnets
    moved = tuple(slice_.model_copy(update={"first": "10.20.0.100"}) for slice_ in entry.slices)
    record = found.spec.record.model_copy(update={"subnets": (entry.model_copy(update={"slices": moved}),)})
    spec = found.spec.model_copy(update={"record": record})
    stretched.a.backends.cluster.apply(found.model_copy(update={"spec": spec}))


def empty_record(stretched: Stretched) -> None:
    found = attachment(stretched.a)
    spec = found.spec.model_copy(update={"record": Record(), "mtu": None})
    stretched.a.backends.cluster.apply(found.model_copy(update={"spec": spec}))


DAMAGE: list[Callable[[Stretched], None]] = [delete, edit_slice, empty_record]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_everything_is_rebuilt(damage: Callable[[Stretched], None]) -> None:
    stretched = Stretched()
    machine = stretched.b.neutron.boot(stretched.replica_id, "project")
    before, published, neutron = attachment(stretched.a).spec, link(stretched.a).spec, stretched.a.neutron.contents()
    theirs = stretched.b.neutron.contents()
    damage(stretched)
    stretched.federation.settle()
    assert link(stretched.a).spec == published
    assert attachment(stretched.a).spec.record.subnets == before.record.subnets
    assert attachment(stretched.a).spec.record.original_mtu == before.record.original_mtu == 1450
    assert attachment(stretched.a).spec.ports == before.ports, "the same port of Neutron"
    assert (stretched.a.neutron.contents(), stretched.b.neutron.contents()) == (neutron, theirs)
    assert stretched.b.neutron.ports[machine.id] == machine
    assert reason(stretched.a.expansion()) == "Ready"


@pytest.mark.parametrize("when", ["before the withdrawal", "with the withdrawal"])
@pytest.mark.parametrize("damage", [delete, empty_record], ids=lambda damage: damage.__name__)
def test_withdrawal_restores_what_was_there(damage: Callable[[Stretched], None], when: str) -> None:
    stretched = Stretched()
    damage(stretched)
    if when == "before the withdrawal":
        stretched.federation.settle()
    stretched.withdraw()
    stretched.federation.settle()
    network, subnet = stretched.network, stretched.subnet
    assert stretched.a.expansion() is None
    assert stretched.a.neutron.networks[network.id] == network
    assert stretched.a.neutron.subnets[subnet.id] == subnet
    assert (stretched.a.attachments(), stretched.attachment_ports(stretched.a)) == ([], [])


NO_MTU = ["", "1450.0", "-1450", "1" * 4000, "99999", "10", "٣٤٥٦"]
NO_RANGES = ["", ",", "10.20.0.250", "10.20.0.250-", "10.20.0.256-10.20.0.260", "a-b", "-" * 4000, "fe80::1%eth0-::2"]
GARBAGE = [
    *((names.ORIGINAL_MTU_ANNOTATION, text) for text in NO_MTU),
    *((names.OUTSIDE_POOLS_ANNOTATION, text) for text in NO_RANGES),
]


@pytest.mark.parametrize(("name", "text"), GARBAGE)
def test_annotation_that_means_nothing_is_ignored(name: str, text: str) -> None:
    """Whoever may write our link may write anything there."""
    stretched = Stretched()
    found, before = link(stretched.a), attachment(stretched.a).spec.record.subnets
    metadata = found.metadata.model_copy(update={"annotations": {name: text}})
    stretched.a.backends.cluster.apply(found.model_copy(update={"metadata": metadata}))
    delete(stretched)
    stretched.federation.settle()
    assert reason(stretched.a.expansion()) == "Ready"
    assert attachment(stretched.a).spec.record.subnets == before
