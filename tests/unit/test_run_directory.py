"""Open vSwitch's run directory as an agent in a container has it: mounted, so that a new one is not seen."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.cli import main as cli
from isthmus.model.errors import Unavailable
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import attachment
from tests.testbed.host.process import wait_until

# In a mount namespace of its own: `host` is the directory that Open vSwitch makes, `pod` the agent's mount of it.
_SCENARIO = """
from pathlib import Path
from subprocess import run
from isthmus.adapters.openvswitch.openflow import OvsOfctl

host, pod = Path("host"), Path("pod")
for directory in (host, pod):
    directory.mkdir()
run(["mount", "--bind", host, pod], check=True)
openflow = OvsOfctl(f"unix:{pod.absolute()}/db.sock")
(host / "br-cloud.mgmt").touch()
print(openflow.mounted_directory_is_deleted(), openflow.instance() != "")
(host / "br-cloud.mgmt").unlink()
print(openflow.mounted_directory_is_deleted(), openflow.instance() != "")
host.rmdir()
print(openflow.mounted_directory_is_deleted())
host.mkdir()
(host / "br-cloud.mgmt").touch()
print(openflow.mounted_directory_is_deleted(), openflow.instance() != "")
run(["umount", pod], check=True)
run(["mount", "--bind", host, pod], check=True)
print(openflow.mounted_directory_is_deleted(), openflow.instance() != "")
"""


def test_mount_of_a_deleted_directory(tmp_path: Path) -> None:
    """Stopped, deleted and recreated; seen again only by a new mount."""
    command = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", _SCENARIO]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["False True", "False False", "True", "True False", "False True"], done.stderr


def test_directory_that_is_only_missing_is_waited_for(tmp_path: Path) -> None:
    """Without a container the agent sees the next one."""
    openflow = OvsOfctl(f"unix:{tmp_path}/openvswitch/db.sock")
    assert not openflow.mounted_directory_is_deleted()
    (tmp_path / "openvswitch").mkdir()
    assert not openflow.mounted_directory_is_deleted()


def test_agent_ends_and_leaves_the_node_as_it_is() -> None:
    harness = AgentHarness()
    harness.kubectl.apply(attachment())
    harness.settle()
    effects = list(harness.node.effects)
    errors: list[Exception] = []

    def run() -> None:
        try:
            harness.agent.run(threading.Event())
        except Unavailable as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: ("node",) in harness.health.ended_timestamps(), 10, "an iteration")
    assert thread.is_alive()
    harness.node.switch_answers = False
    harness.node.run_directory_is_deleted = True
    wait_until(lambda: _has_ended(harness, thread), 10, "the end of the agent")
    assert [str(error).partition(",")[0] for error in errors] == [
        "Open vSwitch's run directory was deleted while it is mounted here"
    ]
    assert harness.node.effects == effects


def _has_ended(harness: AgentHarness, thread: threading.Thread) -> bool:
    harness.clock.seconds += 10
    return not thread.is_alive()


def test_status_and_sentence_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object) -> None:
        raise Unavailable("Open vSwitch's run directory was deleted")

    monkeypatch.setattr("isthmus.agent.run.run", run)
    monkeypatch.setattr("isthmus.agent.assembly.assemble", lambda _: None)
    for name, value in {"CLOUD_ID": "cloud-a", "GATEWAY_CIDRS": "[192.0.2.0/24]", "NODE_NAME": "gw-a1"}.items():
        monkeypatch.setenv(f"ISTHMUS_{name}", value)
    assert cli.main(["agent"]) == 1
    assert capsys.readouterr().err == "isthmus: Open vSwitch's run directory was deleted\n"
