"""What Perdure's stores tell of their past, and how they take back, as functions that raise AssertionError.

`PAST_CHECKS` and `ASYNC_PAST_CHECKS` belong to the suite of `stores.py`. Give each check a fresh, empty store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from perdure.errors import QueryError
from perdure.storage.item_store import ItemStore
from perdure.store.base import NotSupported
from perdure.store.past import Origin
from perdure.testing.fake_clock import FakeClock
from perdure.testing.raised import araised, raised

__all__ = ["ASYNC_PAST_CHECKS", "PAST_CHECKS"]

NOTES: Final = ("users", "ada", "notes")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def a_history_tells_every_version(store: ItemStore) -> None:
    """Newest first, deletions included, with times; of an item that is gone, too."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1})
        clock.advance(hours=1)
        store.put(NOTES, "tea", {"n": 2})
        clock.advance(hours=1)
        store.delete(NOTES, "tea")

    versions = store.history(NOTES, "tea")

    assert [version.value for version in versions] == [None, {"n": 2}, {"n": 1}]
    assert [version.deleted for version in versions] == [True, False, False]
    assert [version.updated_at for version in versions] == [BEGIN + timedelta(hours=h) for h in (2, 1, 0)]
    assert {version.created_at for version in versions} == {BEGIN}
    assert {(version.namespace, version.key) for version in versions} == {(NOTES, "tea")}
    assert {version.origin for version in versions} == {Origin()}
    marks = [version.version for version in versions]
    assert marks == sorted(marks, reverse=True)
    assert store.history(NOTES, "tea", limit=1) == versions[:1]
    assert store.history(NOTES, "never") == []
    bad: Any
    for bad in (0, -1, True, "2"):
        raised(QueryError, lambda limit=bad: store.history(NOTES, "tea", limit=limit))


def a_view_shows_what_was(store: ItemStore) -> None:
    """As `get`, `search`, filters and namespaces answered then, order and versions included."""
    store.put(NOTES, "tea", {"kind": "drink", "n": 1})
    store.put(NOTES, "cake", {"kind": "food"})
    store.put(("users", "bob"), "tea", {"kind": "drink"})
    store.put(NOTES, "gone", {"kind": "drink"})
    then = _everything(store)
    moment = _newest(store)

    store.put(NOTES, "tea", {"kind": "drink", "n": 2})
    store.put(NOTES, "cake", {"kind": "drink"})
    store.delete(NOTES, "gone")
    store.delete(("users", "bob"), "tea")
    store.put(("new",), "k", {})
    past = store.at(moment)

    assert _everything(past) == then
    assert past.revision == moment
    assert past.get(("new",), "k") is None
    item = past.get(NOTES, "tea")
    assert item is not None
    assert item.value == {"kind": "drink", "n": 1}
    item.value["n"] = 7
    again = past.get(NOTES, "tea")
    assert again is not None
    assert again.value["n"] == 1
    assert _everything(store) != then


def a_view_has_pages(store: ItemStore) -> None:
    """`limit` and `offset` mean in the past what they mean now."""
    for n in range(30):
        store.put(("n", str(n % 3)), f"k{n}", {"n": n, "even": n % 2 == 0})
    moment = _newest(store)
    for n in range(0, 30, 3):
        store.put(("n", str(n % 3)), f"k{n}", {"n": -n, "even": False})

    past = store.at(moment)

    assert [item.value["n"] for item in past.search(("n",))] == list(range(29, 19, -1))
    assert [item.value["n"] for item in past.search(("n",), limit=4, offset=25)] == [4, 3, 2, 1]
    even = past.search((), filter={"even": True}, limit=3, offset=2)
    assert [item.value["n"] for item in even] == [24, 22, 20]


