"""What watches of Perdure's stores promise, as functions that raise AssertionError.

`WATCH_CHECKS` and `ASYNC_WATCH_CHECKS` belong to the suite of `stores.py`. Give each check a fresh, empty store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from perdure.errors import Compacted, QueryError
from perdure.storage.item_store import ItemStore
from perdure.store.base import PutOp
from perdure.store.past import Origin
from perdure.store.watch import Changes, Event, Watch
from perdure.testing.fake_clock import FakeClock

__all__ = ["ASYNC_WATCH_CHECKS", "WATCH_CHECKS", "drained"]

NOTES: Final = ("users", "ada", "notes")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def drained(watch: Watch) -> list[Changes]:
    """All changes up to now."""
    found: list[Changes] = []
    while (changes := watch.next(timeout=0)) is not None:
        found.append(changes)
    return found


def a_watch_tells_what_is_written_from_now_on(store: ItemStore) -> None:
    """Puts and deletions below the prefix, in order, each with all that is known of it; nothing of before."""
    store.put(NOTES, "old", {"n": 0})
    watch = store.watch(("users", "ada"))
    with FakeClock(BEGIN):
        store.put(NOTES, "tea", {"n": 1})
        store.put(("users", "adam"), "tea", {"n": 2})
        store.delete(NOTES, "never there")
        store.delete(NOTES, "tea")
    item = store.get(("users", "adam"), "tea")
    assert item is not None

    put, delete = drained(watch)

    versions = list(reversed(store.history(NOTES, "tea")))
    assert [*put, *delete] == [
        Event("put", NOTES, "tea", {"n": 1}, versions[0].version, versions[0].revision, BEGIN, Origin()),
        Event("delete", NOTES, "tea", None, versions[1].version, versions[1].revision, BEGIN, Origin()),
    ]
    assert [put.revision, delete.revision] == [version.revision for version in versions]
    assert drained(watch) == []
    assert [changes.revision for changes in drained(store.watch(since=put.revision))] == [
        item.revision,
        delete.revision,
    ]


def a_commit_comes_whole(store: ItemStore) -> None:
    """All of a batch together, in its order; an item that it wrote twice with the last value."""
    watch = store.watch()
    store.batch([PutOp(NOTES, "a", {"n": 1}), PutOp(NOTES, "b", {"n": 2}), PutOp(NOTES, "a", {"n": 3})])
    store.put(NOTES, "c", {})

    first, second = drained(watch)

    assert [(event.key, event.value) for event in first] == [("b", {"n": 2}), ("a", {"n": 3})]
    assert {event.revision for event in first} == {first.revision}
    assert (len(first), len(second), bool(first)) == (2, 1, True)


def values_are_the_readers_own(store: ItemStore) -> None:
    """What a reader does to an event's value changes nothing in the store, nor for another watch."""
    one, other = store.watch(), store.watch()
    store.put(NOTES, "tea", {"list": [1]})

    (event,) = drained(one)[0]
    assert event.value is not None
    event.value["list"].append(2)

    (again,) = drained(other)[0]
    assert again.value == {"list": [1]}
    item = store.get(NOTES, "tea")
    assert item is not None
    assert item.value == {"list": [1]}


def a_watch_goes_on_where_another_ended(store: ItemStore) -> None:
    """Since a revision: all commits after it, and no other."""
    start = store.watch().revision
    for n in range(450):  # more than a page
        store.put((f"s{n % 7}",), "k", {"n": n})

    first = store.watch(since=start)
    seen = [first.next(timeout=0) for _ in range(123)]
    place = first.revision
    rest = drained(store.watch(since=place))

    every = [*(changes for changes in seen if changes), *rest]
    assert [event.value for changes in every for event in changes] == [{"n": n} for n in range(450)]
    assert place == every[122].revision
    for bad in ("1.1", "0.99999", "soon", 7):
        odd: Any = bad
        _refused(lambda odd=odd: store.watch(since=odd))


