"""Parsing the output of `ping -D`: losses are counted, and missing output is not a success."""

import pytest

from tests.testbed.workload.loss import was_starved
from tests.testbed.workload.ping import PingResult, count_replies

END = "\n--- 10.0.0.1 ping statistics ---\n{} packets transmitted, {} received, 0% packet loss, time 1ms\n"


def replies(*numbers: int) -> str:
    return "\n".join(f"[{n}.5] 64 bytes from 10.0.0.1: icmp_seq={n} ttl=64 time=0.5 ms" for n in numbers)


def test_every_reply_is_counted() -> None:
    result = count_replies(replies(1, 2, 3) + END.format(3, 3))
    assert (result.transmitted, result.received, result.all_answered) == (3, 3, True)
    assert result.longest_silence_seconds == 1.0


def test_gap_is_a_loss() -> None:
    result = count_replies(replies(1, 2, 5, 6) + END.format(6, 4))
    assert (result.lost, result.longest_silence_seconds, result.all_answered) == (2, 3.0, False)


def test_duplicate_reply_does_not_hide_a_loss() -> None:
    result = count_replies(replies(1, 2, 2, 4) + END.format(4, 4))
    assert (result.lost, result.arrived_again) == (1, 1)


def test_only_the_last_requests_may_be_outstanding() -> None:
    assert count_replies(replies(1, 2) + END.format(5, 2)).lost == 0
    assert count_replies(replies(1, 2) + END.format(6, 2)).lost == 4


def test_more_requests_are_outstanding_where_replies_take_long() -> None:
    late = replies(1, 2).replace("time=0.5 ms", "time=45 ms")
    assert count_replies(late + END.format(9, 2), 0.01).lost == 0
    assert count_replies(late + END.format(10, 2), 0.01).lost == 8


@pytest.mark.parametrize("output", ["", "ping: connect: Network is unreachable\n", replies(1, 2, 3)])
def test_truncated_output_is_an_error(output: str) -> None:
    with pytest.raises(RuntimeError):
        count_replies(output)


def test_no_reply_is_not_a_success() -> None:
    assert not count_replies(END.format(2, 0)).all_answered


@pytest.mark.parametrize(
    ("control", "starved"),
    [
        (PingResult(800, 800, 0.4, 0.02), False),
        (PingResult(800, 800, 0.4, 0.07), True),
        (PingResult(800, 799, 0.4, 0.02), True),
    ],
    ids=["as quick as ever", "silent, too", "lossy"],
)
def test_node_was_starved_if_a_control_ping_suffered_too(control: PingResult, starved: bool) -> None:
    calm = PingResult(800, 800, 0.4, 0.01)
    assert was_starved(PingResult(880, 875, 11.8, 0.14), [calm, control]) == starved
