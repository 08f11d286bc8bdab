"""How items expire in Perdure's stores, as functions that raise AssertionError.

`TTL_CHECKS` and `ASYNC_TTL_CHECKS` belong to the suite of `stores.py`. Give each check a fresh, empty store that was opened
with `ttl=CONFIG`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from perdure.errors import VersionConflict
from perdure.storage.item_store import ItemStore
from perdure.store.base import Item, PutOp, SearchOp, TTLConfig
from perdure.store.past import Origin
from perdure.store.swept import SweptStore
from perdure.testing.fake_clock import FakeClock
from perdure.testing.raised import raised

__all__ = ["ASYNC_TTL_CHECKS", "CONFIG", "TTL_CHECKS"]

CONFIG: Final[TTLConfig] = {"default_ttl": 60}
NOTES: Final = ("users", "ada", "notes")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
BAD: Final[tuple[Any, ...]] = (0, -1, float("nan"), float("inf"), "5", True, 1e12)


def an_item_lives_as_long_as_was_said(store: SweptStore) -> None:
    """What its put says, else what the store says; None is for ever."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "default", {})
        store.put(NOTES, "short", {}, ttl=0.5)
        store.put(NOTES, "ever", {}, ttl=None)
        store.batch([PutOp(NOTES, "batch", {}, ttl=90), PutOp(NOTES, "no default in a batch", {})])

        ends = {item.key: (item.expires_at, item.ttl) for item in store.search((), refresh_ttl=False)}
        assert ends == {
            "default": (BEGIN + timedelta(minutes=60), 60),
            "short": (BEGIN + timedelta(seconds=30), 0.5),
            "ever": (None, None),
            "batch": (BEGIN + timedelta(minutes=90), 90),
            "no default in a batch": (None, None),
        }
        living = {"default", "short", "ever", "batch", "no default in a batch"}
        for seconds, gone in (
            (29.999999, None),
            (0.000001, "short"),
            (59.5 * 60, "default"),
            (1800, "batch"),
        ):
            clock.advance(seconds=seconds)
            living.discard(gone or "")
            assert _keys(store) == living


def an_expired_item_is_nowhere(store: SweptStore) -> None:
    """No read shows it and no condition meets it, though nobody has swept it."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"text": "likes tea", "n": 1}, ttl=5)
        store.put(("users", "bob"), "tea", {"text": "hates tea", "n": 1})
        old = store.get(NOTES, "tea", refresh_ttl=False)
        assert old is not None
        clock.advance(minutes=5)

        assert store.get(NOTES, "tea") is None
        ways: list[dict[str, Any]] = [{}, {"filter": {"n": 1}}, {"query": "tea"}, {"order_by": "key"}]
        for asked in ways:
            assert [item.namespace for item in store.search((), **asked)] == [("users", "bob")], asked
        assert store.list_namespaces() == [("users", "bob")]
        raised(VersionConflict, lambda: store.put(NOTES, "tea", {}, if_version=old.version))
        raised(VersionConflict, lambda: store.delete(NOTES, "tea", if_version=old.version))
        seen: list[Any] = []
        assert store.update(NOTES, "tea", seen.append) is None
        assert seen == [None]
        store.put(NOTES, "tea", {"n": 2}, if_absent=True)
        item = store.get(NOTES, "tea")
        assert item is not None
        assert item.value == {"n": 2}
        assert item.created_at == clock.now()
        assert (item.version or 0) > (old.version or 0)


def reading_begins_its_time_anew(store: SweptStore) -> None:
    """By get, by search, by words, in a batch; unless the read says no, and of what is found only."""
    reads: list[Callable[[], object]] = [
        lambda: store.get(NOTES, "tea"),
        lambda: store.search(NOTES, filter={"n": 1}),
        lambda: store.search((), query="tea"),
        lambda: store.batch([SearchOp(("users",))]),
        lambda: store.get(NOTES, "tea", refresh_ttl=True),
    ]
    idle: list[Callable[[], object]] = [
        lambda: store.get(NOTES, "tea", refresh_ttl=False),
        lambda: store.search(NOTES, refresh_ttl=False),
        lambda: store.batch([SearchOp(NOTES, refresh_ttl=False)]),
        lambda: store.list_namespaces(),
        lambda: store.search(NOTES, filter={"n": 2}),
    ]
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"text": "tea", "n": 1}, ttl=10)
        before = store.get(NOTES, "tea", refresh_ttl=False)
        for read in reads:
            clock.advance(minutes=9, seconds=59)
            read()
        for read in idle:
            clock.advance(minutes=1)
            read()
        after = store.get(NOTES, "tea", refresh_ttl=False)
        assert before is not None
        assert after is not None
        assert (after.version, after.revision, after.updated_at) == (
            before.version,
            before.revision,
            before.updated_at,
        )
        assert len(store.history(NOTES, "tea")) == 1
        clock.advance(minutes=5)
        assert store.get(NOTES, "tea") is None


def what_was_read_in_time_is_kept(store: SweptStore) -> None:
    """However far the clock goes between a read and the next use: reads, writes and sweeps all know of it."""
    with FakeClock(BEGIN) as clock:
        for key in "abc":
            store.put(NOTES, key, {"n": 1}, ttl=10)
        clock.advance(minutes=9)
        item = store.get(NOTES, "a")
        store.search(NOTES, filter={"n": 1})
        clock.advance(minutes=9)
        assert item is not None

        assert store.sweep_ttl() == 0
        store.put(NOTES, "a", {"n": 2}, if_version=item.version)
        assert _keys(store) == {"a", "b", "c"}


def a_put_begins_anew_and_an_update_does_not(store: SweptStore) -> None:
    """An update changes what the item says, not when it ends; what it makes lives as what is put."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {}, ttl=10)
        store.put(NOTES, "ever", {}, ttl=None)
        clock.advance(minutes=4)
        for key in ("tea", "ever", "new"):
            store.update(NOTES, key, lambda value: {**(value or {}), "n": 1})

        ends = {item.key: item.expires_at for item in store.search((), refresh_ttl=False)}
        assert ends == {
            "tea": BEGIN + timedelta(minutes=10),
            "ever": None,
            "new": BEGIN + timedelta(minutes=64),
        }
        store.put(NOTES, "tea", {}, ttl=20)
        again = store.get(NOTES, "tea", refresh_ttl=False)
        assert again is not None
        assert (again.expires_at, again.ttl) == (BEGIN + timedelta(minutes=24), 20)


