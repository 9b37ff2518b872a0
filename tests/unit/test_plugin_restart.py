"""`kubectl isthmus restart` without a cluster: what it deletes, when it stops, and what it never touches."""

from __future__ import annotations

import json

import pytest

from isthmus.plugin import restart
from isthmus.plugin.core.restart import image
from isthmus.plugin.core.restart.workloads import COMPONENTS
from isthmus.plugin.main import main
from tests.fakes.failures import failure_at_last
from tests.fakes.kubectl import MISSING_KIND, FakeKubectl, forbidden, listed
from tests.fakes.workloads import REFERENCE, daemonset, gateway, node, pod

CHARON = COMPONENTS["charon"]


@pytest.fixture(autouse=True)
def is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(restart, "_SETTLE_SECONDS", 0.05)


def changes(kubectl: FakeKubectl) -> list[str]:
    """Calls that change something, without the options."""
    words = [call.partition(" ")[2] for call in kubectl.calls]
    return [call for call in words if not call.startswith("get ")]


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    return failure_at_last(capsys, "restart", *arguments, code=code)


def test_charon_is_replaced_node_by_node(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    """The image is on one node and not on the other; the second pod is deleted when the first node is as before."""
    kubectl.answers("*daemonsets.apps isthmus-charon *", json.dumps(daemonset("isthmus-charon")))
    kubectl.answers("*get nodes *", listed(node("gw-a1", REFERENCE), node("gw-a2")))
    kubectl.answers(
        "*get pods isthmus-image-*", json.dumps(pod("x", waiting="ContainerCreating")), json.dumps(pod("x"))
    )
    first, second = pod("one", "gw-a1"), pod("two", "gw-a2")
    third, fourth = pod("three", "gw-a1"), pod("four", "gw-a2")
    ended = [listed(pod("one", "gw-a1", ending=True), second), listed(second), listed(third, second)]
    kubectl.answers(
        "*get pods -n *", listed(first, second), listed(first, second), *ended, *[listed(third, second)] * 12,
        listed(third, fourth),
    )  # fmt: skip
    up, down = listed(gateway(), gateway("gw-a2")), listed(gateway(up=False), gateway("gw-a2"))
    kubectl.objects(json.loads(up)["items"])
    kubectl.answers("*gatewaynodes*", up, up, up, down, up)
    assert main(["restart", "charon", "--yes", "-o", "json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "schema": "isthmus.cloud/restart/v1",
        "component": "charon",
        "nodes": ["gw-a1", "gw-a2"],
    }
    name = image.pod_name(CHARON, "gw-a2")
    pull = f"delete pod {name} -n isthmus-gateway --ignore-not-found"
    apply = "apply --server-side --field-manager=kubectl-isthmus --force-conflicts -f -"
    assert changes(kubectl) == [
        "delete pod isthmus-charon-one -n isthmus-gateway --ignore-not-found --wait=false",
        pull,
        apply,
        f"{pull} --wait=false",
        "delete pod isthmus-charon-two -n isthmus-gateway --ignore-not-found --wait=false",
    ]
    assert printed.err.splitlines() == [
        "gw-a1: replacing the pod of charon",
        "gw-a1: ready, connections up: 1",
        f"gw-a2: pulling {REFERENCE}",
        "gw-a2: replacing the pod of charon",
        "gw-a2: ready, connections up: 1",
    ]


def test_stops_at_the_first_node_that_does_not_come_back(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.answers("*daemonsets.apps isthmus-charon *", json.dumps(daemonset("isthmus-charon")))
    kubectl.answers("*get nodes *", listed(node("gw-a1", REFERENCE), node("gw-a2", REFERENCE)))
    before = listed(pod("one", "gw-a1"), pod("two", "gw-a2"))
    after = listed(pod("three", "gw-a1", ready=False, waiting="CreateContainerError"), pod("two", "gw-a2"))
    kubectl.answers("*get pods -n *", before, before, after)
    kubectl.objects([gateway(), gateway("gw-a2")])
    sentence = refused(capsys, 1, "charon", "--yes", "--timeout", "1")
    assert sentence.startswith(
        "gw-a1: pod isthmus-charon-three is not ready (CreateContainerError: no such image), 1 s after the pod of "
        "charon was deleted. Nothing was done on gw-a2."
    )
    assert "kubectl describe pod -n isthmus-gateway" in sentence
    assert "run the command again" in sentence
    assert [call for call in changes(kubectl) if "two" in call] == []


def test_pod_stays_while_the_image_cannot_be_pulled(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answers("*daemonsets.apps isthmus-charon *", json.dumps(daemonset("isthmus-charon")))
    kubectl.answers("*get nodes *", listed(node("gw-a1")))
    waiting = [json.dumps(pod("x", waiting=reason)) for reason in ("ErrImagePull", "ImagePullBackOff")]
    kubectl.answers("*get pods isthmus-image-*", *waiting)
    kubectl.answers("*get pods -n *", listed(pod("one")))
    kubectl.objects([gateway()])
    assert refused(capsys, 1, "charon", "--yes") == (
        "gw-a1 does not have the image of charon: ImagePullBackOff: no such image; no pod was deleted there, and "
        "the running one goes on"
    )
    deleted = [call.split()[2] for call in changes(kubectl) if call.startswith("delete ")]
    assert deleted == [image.pod_name(CHARON, "gw-a1")] * 2, "before and after"


def test_agent_is_rolled_out_by_its_daemonset(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    def state(observed: int, updated: int, available: int) -> str:
        counts = {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": updated}
        status = counts | {"observedGeneration": observed, "numberAvailable": available}
        return json.dumps({"kind": "DaemonSet", "metadata": {"generation": 2}, "status": status})

    kubectl.answers("*daemonsets.apps isthmus-agent *", state(2, 2, 2))
    kubectl.answers("*get daemonset/isthmus-agent *", state(1, 2, 2), state(2, 0, 2), state(2, 1, 2), state(2, 2, 2))
    kubectl.answers("*get pods -n *", listed(pod("one", "gw-a1"), pod("two", "gw-a2")))
    assert main(["restart", "agent", "--yes"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "Restarted the agent on gw-a1, gw-a2.\n"
    assert "agent: 1 of 2 pods replaced, 2 available" in printed.err
    assert changes(kubectl) == ["rollout restart daemonset/isthmus-agent -n isthmus-gateway"]


def test_rollout_that_makes_no_progress(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    status = {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 2}
    found = {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}
    kubectl.answers("*get deployment*", json.dumps(found))
    kubectl.answers("*get pods -n *", listed(pod("one"), pod("two", ready=False, waiting="ErrImagePull")))
    sentence = refused(capsys, 1, "controller", "--yes", "--timeout", "1")
    assert "1 of 1 pods of the controller are replaced, and nothing has changed for 1 s" in sentence
    assert "pod isthmus-charon-two on gw-a1 is not ready (ErrImagePull: no such image)" in sentence
    assert sentence.endswith("kubectl rollout undo deployment/isthmus-controller -n isthmus-system")


@pytest.mark.parametrize("component", COMPONENTS)
def test_process_that_runs_natively(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], component: str) -> None:
    kubectl.answers("*.apps *", "")
    sentence = refused(capsys, 1, component, "--yes")
    assert sentence.startswith(f"{COMPONENTS[component].title} does not run in pods of this cluster")
    assert changes(kubectl) == []


def test_confirmation_is_needed(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answers("*.apps *", json.dumps(daemonset("isthmus-charon")))
    kubectl.answers("*get nodes *", listed(node()))
    kubectl.answers("*get pods -n *", listed(pod("one")))
    for component in COMPONENTS:
        assert refused(capsys, 2, component) == "nothing was changed: to confirm without a terminal, add --yes"
    assert changes(kubectl) == []


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["controller", "--node", "gw-a1"], 2, "--node is for agent and charon"),
        (["charon", "--node", "gw-x"], 2, "there is no pod of charon on 'gw-x'; there is on gw-a1"),
        (["charon", "--timeout", "0"], 2, "--timeout must be a whole number from 1 to 3600"),
        (["charon"], 1, "gw-a1 is not Ready in Kubernetes: charon would not start again there"),
    ],
)
def test_refused_before_anything_is_changed(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str
) -> None:
    kubectl.answers("*.apps *", json.dumps(daemonset("isthmus-charon")))
    kubectl.answers("*get nodes *", listed(node(ready=False)))
    kubectl.answers("*get pods -n *", listed(pod("one")))
    assert refused(capsys, code, *arguments, "--yes").startswith(sentence)
    assert changes(kubectl) == []


def test_daemonset_without_pods(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answers("*.apps *", json.dumps(daemonset("isthmus-charon")))
    kubectl.answers("*get pods -n *", listed())
    assert refused(capsys, 1, "charon", "--yes").startswith("DaemonSet isthmus-gateway/isthmus-charon has no pods")


def test_missing_rights(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([], forbidden("gatewaynodes"), 1)
    assert refused(capsys, 3, "agent") == "gatewaynodes: no right to list them at the cluster scope"
    kubectl.objects([])
    stderr = (
        'Error from server (Forbidden): daemonsets.apps "isthmus-agent" is forbidden: User "x" cannot get resource '
        '"daemonsets" in API group "apps" in the namespace "isthmus-gateway"'
    )
    kubectl.answers("*.apps *", stderr=stderr, code=1)
    assert refused(capsys, 3, "agent") == 'no right to get daemonsets in the namespace "isthmus-gateway"'


def test_cluster_that_cannot_be_read(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.fails("Error in configuration: context was not found for specified context: nope")
    assert refused(capsys, 3, "charon", "--yes").startswith("the kubeconfig has no context 'nope'")
    kubectl.fails(MISSING_KIND)
    kubectl.group([])
    assert refused(capsys, 3, "agent", "--yes").startswith("Isthmus is not installed in this cluster")


@pytest.mark.parametrize("arguments", [[], ["everything"], ["charon", "agent"]])
def test_component_is_one_of_three(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["restart", *arguments])
    assert ended.value.code == 2
    capsys.readouterr()
    main(["__complete", "restart", "c"])
    assert capsys.readouterr().out.splitlines() == ["controller", "charon", ":4"]
