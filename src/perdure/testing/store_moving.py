"""How the ends of items are moved to another of Perdure's stores, as functions that raise AssertionError.

`MOVING_CHECKS` belongs to the suite of `stores.py`. Give each check two fresh, empty stores of two databases, which may be of
different kinds; both were opened with `store_ttl.CONFIG`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from perdure.errors import QueryError
from perdure.storage.item_store import ItemStore
from perdure.store.past import Origin
from perdure.store.swept import SweptStore
from perdure.testing.fake_clock import FakeClock
from perdure.testing.raised import raised

__all__ = ["MOVING_CHECKS"]

NOTES: Final = ("users", "ada", "notes")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
ODD: Final = 0.1 + 0.2
"""Minutes that are no whole number of microseconds, in neither direction."""


def an_item_ends_there_when_it_ends_here(store: SweptStore, other: SweptStore) -> None:
    """Absolute end and time to live, to the microsecond; what lives for ever does; importing again writes nothing."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1}, ttl=10)
        store.put(NOTES, "odd", {"n": 1}, ttl=ODD)
        store.put(NOTES, "ever", {"n": 1}, ttl=None)
        clock.advance(seconds=7)
        lines = _lines(store)

        assert other.import_(lines).written == 3
        assert _ends(other) == _ends(store)
        assert _ends(other)["tea"] == (BEGIN + timedelta(minutes=10), 10)
        assert other.import_(lines).unchanged == 3
        assert _items(_lines(other)) == _items(lines)
        clock.advance(minutes=9, seconds=52.999999)
        assert set(_ends(other)) == {"tea", "ever"}
        clock.advance(seconds=0.000001)
        assert set(_ends(other)) == {"ever"}
        assert other.sweep_ttl() == 2


def an_export_has_what_reads_have_promised(store: SweptStore, other: SweptStore) -> None:
    """What was read lives longer, and its export says so; read there, it is still what was imported."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1}, ttl=10)
        clock.advance(minutes=5)
        store.get(NOTES, "tea")
        lines = _lines(store)

        other.import_(lines)
        assert _ends(other) == {"tea": (BEGIN + timedelta(minutes=15), 10)}
        clock.advance(minutes=9)
        other.get(NOTES, "tea", refresh_ttl=True)
        assert (other.import_(lines).unchanged, other.import_(lines).written) == (1, 0)
        clock.advance(minutes=9)
        assert set(_ends(other)) == {"tea"}


def what_is_over_is_not_there(store: SweptStore, other: SweptStore) -> None:
    """Not exported when it is over, swept or not; over there if its time went by on the way; written once."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "tea", {"n": 1}, ttl=1)
        store.put(NOTES, "cake", {"n": 1}, ttl=3)
        clock.advance(minutes=2)
        lines = _lines(store)
        assert [line["key"] for line in lines[1:-1]] == ["cake"]
        clock.advance(minutes=2)

        other.import_(lines)
        assert _ends(other) == {}
        assert (other.import_(lines).written, other.import_(lines).unchanged) == (0, 1)


def history_keeps_its_ends(store: SweptStore, other: SweptStore) -> None:
    """Replaced in time, or expired first: each kept version ends as it did, and views of the past agree."""
    with FakeClock(BEGIN) as clock:
        store.put(NOTES, "in time", {"n": 1}, ttl=10)
        store.put(NOTES, "too late", {"n": 1}, ttl=10)
        store.put(NOTES, "swept", {"n": 1}, ttl=10)
        clock.advance(minutes=5)
        store.put(NOTES, "in time", {"n": 2}, ttl=None)
        clock.advance(minutes=15)
        store.put(NOTES, "too late", {"n": 2}, ttl=60)
        store.sweep_ttl()
        clock.advance(minutes=30)

        other.import_(_lines(store, history=True))
        for key in ("in time", "too late", "swept"):
            assert _told(other, key) == _told(store, key), key
        assert [origin for *_, origin in _told(other, "too late")] == [
            Origin(),
            Origin(actor="ttl"),
            Origin(),
        ]
        assert _ends(other) == _ends(store)


def what_says_nothing_of_ends_changes_none(store: SweptStore, other: SweptStore) -> None:
    """An export that was made before ends were part of one: readable, and an item that is there keeps its own."""
    with FakeClock(BEGIN):
        store.put(NOTES, "tea", {"n": 1}, ttl=10)
        lines = _lines(store)
        for line in lines:
            line.pop("expires_at", None)
            line.pop("ttl_microseconds", None)

        assert store.import_(lines).unchanged == 1
        assert _ends(store) == {"tea": (BEGIN + timedelta(minutes=10), 10)}
        assert other.import_(lines).written == 1
        assert _ends(other) == {"tea": (None, None)}


def an_end_that_cannot_be_right_is_an_error(store: SweptStore, other: SweptStore) -> None:
    """The message says in which line."""
    store.put(NOTES, "tea", {"n": 1}, ttl=10)
    first, item, last = _lines(store)
    bad: tuple[dict[str, Any], ...] = (
        {"expires_at": "tomorrow"},
        {"expires_at": 5},
        {"expires_at": None},
        {"ttl_microseconds": 0},
        {"ttl_microseconds": True},
        {"ttl_microseconds": "10"},
    )
    for change in bad:
        error = raised(QueryError, lambda change=change: other.import_([first, {**item, **change}, last]))
        assert "line 2" in str(error), change
    assert _ends(other) == {}


MOVING_CHECKS: Final[tuple[Callable[[SweptStore, SweptStore], None], ...]] = (
    an_item_ends_there_when_it_ends_here,
    an_export_has_what_reads_have_promised,
    what_is_over_is_not_there,
    history_keeps_its_ends,
    what_says_nothing_of_ends_changes_none,
    an_end_that_cannot_be_right_is_an_error,
)
"""For two stores that were opened with `store_ttl.CONFIG`."""


def _lines(store: ItemStore, *, history: bool = False) -> list[dict[str, Any]]:
    """As they come back from a file."""
    return [json.loads(json.dumps(line)) for line in store.export(history=history)]


def _items(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(lines[1:-1], key=lambda line: line["key"])


def _ends(store: ItemStore) -> dict[str, tuple[datetime | None, float | None]]:
    found = store.search((), limit=1000, refresh_ttl=False)
    return {item.key: (item.expires_at, item.ttl) for item in found}


def _told(store: ItemStore, key: str) -> list[tuple[Any, ...]]:
    return [
        (version.value, version.created_at, version.updated_at, version.expires_at, version.origin)
        for version in store.history(NOTES, key)
    ]
