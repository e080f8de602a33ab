"""Requests that wait for a commit, and how the writing thread answers them.

To wake an event loop from another thread takes a lock and a system call, so it happens once for
all requests of a commit.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from dpdau.pipeline.writer import settle

__all__ = ["answer_on_their_loops"]


def answer_on_their_loops(
    futures: Sequence[asyncio.Future[None]], failure: BaseException | None
) -> None:
    """Have futures settled by the event loops that they belong to, and do not wait for it.

    Args:
        futures: of the requests of one commit.
        failure: why nothing was stored; None if all is durable.
    """
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
    for future in futures:
        by_loop[future.get_loop()].append(future)
    for loop, own in by_loop.items():
        # A loop that is closed by now, since the service was made to end, has nobody to answer.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, own, failure)
