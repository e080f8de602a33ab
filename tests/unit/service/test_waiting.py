import asyncio
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from dpdau.errors import StoreFullError
from dpdau.service.waiting import answer_on_their_loops


async def answered(futures: list[asyncio.Future[None]], failure: Exception | None) -> list[Any]:
    """What futures give that another thread answers."""
    thread = Thread(target=answer_on_their_loops, args=(futures, failure))
    thread.start()
    results = await asyncio.gather(*futures, return_exceptions=True)
    thread.join(10)
    return results


def made(count: int) -> list[asyncio.Future[None]]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(count)]


@pytest.mark.parametrize("failure", [None, StoreFullError()])
@pytest.mark.anyio
async def test_every_request_of_a_commit_is_told_what_became_of_it(
    failure: Exception | None,
) -> None:
    assert await answered(made(3), failure) == [failure] * 3


@pytest.mark.anyio
async def test_the_loop_is_woken_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    wake, woken = loop.call_soon_threadsafe, []

    def counted(*arguments: Any) -> asyncio.Handle:
        woken.append(arguments)
        return wake(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_soon_threadsafe", counted)
        await answered(made(5), None)
    assert len(woken) == 1


@pytest.mark.parametrize("failure", [None, StoreFullError()])
@pytest.mark.anyio
async def test_a_request_that_is_given_up_keeps_no_other_from_its_answer(
    failure: Exception | None,
) -> None:
    futures = made(3)
    futures[0].cancel()
    gone, *others = await answered(futures, failure)
    assert isinstance(gone, asyncio.CancelledError)
    assert others == [failure] * 2


@pytest.fixture
def other_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.mark.anyio
async def test_each_loop_answers_its_own(other_loop: asyncio.AbstractEventLoop) -> None:
    (own,) = made(1)
    other = other_loop.create_future()
    assert await answered([own], None) == [None]
    answer_on_their_loops([other], None)
    assert not other.done()
    await asyncio.to_thread(other_loop.run_until_complete, other)


@pytest.mark.anyio
async def test_a_loop_that_is_closed_keeps_no_other_from_its_answer(
    other_loop: asyncio.AbstractEventLoop,
) -> None:
    other = other_loop.create_future()
    other_loop.close()
    (own,) = made(1)
    answer_on_their_loops([other, own], None)
    await asyncio.wait_for(own, 10)
    assert not other.done()
