"""`AsyncBatchedBaseStore`: one tick, one batch, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from perdure.store.base import GetOp, Op, PutOp, Result
from perdure.store.base.batch import AsyncBatchedBaseStore
from perdure.store.memory import InMemoryStore

ME = ("users", "ada")


class Recording(AsyncBatchedBaseStore):
    """Remembers what reached it; may be told to be slow."""

    def __init__(self) -> None:
        self.inner = InMemoryStore()
        self.sent: list[list[Op]] = []
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self.inner.batch(ops)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        self.sent.append(list(ops))
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        return await self.inner.abatch(self.sent[-1])


@pytest.mark.fact(150)
async def test_equal_reads_of_a_tick_reach_the_backend_once() -> None:
    store = Recording()
    store.inner.put(ME, "a", {"tags": []})

    first, second, other = await asyncio.gather(
        store.aget(ME, "a"), store.aget(ME, "a"), store.asearch(ME, filter={"n": 1})
    )

    assert [len(ops) for ops in store.sent] == [2]
    assert other == []
    assert first is not None
    assert first == second
    first.value["tags"].append("mine")
    assert second is not None
    assert second.value == {"tags": []}


@pytest.mark.fact(150)
async def test_of_two_puts_of_a_tick_the_last_is_sent() -> None:
    store = Recording()

    await asyncio.gather(
        store.aput(ME, "a", {"n": 1}), store.aput(ME, "b", {}), store.aput(ME, "a", {"n": 2})
    )

    assert store.sent == [[PutOp(ME, "b", {}), PutOp(ME, "a", {"n": 2})]]


async def test_filters_that_differ_in_type_only_are_two_reads() -> None:
    store = Recording()
    store.inner.put(ME, "true", {"n": True})

    one, true = await asyncio.gather(
        store.asearch(ME, filter={"n": 1}), store.asearch(ME, filter={"n": True})
    )

    assert (len(one), len(true)) == (0, 1)


async def test_calls_of_different_ticks_are_different_batches() -> None:
    store = Recording()

    await store.aput(ME, "a", {})
    await store.aget(ME, "a")

    assert [len(ops) for ops in store.sent] == [1, 1]


async def test_a_bad_operation_fails_alone() -> None:
    store = Recording()

    fine, bad = await asyncio.gather(
        store.aput(ME, "fine", {}), store.aput(ME, "bad", {"n": {1}}), return_exceptions=True
    )

    assert fine is None
    assert isinstance(bad, Exception)
    assert [item.key for item in await store.asearch(())] == ["fine"]


async def test_a_caller_that_is_cancelled_before_the_tick_ends_withdraws_its_call() -> None:
    store = Recording()
    calls = [asyncio.ensure_future(store.aget(ME, key)) for key in ("a", "b")]
    await asyncio.sleep(0)  # both have asked, nothing went out

    calls[0].cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert store.sent == [[GetOp(ME, "b")]]


async def test_a_caller_that_is_cancelled_later_leaves_the_others_their_answers() -> None:
    store = Recording()
    store.gate = asyncio.Event()
    store.inner.put(ME, "a", {})
    calls = [asyncio.ensure_future(store.aget(ME, "a")) for _ in range(3)]
    await store.reached.wait()

    calls[0].cancel()
    await asyncio.sleep(0)
    store.gate.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1] == outcomes[2] == store.inner.get(ME, "a")
    assert await store.aget(ME, "a") is not None


def test_one_store_serves_one_loop_after_another() -> None:
    store = Recording()

    for n in range(3):
        asyncio.run(store.aput(ME, f"{n}", {}))

    assert len(store.inner.search(())) == 3


def test_a_loop_that_ends_in_the_middle_of_a_batch_harms_no_later_one() -> None:
    store = Recording()

    async def gives_up() -> None:
        store.gate = asyncio.Event()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.aput(ME, "a", {}), 0.01)
        store.gate = None

    asyncio.run(gives_up())
    asyncio.run(store.aput(ME, "b", {}))

    assert [item.key for item in store.inner.search(())] == ["b"]
