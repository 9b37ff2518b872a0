"""Isthmus in both clouds of a lab: peering, and stretching networks between them."""

import contextlib
import copy
import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from string import Template
from typing import Any, Final

from tests.testbed.assets import Assets
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.parallel import at_once
from tests.testbed.host.process import wait_until
from tests.testbed.install.installation import REPOSITORY, Installation, new_psk
from tests.testbed.inventory import Inventory, difference_once_settled, take
from tests.testbed.kubernetes.conditions import wait_for_condition
from tests.testbed.lab import Lab

MANIFESTS: Final = REPOSITORY / "demo"
READY_TIMEOUT_SECONDS: Final = 120.0

Manifests = tuple[tuple[Installation, Path], ...]
"""Files of the demo, and the side that each is for."""


class Federation:
    """Both installations. Tests use the manifests of the demo.

    Networks are stretched from `origin` to `receiver`: from A to B, or `the_other_way`.
    """

    def __init__(self, lab: Lab, assets: Assets) -> None:
        self.lab = lab
        self.assets = assets
        self.a = Installation(lab.a, assets, lab.directory)
        self.b = Installation(lab.b, assets, lab.directory)
        self.origin, self.receiver = self.a, self.b
        self.pairing_code = ""
        """That of the last agreement; tests look for it where it must not be."""

    def reversed(self) -> "Federation":
        """The same two clouds, for networks that are stretched from B to A."""
        reverse = copy.copy(self)
        reverse.origin, reverse.receiver = self.receiver, self.origin
        return reverse

    @property
    def both(self) -> tuple[Installation, Installation]:
        """Cloud A's installation and cloud B's."""
        return self.a, self.b

    @property
    def policies(self) -> Manifests:
        """The IPsecPolicy of each side that has none without this agreement."""
        return tuple((side, manifest_of(side.cloud, "policy.yaml")) for side in self.both)

    @property
    def cloud_peers(self) -> Manifests:
        """Each side's CloudPeer for the other one, with its limits."""
        return tuple((side, manifest_of(side.cloud, "peer.yaml")) for side in self.both)

    def install(self) -> None:
        """Install and start Isthmus in both clouds, and wait for the gateway nodes."""
        at_once(*(side.install for side in self.both))
        for side in self.both:
            side.start()
        for side in self.both:
            side.wait_until_ready()

    def introduce(self) -> None:
        """Peer the clouds, with the documented commands of both administrators."""
        apply(self.policies)
        self.agree()
        apply(self.cloud_peers)
        self.wait_for_peers()

    def agree(self) -> None:
        """Invite, join and accept: nothing travels but the files and the code."""
        with tempfile.TemporaryDirectory() as directory:
            code = ("--code-file", "code")
            a, b = (str(side.cloud.cloud_id) for side in self.both)
            self.a.isthmus("invite", b, "--server", self.a.api_url, *code, directory=directory)
            invitation = f"{a}.for.{b}.isthmus"
            self.b.isthmus("join", invitation, "--server", self.b.api_url, *code, "--yes", directory=directory)
            self.a.isthmus("accept", f"{b}.for.{a}.isthmus", *code, "--yes", directory=directory)
            self.pairing_code = Path(directory, "code").read_text().strip()

    def agree_on_key(self) -> None:
        """Set the same new pre-shared key on both sides."""
        psk = new_psk()
        for ours, theirs in ((self.a, self.b), (self.b, self.a)):
            ours.set_psk(theirs.cloud.cloud_id, psk)

    def wait_for_peers(self, timeout_seconds: float = READY_TIMEOUT_SECONDS) -> None:
        """Wait until both CloudPeers are Ready."""
        for ours, theirs in ((self.a, self.b), (self.b, self.a)):
            wait_ready(ours.cloud, "cloudpeer", theirs.cloud.cloud_id, timeout_seconds=timeout_seconds)

    def wait_handed_over(self) -> None:
        """Wait until both sides know that the other one has its credential, a moment after the peers are Ready."""
        for ours, theirs in ((self.a, self.b), (self.b, self.a)):
            peer = ("cloudpeer", theirs.cloud.cloud_id)
            wait_for_condition(ours.cloud, *peer, type_="CredentialsHandedOver", timeout_seconds=READY_TIMEOUT_SECONDS)

    def end_agreement(self) -> None:
        """Revoke the agreement on both sides, and delete the policies that came with it."""
        for ours, theirs in ((self.a, self.b), (self.b, self.a)):
            with tempfile.TemporaryDirectory() as directory:
                ours.isthmus("revoke", theirs.cloud.cloud_id, "--yes", directory=directory)
        for side, path in self.policies:
            side.cloud.kubectl("delete", "-f", str(path))

    def remove_peers(self) -> None:
        """Delete what `introduce` applied, and wait until it is gone."""
        for side, path in (*self.cloud_peers, *self.policies):
            side.cloud.kubectl("delete", "-f", str(path), "--ignore-not-found", "--wait=false")
        for ours, theirs in ((self.a, self.b), (self.b, self.a)):
            peer = theirs.cloud.cloud_id
            ours.cloud.kubectl("wait", "--for=delete", f"cloudpeer/{peer}", "--timeout=120s")
            for namespace in ("isthmus-system", "isthmus-ipsec"):
                ours.cloud.kubectl("delete", "secret", "-n", namespace, f"peer-{peer}", "--ignore-not-found")

    def bind(self, namespace: str, project_id: str) -> None:
        """Bind a tenant's namespace of the origin to a Keystone project."""
        manifest = render("cloud-a/tenant.yaml", project_id=project_id).replace("shop", namespace)
        self.origin.cloud.wait_deleted(namespace)
        self.origin.cloud.kubectl("apply", "-f", "-", input=manifest)

    def expand(self, name: str, namespace: str, network_id: str) -> None:
        """Apply a NetworkExpansion of the origin towards the receiver."""
        manifest = render("cloud-a/expansion.yaml", network_id=network_id)
        manifest = manifest.replace("- name: cloud-b", f"- name: {self.receiver.cloud.cloud_id}")
        manifest = manifest.replace("name: web", f"name: {name}").replace("namespace: shop", f"namespace: {namespace}")
        self.origin.cloud.kubectl("apply", "-f", "-", input=manifest)

    def wait_expanded(
        self, name: str, namespace: str, network_id: str, timeout_seconds: float = READY_TIMEOUT_SECONDS
    ) -> None:
        """Wait until both sides are Ready."""
        origin, receiver = self.origin.cloud, self.receiver.cloud
        wait_ready(origin, "networkexpansion", name, namespace, timeout_seconds)
        link, where = self.link_name(network_id), f"isthmus-peer-{origin.cloud_id}"
        wait_ready(receiver, "expansionlink", link, where, timeout_seconds)

    def link_name(self, network_id: str) -> str:
        """Link name of a network of the origin."""
        return f"{self.origin.cloud.cloud_id}.{network_id}"

    def replicas_of(self, network_id: str) -> list[Any]:
        """The receiver's networks with the ownership marker of a replica of this network: one, or none."""
        marker = f"isthmus {self.link_name(network_id)} "  # followed by the UID of the Attachment
        return [n for n in self.receiver.cloud.openstack().network.networks() if n.description.startswith(marker)]

    def replica_of(self, network_id: str) -> Any | None:
        """The replica of a network of the origin at the receiver, if it exists."""
        return next(iter(self.replicas_of(network_id)), None)

    @contextlib.contextmanager
    def stretched(self, name: str, namespace: str, project_id: str, network_id: str) -> Iterator[Any]:
        """Stretch a network for the duration of the block; yields the replica, and waits until it is deleted."""
        with self.requested(name, namespace, project_id, network_id):
            self.wait_expanded(name, namespace, network_id)
            yield self.replica_of(network_id)

    @contextlib.contextmanager
    def requested(self, name: str, namespace: str, project_id: str, network_id: str) -> Iterator[None]:
        """The same without waiting until the network is stretched."""
        try:
            with self.applied(name, namespace, project_id, network_id):
                yield
        finally:
            self.wait_withdrawn(network_id)

    @contextlib.contextmanager
    def applied(self, name: str, namespace: str, project_id: str, network_id: str) -> Iterator[None]:
        """The same without waiting until the replica is deleted."""
        self.bind(namespace, project_id)
        self.expand(name, namespace, network_id)
        try:
            yield
        finally:
            self.origin.cloud.kubectl("delete", "networkexpansion", "-n", namespace, name, "--ignore-not-found")
            self.origin.cloud.delete_namespace(namespace)

    def wait_withdrawn(self, network_id: str) -> None:
        """Wait until the replica is deleted."""
        wait_until(lambda: self.replica_of(network_id) is None, 180, "the replica to be deleted", poll_seconds=0.5)

    @contextlib.contextmanager
    def unchanged_inventory(self) -> Iterator[None]:
        """Check that the block leaves both clouds unchanged."""
        before = {side.cloud: take(side.cloud) for side in self.both}
        yield
        require_unchanged(before)

    def settle(self) -> None:
        """Wait until no link is left on either side."""
        for side in self.both:
            links = partial(objects, side.cloud, "expansionlinks,attachments")
            wait_until(lambda: not links(), 180, "links to go", poll_seconds=0.3)  # noqa: B023


