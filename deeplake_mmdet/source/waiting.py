"""Waiting for Deep Lake with a deadline.

Its blocking calls ignore Ctrl-C, and against a server that accepts but never answers they return after half an hour.
The asynchronous ones, polled, do neither.
"""

from __future__ import annotations

import math
import time
from typing import Any

from deeplake_mmdet.errors import SourceError

OPEN_DEADLINE_S = 60.0
READ_DEADLINE_S = 60.0
# A query may compute for minutes, and on local data it has all the time it wants.
QUERY_DEADLINE_S = 600.0


class DeadlineError(SourceError, TimeoutError):
    """The storage gave no answer in time."""


def wait(future: Any, what: str, deadline_s: float = math.inf) -> Any:
    """The result of a Deep Lake future.

    A process that gave up waiting may crash when the interpreter shuts down, since Deep Lake is still busy: end it with
    ``os._exit``.

    Args:
        future: What an ``…_async`` call of Deep Lake returned.
        what: What is being waited for, for the message.
        deadline_s: Seconds after which the wait is given up.

    Raises:
        DeadlineError: No answer in time.
    """
    end = time.monotonic() + deadline_s
    pause = 1e-5
    try:
        while not future.is_completed():
            if time.monotonic() > end:
                raise DeadlineError(
                    f'{what}: the storage gave no answer in {deadline_s:.3g} seconds. Check the network and the '
                    'endpoint.'
                )
            time.sleep(pause)
            pause = min(2 * pause, 0.002)
    except BaseException:  # Ctrl-C too
        future.cancel()
        raise
    return future.result()