def a_sweep_counts_what_it_removes(store: SweptStore) -> None:
    """In as many commits as it takes; each deletion says in the history that the item expired."""
    with FakeClock(BEGIN) as clock:
        store.batch([PutOp(("n", str(n % 7)), f"k{n}", {"n": n}, ttl=1) for n in range(1200)])
        store.put(NOTES, "tea", {}, ttl=1)
        store.put(NOTES, "stays", {})
        assert store.sweep_ttl() == 0
        clock.advance(minutes=1)

        assert store.sweep_ttl() == 1201
        assert store.sweep_ttl() == 0
        assert _keys(store) == {"stays"}
        deletion, put = store.history(NOTES, "tea")
        assert (deletion.deleted, deletion.origin) == (True, Origin(actor="ttl"))
        assert (put.origin, put.expires_at) == (Origin(), BEGIN + timedelta(minutes=1))
        assert deletion.updated_at == clock.now()


def a_write_over_it_sweeps_it_first(store: SweptStore) -> None:
    """In one commit: the history tells that it expired before it was written again."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1}, ttl=1)
        store.put(NOTES, "gone", {"n": 1}, ttl=1)
        clock.advance(minutes=2)
        store.put(NOTES, "tea", {"n": 2})
        store.delete(NOTES, "gone")

        new, deletion, old = store.history(NOTES, "tea")
        assert [version.value for version in (new, deletion, old)] == [{"n": 2}, None, {"n": 1}]
        assert deletion.origin == Origin(actor="ttl")
        assert new.revision == deletion.revision
        assert new.created_at == clock.now()
        assert [version.origin.actor for version in store.history(NOTES, "gone")] == ["ttl", None]
        assert store.sweep_ttl() == 0


def a_view_shows_what_lived_then(store: SweptStore) -> None:
    """By the time that is named, else by that of the commit; swept since or not; differences agree."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1}, ttl=10)
        store.put(NOTES, "read", {"n": 1}, ttl=10)
        first = store.search(())[0].revision or ""
        clock.advance(minutes=5)
        store.get(NOTES, "read")
        clock.advance(minutes=7)
        store.put(NOTES, "other", {"n": 1}, ttl=None)
        second = store.search((), refresh_ttl=False)[0].revision or ""
        clock.advance(minutes=60)

        def told() -> list[Any]:
            named = [BEGIN + timedelta(minutes=minutes) for minutes in (0, 9, 10, 14, 15, 12, 500)]
            views = [_keys(store.at(moment)) for moment in (first, second, *named)]
            pairs = ((first, second), (named[1], named[2]), (second, None), (named[0], named[4]))
            changes = [[(change.key, change.kind) for change in store.diff(*pair)] for pair in pairs]
            return [views, changes, store.at(named[1]).list_namespaces()]

        unswept = told()
        assert unswept == [
            [
                {"tea", "read"},
                {"read", "other"},
                {"tea", "read"},
                {"tea", "read"},
                {"read"},
                {"read", "other"},
                {"other"},
                {"read", "other"},
                {"other"},
            ],
            [
                [("other", "added"), ("tea", "removed")],
                [("tea", "removed")],
                [("read", "removed")],
                [("other", "added"), ("read", "removed"), ("tea", "removed")],
            ],
            [NOTES],
        ]
        assert store.sweep_ttl() == 2
        assert told() == unswept