def require_unchanged(before: Mapping[Cloud, Inventory]) -> None:
    """Fail if anything in these clouds is different once Neutron's agents had enough time."""
    found = at_once(*(partial(difference_once_settled, was, cloud) for cloud, was in before.items()))
    changed = [f"cloud {cloud.name} has changed:\n{left}" for cloud, left in zip(before, found, strict=True) if left]
    assert not changed, "\n".join(changed)


def manifest_of(cloud: Cloud, file: str) -> Path:
    """A manifest of the demo that is written in this cloud."""
    return MANIFESTS / cloud.cloud_id / file


def apply(manifests: Manifests) -> None:
    """Apply each at its side."""
    for side, path in manifests:
        side.cloud.kubectl("apply", "-f", str(path))


def render(path: str, **values: str) -> str:
    """A manifest of the demo with its placeholders filled in."""
    return Template((MANIFESTS / path).read_text()).substitute(values)


def objects(cloud: Cloud, kinds: str) -> list[dict[str, Any]]:
    """All objects of these kinds in all namespaces."""
    found: list[dict[str, Any]] = json.loads(cloud.kubectl("get", kinds, "-A", "-o", "json"))["items"]
    return found


def condition(cloud: Cloud, kind: str, name: str, namespace: str | None = None, type_: str = "Ready") -> dict[str, Any]:
    """One condition of one object; empty if it does not exist yet or refers to an older generation."""
    where = ["-n", namespace] if namespace else []
    found = json.loads(cloud.kubectl("get", kind, name, *where, "-o", "json", "--ignore-not-found") or "{}")
    conditions = found.get("status", {}).get("conditions", [])
    matching: dict[str, Any] = next((c for c in conditions if c["type"] == type_), {})
    return matching if matching.get("observedGeneration") == found.get("metadata", {}).get("generation") else {}