def a_view_is_read_only(store: ItemStore) -> None:
    """Every way to write says so, and writes nothing; text search reads the present."""
    store.put(NOTES, "tea", {"n": 1})
    past: Any = store.at(_newest(store))
    called: list[object] = []

    for write in (
        lambda: past.put(NOTES, "tea", {"n": 2}),
        lambda: past.delete(NOTES, "tea"),
        lambda: past.update(NOTES, "tea", called.append),
        lambda: past.revert(since="0.0"),
    ):
        raised(NotSupported, write)
    error = raised(QueryError, lambda: past.search(NOTES, query="tea"))
    raised(NotSupported, lambda: past.history(NOTES, "tea"))

    assert "reads the present" in str(error)
    assert called == []
    item = store.get(NOTES, "tea")
    assert item is not None
    assert item.value == {"n": 1}


def a_moment_is_a_revision_or_a_time(store: ItemStore) -> None:
    """A time is the last commit not later than it; what is no moment of this database is refused by name."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1})
        clock.advance(hours=1)
        store.put(NOTES, "tea", {"n": 2})
        second = _newest(store)

    def n(moment: Any) -> Any:
        item = store.at(moment).get(NOTES, "tea")
        return None if item is None else item.value["n"]

    assert n(BEGIN - timedelta(microseconds=1)) is None
    assert n(BEGIN) == n(BEGIN + timedelta(minutes=59)) == 1
    assert n(BEGIN + timedelta(hours=1)) == n(BEGIN + timedelta(days=1)) == n(second) == 2
    elsewhere = (BEGIN + timedelta(minutes=30)).astimezone(tz=None)
    assert n(elsewhere) == 1
    nowhere: dict[str, Any] = {}
    bad: Any
    for bad in (BEGIN.replace(tzinfo=None), "yesterday", "0.999999", "7.1", "0.-1", 5, None, nowhere):
        raised(QueryError, lambda moment=bad: store.at(moment))
    raised(QueryError, lambda: store.at({"configurable": {"thread_id": "t", "checkpoint_id": "no such"}}))


def a_diff_has_both_values(store: ItemStore) -> None:
    """Added, changed, removed, by namespace and key; what was written back to what it was is no difference."""
    store.put(NOTES, "same", {"n": 1})
    store.put(NOTES, "tea", {"n": 1})
    store.put(NOTES, "gone", {"n": 1})
    before = _newest(store)
    store.put(NOTES, "tea", {"n": 2})
    store.delete(NOTES, "gone")
    store.put(NOTES, "same", {"n": 2})
    store.put(NOTES, "same", {"n": 1})
    store.put(("b",), "new", {"n": 1})
    store.put(NOTES, "brief", {})
    store.delete(NOTES, "brief")

    found = store.diff(before)

    assert [(d.kind, d.namespace, d.key, d.before, d.after) for d in found] == [
        ("added", ("b",), "new", None, {"n": 1}),
        ("removed", NOTES, "gone", {"n": 1}, None),
        ("changed", NOTES, "tea", {"n": 1}, {"n": 2}),
    ]
    assert store.diff(before, prefix=("b",)) == found[:1]
    now = _newest(store)
    assert store.diff(before, now) == found
    assert [(d.before, d.after) for d in store.diff(now, before)] == [(d.after, d.before) for d in found]
    assert store.diff(now) == store.diff(before, before) == []


def blame_names_the_writer_of_each_field(store: ItemStore) -> None:
    """The version that gave a field its present value, not the one that repeated it."""
    for value in ({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}):
        store.put(NOTES, "tea", value)
    third, second, first = store.history(NOTES, "tea")

    blame = store.blame(NOTES, "tea")

    assert blame is not None
    assert blame.version == third
    assert blame.fields == {"a": first, "b": second, "c": third}
    store.put(NOTES, "tea", {"a": True})
    blame = store.blame(NOTES, "tea")
    assert blame is not None
    assert blame.fields == {"a": blame.version}  # True is not 1
    store.delete(NOTES, "tea")
    blame = store.blame(NOTES, "tea")
    assert blame is not None
    assert (blame.version.deleted, blame.fields) == (True, {})
    assert store.blame(NOTES, "never") is None


def blame_looks_as_far_back_as_it_must(store: ItemStore) -> None:
    """Through more versions than are read at once."""
    store.put(NOTES, "count", {"who": "ada", "n": -1})
    for n in range(600):
        store.put(NOTES, "count", {"who": "ada", "n": n})

    blame = store.blame(NOTES, "count")

    assert blame is not None
    assert blame.fields["n"] == blame.version
    who = blame.fields["who"]
    assert who is not None
    assert who.value == {"who": "ada", "n": -1}


def what_was_written_since_is_taken_back(store: ItemStore) -> None:
    """In one commit, deletions and additions as well; the report has the values; doing it again does nothing."""
    store.put(NOTES, "tea", {"n": 1})
    store.put(NOTES, "gone", {"n": 1})
    store.put(("b",), "outside", {"n": 1})
    moment = _newest(store)
    before = _values(store)
    store.put(NOTES, "tea", {"n": 2})
    store.put(NOTES, "tea", {"n": 3})
    store.delete(NOTES, "gone")
    store.put(NOTES, "new", {"n": 1})
    store.put(("b",), "outside", {"n": 2})

    report = store.revert(since=moment, prefix=NOTES)

    assert sorted((d.key, d.before, d.after) for d in report.items) == [
        ("gone", None, {"n": 1}),
        ("new", {"n": 1}, None),
        ("tea", {"n": 3}, {"n": 1}),
    ]
    assert report.conflicts == ()
    assert report.revision == _newest(store)
    assert _values(store) == {**before, (("b",), "outside"): {"n": 2}}
    newest = store.history(NOTES, "tea")[0]
    assert (newest.origin.actor, newest.revision) == ("revert", report.revision)
    again = store.revert(since=moment, prefix=NOTES)
    assert (again.revision, again.items, again.conflicts) == (None, (), ())
    raised(QueryError, store.revert)


PAST_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    a_history_tells_every_version,
    a_view_shows_what_was,
    a_view_has_pages,
    a_view_is_read_only,
    a_moment_is_a_revision_or_a_time,
    a_diff_has_both_values,
    blame_names_the_writer_of_each_field,
    blame_looks_as_far_back_as_it_must,
    what_was_written_since_is_taken_back,
)
"""What Perdure's stores tell of their past."""