def taking_back_minds_what_expired(store: SweptStore) -> None:
    """What stood before comes back and lives its time anew; an expiry goes with the write that set it."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1}, ttl=None)
        store.put(NOTES, "cake", {"n": 1}, ttl=30)
        store.put(NOTES, "unswept", {"n": 1}, ttl=None)
        moment = store.search((), refresh_ttl=False)[0].revision or ""
        for key in ("tea", "cake", "new"):
            store.put(NOTES, key, {"n": 2}, ttl=1)
        clock.advance(minutes=1)
        store.sweep_ttl()
        store.put(NOTES, "unswept", {"n": 2}, ttl=1)
        clock.advance(minutes=1)

        report = store.revert(since=moment)

        assert report.conflicts == ()
        found = {
            item.key: (item.value["n"], item.expires_at) for item in store.search(NOTES, refresh_ttl=False)
        }
        assert found == {
            "tea": (1, None),
            "cake": (1, clock.now() + timedelta(minutes=30)),
            "unswept": (1, None),
        }


def a_sweeper_sweeps_until_it_is_stopped(store: SweptStore) -> None:
    """At once, then after each pause; one at a time."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {}, ttl=1)
        clock.advance(minutes=1)
        assert store.stop_ttl_sweeper() is True

        running = store.start_ttl_sweeper(1000)
        assert store.start_ttl_sweeper() is running
        assert not running.cancel()
        assert store.stop_ttl_sweeper(timeout=60) is True
        assert running.result(timeout=60) is None
        assert len(store.history(NOTES, "tea")) == 2

        again = store.start_ttl_sweeper()
        assert again is not running
        assert store.stop_ttl_sweeper() is True
        assert again.done()
        bad: Any
        for bad in (0, -1, "5", True):
            raised(ValueError, lambda bad=bad: store.start_ttl_sweeper(bad))


def a_time_that_cannot_be_right_is_an_error(store: SweptStore) -> None:
    """And nothing of the batch is written."""
    for ttl in BAD:
        raised(ValueError, lambda ttl=ttl: store.put(NOTES, "k", {}, ttl=ttl))
        ops = [PutOp(NOTES, "fine", {}), PutOp(NOTES, "k", {}, ttl=ttl)]
        raised(ValueError, lambda ops=ops: store.batch(ops))
    store.put(NOTES, "longest", {}, ttl=5e9)
    store.put(NOTES, "shortest", {}, ttl=1e-12)

    assert _keys(store) <= {"longest", "shortest"}
    assert "longest" in _keys(store)


async def the_async_face_expires_alike(store: ItemStore) -> None:
    """Puts, reads that refresh and reads that do not, updates."""
    with FakeClock(BEGIN) as clock:
        await store.aput(NOTES, "tea", {"n": 1}, ttl=10)
        await store.aput(NOTES, "left", {"n": 2}, ttl=10)
        await store.aput(NOTES, "default", {"n": 3})
        await store.aupdate(NOTES, "made", lambda _: {"n": 4})
        clock.advance(minutes=9)
        item = await store.aget(NOTES, "tea")
        await store.aget(NOTES, "left", refresh_ttl=False)
        clock.advance(minutes=9)
        found = await store.asearch(NOTES, filter={"n": 1})
        clock.advance(minutes=9)

        assert item is not None
        assert [one.key for one in found] == ["tea"]
        assert [one.key for one in await store.asearch(NOTES)] == ["made", "default", "tea"]
        clock.advance(minutes=33)
        await store.abatch([SearchOp(NOTES, filter={"n": 3})])
        clock.advance(minutes=59)
        assert [one.key for one in await store.asearch(NOTES)] == ["default"]


TTL_CHECKS: Final[tuple[Callable[[SweptStore], None], ...]] = (
    an_item_lives_as_long_as_was_said,
    an_expired_item_is_nowhere,
    reading_begins_its_time_anew,
    what_was_read_in_time_is_kept,
    a_put_begins_anew_and_an_update_does_not,
    a_sweep_counts_what_it_removes,
    a_write_over_it_sweeps_it_first,
    a_view_shows_what_lived_then,
    taking_back_minds_what_expired,
    a_sweeper_sweeps_until_it_is_stopped,
    a_time_that_cannot_be_right_is_an_error,
)
"""For stores that were opened with `CONFIG`."""
ASYNC_TTL_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (the_async_face_expires_alike,)
"""The same in its other colour."""


def _keys(store: ItemStore) -> set[str]:
    found: list[Item] = [*store.search((), limit=10_000, refresh_ttl=False)]
    return {item.key for item in found}
