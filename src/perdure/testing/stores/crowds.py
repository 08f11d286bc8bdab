"""Many callers of any store at once, threads and coroutines; and that both colours are one store."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from perdure.store.base import BaseStore, GetOp, PutOp
from perdure.testing.stores.kit import NOTES

__all__ = [
    "a_cancelled_call_harms_nobody_else",
    "many_coroutines_lose_nothing",
    "many_threads_lose_nothing",
    "the_async_face_answers_alike",
]


def many_threads_lose_nothing(store: BaseStore) -> None:
    """Each sees its own write at once, all are there in the end."""

    def write(n: int) -> None:
        store.put((f"thread-{n % 4}",), f"{n}", {"n": n})
        item = store.get((f"thread-{n % 4}",), f"{n}")
        assert item is not None
        assert item.value == {"n": n}

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(100)))

    assert sorted(item.value["n"] for item in store.search((), limit=1000)) == list(range(100))


async def the_async_face_answers_alike(store: BaseStore) -> None:
    """Both colours of one object see one state."""
    await store.aput(NOTES, "a", {"n": 1})
    store.put(NOTES, "b", {"n": 2})

    assert await store.aget(NOTES, "b") == store.get(NOTES, "b")
    assert await store.asearch((), filter={"n": 1}) == store.search((), filter={"n": 1})
    assert await store.alist_namespaces(prefix=("users",)) == [NOTES]
    before = store.get(NOTES, "a")
    assert await store.abatch([PutOp(NOTES, "a", None), GetOp(NOTES, "a")]) == [None, before]
    await store.adelete(NOTES, "b")
    assert store.search(()) == []


async def many_coroutines_lose_nothing(store: BaseStore) -> None:
    """Side by side on one loop."""
    await asyncio.gather(*(store.aput(NOTES, f"{n}", {"n": n}) for n in range(100)))
    found = await asyncio.gather(*(store.aget(NOTES, f"{n}") for n in range(100)))

    assert [item.value["n"] for item in found if item is not None] == list(range(100))


async def a_cancelled_call_harms_nobody_else(store: BaseStore) -> None:
    """The store works on, whatever the moment of the cancellation."""
    for turns in range(6):
        calls = [asyncio.ensure_future(store.aput(NOTES, f"{n}", {"n": n})) for n in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
        calls[1].cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [outcome for outcome in (outcomes[0], *outcomes[2:]) if outcome is not None] == []

    await store.aput(NOTES, "after", {"n": 9})
    assert {"0", "2", "3", "after"} <= {item.key for item in await store.asearch(NOTES)}