async def the_async_face_has_a_past_too(store: ItemStore) -> None:
    """Every twin answers as its blocking one."""
    await store.aput(NOTES, "tea", {"n": 1})
    moment = _newest(store)
    await store.aput(NOTES, "tea", {"n": 2})

    past = await store.aat(moment)

    item = await past.aget(NOTES, "tea")
    assert item is not None
    assert item.value == {"n": 1}
    assert [found.value for found in await past.asearch(NOTES, filter={"n": 1})] == [{"n": 1}]
    assert await past.alist_namespaces() == [NOTES]
    await araised(NotSupported, past.aput(NOTES, "tea", {}))
    await araised(NotSupported, past.aupdate(NOTES, "tea", lambda value: value))
    await araised(QueryError, past.asearch(NOTES, query="tea"))
    assert await store.ahistory(NOTES, "tea") == store.history(NOTES, "tea")
    assert await store.adiff(moment) == store.diff(moment) != []
    assert await store.ablame(NOTES, "tea") == store.blame(NOTES, "tea")
    report = await store.arevert(since=moment)
    assert [d.after for d in report.items] == [{"n": 1}]
    item = await store.aget(NOTES, "tea")
    assert item is not None
    assert item.value == {"n": 1}


ASYNC_PAST_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (
    the_async_face_has_a_past_too,
)
"""The same in its other colour."""


def _everything(store: ItemStore) -> Any:
    found = store.search((), limit=100)
    return (
        [(item, item.version, item.revision) for item in found],
        [(item, item.version) for item in (store.get(item.namespace, item.key) for item in found) if item],
        store.search((), filter={"kind": "drink"}, limit=2),
        store.search(NOTES, limit=2, offset=1),
        store.list_namespaces(),
        store.list_namespaces(prefix=("users",), max_depth=2),
    )


def _values(store: ItemStore) -> dict[tuple[tuple[str, ...], str], dict[str, Any]]:
    return {(item.namespace, item.key): item.value for item in store.search((), limit=100)}


def _newest(store: ItemStore) -> str:
    """The revision of the newest live item."""
    newest = store.search((), limit=1)[0].revision
    assert newest is not None
    return newest