def patch_spec(cloud: Cloud, kind: str, name: str, spec: dict[str, Any], *where: str) -> None:
    """Change the spec of an object as an administrator."""
    cloud.kubectl("patch", kind, name, *where, "--type=merge", "-p", json.dumps({"spec": spec}))


def wait_ready(
    cloud: Cloud, kind: str, name: str, namespace: str | None = None, timeout_seconds: float = READY_TIMEOUT_SECONDS
) -> None:
    """Wait for condition Ready; the error contains the object's last condition."""
    try:
        wait_for_condition(cloud, kind, name, namespace, timeout_seconds=timeout_seconds)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; its condition: {condition(cloud, kind, name, namespace)}") from None


def wait_reason(cloud: Cloud, kind: str, name: str, reason: str, namespace: str | None = None) -> dict[str, Any]:
    """Wait until condition Ready is not True for this reason, and return the condition."""

    def condition_with_reason() -> dict[str, Any]:
        found = condition(cloud, kind, name, namespace)
        return found if found.get("status") == "False" and found["reason"] == reason else {}

    return wait_until(
        condition_with_reason, 120, f"{kind} {name} of {cloud.cloud_id} to report {reason}", poll_seconds=0.3
    )


def wait_for_account(cloud: Cloud, peer_cloud_id: str) -> None:
    """Wait until a credential for a peer can be made."""
    what = ("serviceaccount/peer", "configmap/kube-root-ca.crt", "rolebinding/peer")
    where = ("-n", f"isthmus-peer-{peer_cloud_id}", "-o", "name", "--ignore-not-found")
    for each in what:
        wait_until(lambda: cloud.kubectl("get", each, *where), 60, f"{each} for {peer_cloud_id}")  # noqa: B023
