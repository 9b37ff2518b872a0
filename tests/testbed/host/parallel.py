"""Work on several clouds at once, each in a thread of its own: most of it is waiting for their servers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def at_once(*work: Callable[[], Result]) -> list[Result]:
    """Run all of it and return the results in order; the first error is raised once all of it has ended.

    The threads are in the network namespace of the caller.
    """
    with ThreadPoolExecutor(len(work) or 1) as pool:
        return [task.result() for task in [pool.submit(one) for one in work]]