def a_quiet_watch_can_go_on_late(store: ItemStore) -> None:
    """Marks of progress, and `revision`, move on with commits elsewhere, so little has to be looked at again."""
    watch = store.watch(NOTES, progress_seconds=0)
    for n in range(5):
        store.put(("elsewhere",), "k", {"n": n})

    mark = watch.next()

    item = store.get(("elsewhere",), "k")
    assert item is not None
    assert mark is not None
    assert (len(mark), bool(mark), mark.revision) == (0, False, item.revision)
    assert watch.revision == item.revision
    store.put(NOTES, "tea", {})
    assert [event.key for event in watch.next() or ()] == ["tea"]
    for bad in (-1, "1", True, float("nan")):
        odd: Any = bad
        _refused(lambda odd=odd: store.watch(progress_seconds=odd))
        _refused(lambda odd=odd: store.watch(poll_seconds=odd))
        _refused(lambda odd=odd: watch.next(odd))


def a_writer_wakes_who_waits(store: ItemStore) -> None:
    """A write of this process is told at once, however seldom the watch looks by itself."""
    watch = store.watch(NOTES, poll_seconds=3600)
    told: list[Changes | None] = []
    reader = threading.Thread(target=lambda: told.append(watch.next()), daemon=True)
    reader.start()

    store.put(NOTES, "tea", {})

    reader.join(20)
    assert not reader.is_alive()
    assert [event.key for changes in told if changes for event in changes] == ["tea"]


def closing_ends_the_reading(store: ItemStore) -> None:
    """From another thread, too; what was not read is dropped; again it does nothing."""
    watch = store.watch(poll_seconds=3600)
    reader = threading.Thread(target=lambda: list(watch), daemon=True)
    reader.start()

    watch.close()

    reader.join(20)
    assert not reader.is_alive()
    store.put(NOTES, "tea", {})
    watch.close()
    assert (watch.closed, watch.next(), list(watch)) == (True, None, [])
    with store.watch() as other:
        store.put(NOTES, "tea", {})
    assert list(other) == []


def a_view_of_the_past_is_not_watched(store: ItemStore) -> None:
    """Nothing changes in it."""
    store.put(NOTES, "tea", {})
    item = store.get(NOTES, "tea")
    assert item is not None
    assert item.revision is not None
    past = store.at(item.revision)
    try:
        past.watch()
    except NotImplementedError:
        return
    raise AssertionError("a view of the past was watched")


async def a_loop_is_free_while_a_watch_waits(store: ItemStore) -> None:
    """`async for` gives the same, while the loop does other things."""
    watch = await store.awatch(NOTES, poll_seconds=3600)

    async def read() -> list[Changes]:
        found: list[Changes] = []
        async for changes in watch:
            found.append(changes)
            if any(event.key == "last" for event in changes):
                await watch.aclose()
        return found

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    await store.aput(NOTES, "tea", {"n": 1})
    await store.abatch([PutOp(NOTES, "cake", {"n": 2}), PutOp(NOTES, "last", {"n": 3})])

    found = await asyncio.wait_for(reader, 20)
    assert [[event.key for event in changes] for changes in found] == [["tea"], ["cake", "last"]]
    async with await store.awatch() as other:
        assert await other.anext(timeout=0) is None
    assert [changes async for changes in other] == []


async def a_cancelled_reader_loses_nothing(store: ItemStore) -> None:
    """The changes that it would have got go to the next who asks."""
    watch = await store.awatch(NOTES)
    reader = asyncio.create_task(watch.anext())
    await asyncio.sleep(0)
    await store.aput(NOTES, "tea", {})
    reader.cancel()
    try:
        changes = await reader  # it was faster than its end
    except asyncio.CancelledError:
        changes = await watch.anext()

    assert [event.key for event in changes or ()] == ["tea"]
    assert await watch.anext(timeout=0) is None


def _refused(ask: Callable[[], object]) -> None:
    try:
        ask()
    except QueryError:
        return
    except Compacted as error:
        raise AssertionError("it is no revision, rather than an old one") from error
    raise AssertionError("it was taken")


WATCH_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    a_watch_tells_what_is_written_from_now_on,
    a_commit_comes_whole,
    values_are_the_readers_own,
    a_watch_goes_on_where_another_ended,
    a_quiet_watch_can_go_on_late,
    a_writer_wakes_who_waits,
    closing_ends_the_reading,
    a_view_of_the_past_is_not_watched,
)
ASYNC_WATCH_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (
    a_loop_is_free_while_a_watch_waits,
    a_cancelled_reader_loses_nothing,
)
