"""Roles and admission policies of the chart are those of deploy/, which processes that run natively use."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from isthmus.model.names import ADMISSION_POLICIES
from tests.chart.helm import REPOSITORY, Document, documents

RBAC = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")
ADMISSION = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
# Of the chart alone: they read, for a hook and a test.
OF_THE_CHART = {"isthmus-uninstall-guard", "isthmus-test", "isthmus-charon"}


def _native() -> list[Document]:
    names = yaml.safe_load((REPOSITORY / "deploy" / "kustomization.yaml").read_text())["resources"]
    files = [REPOSITORY / "deploy" / name for name in names if name.endswith(".yaml")]
    found = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return [_moved(d) for d in found if d["kind"] in (*RBAC, *ADMISSION)]


def _moved(document: Document) -> Document:
    """With the agent's account where the chart has it; in deploy/ it is in isthmus-system."""
    account = {"kind": "ServiceAccount", "name": "isthmus-agent", "namespace": "isthmus-gateway"}
    moved: Document = copy.deepcopy(document)
    if (document["kind"], document["metadata"]["name"]) == ("ServiceAccount", "isthmus-agent"):
        moved["metadata"]["namespace"] = "isthmus-gateway"
    moved["subjects"] = [
        account if subject["name"] == "isthmus-agent" else subject for subject in document.get("subjects", [])
    ]
    text = yaml.safe_dump(moved).replace(":isthmus-system:isthmus-agent", ":isthmus-gateway:isthmus-agent")
    result: Document = yaml.safe_load(text)
    return result


def _comparable(found: list[Document]) -> dict[tuple[str, ...], Any]:
    by_identity: dict[tuple[str, ...], Any] = {}
    for document in found:
        metadata = document["metadata"]
        labels = {k: v for k, v in metadata.get("labels", {}).items() if k != "app.kubernetes.io/part-of"}
        content = {k: v for k, v in document.items() if k != "metadata" and v}
        identity = (document["kind"], metadata.get("namespace", ""), metadata["name"])
        by_identity[identity] = content | {"labels": labels}
    return by_identity


@pytest.mark.parametrize("kinds", [RBAC, ADMISSION], ids=["rbac", "admission"])
def test_chart_and_manifests_grant_the_same(kinds: tuple[str, ...]) -> None:
    ours = [d for d in documents() if d["kind"] in kinds and d["metadata"]["name"] not in OF_THE_CHART]
    assert _comparable(ours) == _comparable([d for d in _native() if d["kind"] in kinds])


def test_policies_are_those_that_the_test_of_the_release_expects() -> None:
    found = {d["metadata"]["name"] for d in documents() if d["kind"] == "ValidatingAdmissionPolicy"}
    assert found == set(ADMISSION_POLICIES)


def test_accounts_of_the_chart_alone_only_read() -> None:
    roles = [d for d in documents() if d["kind"] in ("Role", "ClusterRole") and d["metadata"]["name"] in OF_THE_CHART]
    assert len(roles) == 3
    verbs = {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list"}
    assert {r for role in roles for rule in role["rules"] for r in rule["resources"]} & {"secrets"} == set()
