"""Rights of the running processes, and of their accounts at the API server, are those of docs/rights.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from charts.rights import EVERYWHERE, Right, expanded, parsed
from tests.pods.federation import PodFederation
from tests.pods.installation import GATEWAY, NAMESPACES, PodInstallation
from tests.pods.processes import Process, our_processes
from tests.testbed.install.installation import IPSEC, SYSTEM

PAGE: Final = (Path(__file__).parents[2] / "docs" / "rights.md").read_text()
_PLACES: Final = (SYSTEM, GATEWAY, IPSEC, "default")
# In the same groups, and bound to no role.
_NOBODY: Final = "default/default"
_ACCOUNTS: Final = sorted({right.account for right in parsed(PAGE)} | {f"{GATEWAY}/isthmus-charon"})


@pytest.mark.parametrize("component", NAMESPACES)
def test_every_process_has_the_rights_of_the_table(peers: PodFederation, component: str) -> None:
    pods = peers.in_pods
    found = our_processes(pods.worker(component).place, pods.pod(component))
    assert found
    assert {row(component, process) for process in found} == {documented(component)}


def row(component: str, process: Process) -> str:
    """The table's row of a process."""
    cells = (process.user, process.effective, process.bounding, process.no_new_privileges, process.seccomp)
    return f"| {component} | {' | '.join(cells)} |"


def documented(component: str) -> str:
    """The row in the page."""
    (found,) = [line for line in PAGE.splitlines() if line.startswith(f"| {component} |")]
    return found


@pytest.mark.parametrize("component", NAMESPACES)
def test_no_process_can_write_its_root(peers: PodFederation, component: str) -> None:
    """As /proc/PID/mountinfo has it: the root is read-only."""
    pods = peers.in_pods
    place = pods.worker(component).place
    read = [
        place.run(["cat", f"/proc/{process.pid}/mountinfo"], check=False)
        for process in our_processes(place, pods.pod(component))
    ]
    found = [done.stdout.splitlines() for done in read if not done.returncode]  # that of a probe may have ended
    assert found
    for mounts in found:
        (options,) = [fields[5] for fields in map(str.split, mounts) if fields[4] == "/"]
        assert "ro" in options.split(",")


@pytest.mark.parametrize("account", _ACCOUNTS)
@pytest.mark.parametrize("namespace", _PLACES)
def test_account_has_the_rights_of_the_table(peers: PodFederation, account: str, namespace: str) -> None:
    rights = {r for r in parsed(PAGE) if r.account == account and r.scope in (EVERYWHERE, namespace)}
    theirs = reviewed(peers.in_pods, account, namespace) - reviewed(peers.in_pods, _NOBODY, namespace)
    assert theirs == {(right.resource, right.name, right.verb) for right in rights}


def reviewed(pods: PodInstallation, account: str, namespace: str) -> set[tuple[str, str, str]]:
    """What the API server says that an account may do in a namespace."""
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    home, name = account.split("/")
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated")
    identity = [f"--as=system:serviceaccount:{home}:{name}", *(f"--as-group={group}" for group in groups)]
    # kubectl would read the definitions with the account's rights to validate it.
    create = ("create", "--validate=false", "-o", "json", "-f", "-")
    answer = pods.cloud.kubectl(*create, *identity, input=json.dumps(review))
    rules = json.loads(answer)["status"]["resourceRules"]
    return {right for rule in rules for right in expanded(rule)}


def test_table_names_rights() -> None:
    assert Right(f"{GATEWAY}/isthmus-agent", EVERYWHERE, "gatewaynodes/status.isthmus.cloud", "", "patch") in parsed(
        PAGE
    )
