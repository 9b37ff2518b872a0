"""Which failures are to stand, and how often a file must pass otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import rerun

LOST = """
E           assert 1 == 0
tests/kernel/test_agent.py:100: AssertionError
=========================== short test summary info ============================
FAILED tests/kernel/test_agent.py::test_keys[one] - assert 1 == 0
FAILED tests/kernel/test_agent.py::test_kills - TimeoutError: SAs: not seen within 30 s
ERROR tests/lab/story/test_story.py::test_demo
2 failed, 115 passed, 1 error in 822.65s (0:13:42)
"""
BOTH = ["tests/kernel/test_agent.py", "tests/lab/story/test_story.py"]
LEAKED = LOST + "\nE   tests.testbed.wan.wire.UnprotectedFrames: unexpected frames on the WAN:\n"
CHECKED = LOST + "\n>   assert summary.clean == blocked, summary\n"
FOUR = "".join(f"FAILED tests/lab/test_{number}.py::test_it - assert False\n" for number in range(4))


def test_files_that_failed_are_each_named_once() -> None:
    assert rerun.failed_files(LOST) == BOTH


@pytest.mark.parametrize("output", [LEAKED, CHECKED, FOUR], ids=["leaked", "checked", "four"])
def test_leaks_and_many_failures_stand(output: str) -> None:
    assert rerun.failed_files(output) == []
    assert rerun.confirmed(1, output, lambda _: 0) == 1


def test_other_ends_than_failed_tests_stand() -> None:
    assert [rerun.confirmed(status, LOST, lambda _: 0) for status in (0, 2, 125)] == [0, 2, 125]


@pytest.mark.parametrize(("results", "status"), [([0, 0], 0), ([1], 1), ([0, 1], 1), ([0, 2], 2)])
def test_both_runs_must_pass(results: list[int], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    left, asked = list(results), list[list[str]]()

    def again(files: list[str]) -> int:
        asked.append(files)
        return left.pop(0)

    assert rerun.confirmed(1, LOST, again) == status
    assert (left, asked) == ([], [BOTH] * len(results))
    assert ("passed 2 times" in capsys.readouterr().out) == (status == 0)


@pytest.mark.parametrize(("failing", "status"), [({1}, 0), ({1, 3}, 1), ({1, 2}, 1), (set[int](), 0)])
def test_with_pytest_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: set[int], status: int) -> None:
    """A test that fails the runs of these numbers."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(
        f"""
from pathlib import Path

def test_it():
    runs = Path("runs")
    runs.write_text((runs.read_text() if runs.exists() else "") + ".")
    assert len(runs.read_text()) not in {failing or {0}}
"""
    )
    monkeypatch.chdir(tmp_path)
    assert rerun.main(["-q", "tests"]) == status
    assert len((tmp_path / "runs").read_text()) == (max(failing) if status else 3 if failing else 1)
