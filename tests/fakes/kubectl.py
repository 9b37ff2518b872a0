"""A kubectl that prints what a test gives it; tests/cluster/test_plugin.py runs the plugin with the real one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.model import names
from tests.fakes.federation import FakeCloud, FakeFederation

KINDS = frozenset({"GatewayNode", "CloudPeer", "PeerLink", "NetworkExpansion", "Attachment"})

_SCRIPT = """\
#!/bin/sh
directory={directory}
printf '%s\\n' "$*" >> $directory/calls
for rule in $directory/rules/*; do
  [ -d "$rule" ] || continue
  pattern=$(cat $rule/pattern)
  case "$*" in $pattern)
    number=$(cat $rule/next)
    [ -e $rule/$((number + 1)).out ] && echo $((number + 1)) > $rule/next
    cat $rule/err >&2
    cat $rule/$number.out
    exit $(cat $rule/code)
  esac
done
all="$*"
case "$all" in
  *"--raw /apis/isthmus.cloud/v1alpha1/"*) name=objects-${{all##*/}} ;;
  *--raw*) name=raw ;;
  *leases.*) name=leases ;;
  *) name=objects ;;
esac
[ -e $directory/$name.out ] || name=objects-others
cat $directory/$name.err >&2
cat $directory/$name.out
exit $(cat $directory/$name.code)
"""

MISSING_KIND = "Error from server (NotFound): the server could not find the requested resource"
_PLURALS = {kind: f"{kind.lower()}s" for kind in KINDS} | {
    "IPsecPolicy": "ipsecpolicies",
    "ExpansionLink": "expansionlinks",
    "ExpansionApproval": "expansionapprovals",
}
_NAMED = re.compile("|".join(_PLURALS.values()))


def forbidden(plural: str, group: str = "isthmus.cloud", scope: str = "at the cluster scope") -> str:
    """What kubectl writes to standard error for one kind that the user may not list."""
    return (
        f"Error from server (Forbidden): {plural}.{group} is forbidden: "
        f'User "somebody" cannot list resource "{plural}" in API group "{group}" {scope}'
    )


class FakeKubectl:
    """An executable in a directory of its own, to be the PATH of the plugin."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.path = directory / "bin"
        self.path.mkdir()
        script = self.path / "kubectl"
        script.write_text(_SCRIPT.format(directory=directory))
        script.chmod(0o755)
        (directory / "rules").mkdir()
        self.objects([])
        self.leases([])
        self.group(["v1alpha1"])

    def objects(self, items: Iterable[Any], stderr: str = "", code: int = 0) -> None:
        """Answer to `kubectl get` for our kinds."""
        listed = list(items)
        for plural in (*_PLURALS.values(), "others"):
            of_kind = [item for item in listed if _PLURALS.get(item["kind"], "others") == plural]
            errors = [line for line in stderr.splitlines() if plural in line or not _NAMED.search(line)]
            is_empty = bool(errors) and code != 0
            self._answer(f"objects-{plural}", "" if is_empty else _list(of_kind), "\n".join(errors), is_empty * code)
        self._answer("objects", _list(listed), stderr, code)

    def leases(self, items: Iterable[Any], stderr: str = "", code: int = 0) -> None:
        """Answer to `kubectl get leases`."""
        self._answer("leases", _list(items), stderr, code)

    def group(self, versions: Iterable[str]) -> None:
        """Versions of our API group that the server has; none: it has no such group."""
        document = {"kind": "APIGroup", "versions": [{"version": version} for version in versions]}
        if document["versions"]:
            self._answer("raw", json.dumps(document), "", 0)
        else:
            self._answer("raw", "", "Error from server (NotFound): the server could not find the requested resource", 1)

    def fails(self, stderr: str) -> None:
        """Every `kubectl get` fails with this on standard error."""
        for name in ("objects", "leases", *self._of_kinds()):
            self._answer(name, "", stderr, 1)

    def answers(self, pattern: str, *stdout: str, stderr: str = "", code: int = 0) -> None:
        """What calls print whose arguments match a pattern of the shell: one after the other, the last one for ever.

        Patterns that were given earlier come first.
        """
        rule = self._directory / "rules" / f"{len(list((self._directory / 'rules').iterdir())):02}"
        rule.mkdir()
        outputs = {f"{number}.out": text for number, text in enumerate(stdout or ("",))}
        for name, content in {"pattern": pattern, "next": "0", "err": stderr, "code": str(code), **outputs}.items():
            (rule / name).write_text(content)

    def prints(self, stdout: str) -> None:
        """`kubectl get` for our kinds prints exactly this."""
        for name in self._of_kinds():
            self._answer(name, stdout, "", 0)

    @staticmethod
    def _of_kinds() -> list[str]:
        return [f"objects-{plural}" for plural in (*_PLURALS.values(), "others")]

    @property
    def calls(self) -> list[str]:
        """Arguments of every call, in the order of their beginning."""
        path = self._directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def _answer(self, name: str, stdout: str, stderr: str, code: int) -> None:
        for suffix, content in (("out", stdout), ("err", stderr), ("code", str(code))):
            path = self._directory / f"{name}.{suffix}"
            path.with_suffix(".new").write_text(content)
            path.with_suffix(".new").replace(path)  # it may be running


def stretched() -> FakeFederation:
    """cloud-a has stretched a network to cloud-b, and nothing is wrong."""
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    for cloud in federation.clouds:
        _hand_over(cloud)
    _, network, _ = federation.clouds[0].tenant()
    federation.clouds[0].expand(network.id, "cloud-b")
    federation.settle()
    return federation


def _hand_over(cloud: FakeCloud) -> None:
    """What `isthmus peer-kubeconfig` leaves: the end of the newest token, on the peer's account."""
    for key, entry in cloud.store.entries.items():
        if key.kind == "ServiceAccount":
            annotations = entry.manifest["metadata"].setdefault("annotations", {})
            annotations[names.HANDED_OVER_ANNOTATION] = "2027-01-01T00:00:00Z"


def documents(cloud: FakeCloud, kinds: frozenset[str] = KINDS) -> list[dict[str, Any]]:
    """The objects of a cloud as kubectl prints them."""
    return [entry.manifest for key, entry in cloud.store.entries.items() if key.kind in kinds]


def listed(*items: Any) -> str:
    """What `kubectl get -o json` prints for several objects."""
    return _list(items)


def lease(name: str, renewed: str, holder: str = "somebody") -> dict[str, Any]:
    """A Lease in namespace isthmus-system."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": names.SYSTEM_NAMESPACE},
        "spec": {"holderIdentity": holder, "renewTime": renewed},
    }


def active_lease(name: str, holder: str = "somebody") -> dict[str, Any]:
    """One that has just been renewed, which a real API server takes, too."""
    return lease(name, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", holder)


def _list(items: Iterable[Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
