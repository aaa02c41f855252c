"""Work in threads whose results come in order, with a bound on what is under way, whatever there is to do in all."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar('Job')
Result = TypeVar('Result')

MOST_WORKERS = 16


def default_workers() -> int:
    """Threads for reading files: more than cores, because they mostly wait for the storage."""
    return min(MOST_WORKERS, 4 * (os.cpu_count() or 1))


def in_order(
    work: Callable[[Job], Result], jobs: Iterable[tuple[int, Job]], *, workers: int, budget: int
) -> Generator[Result, None, None]:
    """The results of ``work`` for each job, in the order of the jobs.

    Args:
        work: Called in threads.
        jobs: What each job costs, and the job; taken from the iterable as needed, by the calling thread.
        workers: Number of threads.
        budget: The most that the jobs under way, and those whose results nobody took yet, may cost in all. A job that
            costs more runs by itself.
    """
    pending: deque[tuple[int, Future[Result]]] = deque()
    spent = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix='import')
    try:
        for cost, job in jobs:
            while pending and spent + cost > budget:
                done, future = pending.popleft()
                yield future.result()
                spent -= done
            pending.append((cost, pool.submit(work, job)))
            spent += cost
        while pending:
            yield pending.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)
