"""Accounts, roles and admission policies."""

from __future__ import annotations

import pytest
import yaml

from isthmus.model import names
from tests.chart.helm import VALUES, Document, documents, only

RBAC = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")
ADMISSION = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
# Only with pods: they read, for a hook and a test; charon's account has no rights.
OF_PODS = {"isthmus-uninstall-guard", "isthmus-test", "isthmus-charon"}


def _native() -> list[Document]:
    return documents(yaml.safe_load((VALUES / "native.yaml").read_text()))


@pytest.mark.parametrize("kinds", [RBAC, ADMISSION], ids=["rbac", "admission"])
def test_rights_do_not_depend_on_what_runs_in_pods(kinds: tuple[str, ...]) -> None:
    native = [d for d in _native() if d["kind"] in kinds]
    assert native
    assert [d for d in documents() if d["kind"] in kinds and d["metadata"]["name"] not in OF_PODS] == native


@pytest.mark.parametrize(
    ("account", "namespace"), [(names.CONTROLLER, names.SYSTEM_NAMESPACE), (names.AGENT, names.GATEWAY_NAMESPACE)]
)
def test_accounts_are_where_the_processes_expect_them(account: str, namespace: str) -> None:
    only(_native(), "ServiceAccount", account, namespace)
    user = f"system:serviceaccount:{namespace}:{account}"
    policies = [d for d in _native() if d["kind"] == ADMISSION[0] and d["metadata"]["name"].startswith(account)]
    assert policies
    assert all(user in d["spec"]["matchConditions"][0]["expression"] for d in policies)


def test_policies_are_those_that_the_test_of_the_release_expects() -> None:
    found = {d["metadata"]["name"] for d in documents() if d["kind"] == ADMISSION[0]}
    assert found == set(names.ADMISSION_POLICIES)


def test_accounts_of_the_chart_alone_only_read() -> None:
    roles = [d for d in documents() if d["kind"] in ("Role", "ClusterRole") and d["metadata"]["name"] in OF_PODS]
    assert len(roles) == 3
    verbs = {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list"}
    assert {r for role in roles for rule in role["rules"] for r in rule["resources"]} & {"secrets"} == set()
