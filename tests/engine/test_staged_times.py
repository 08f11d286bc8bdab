"""When a task's staged items were created and written, as the task reads them before they are committed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.kit import Colour, Log, chain, thread
from perdure import Database
from perdure.store.base import BaseStore, Item
from perdure.testing import FakeClock

NOTES = ("notes",)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def minutes(item: Item | None) -> tuple[float, float]:
    """Minutes after noon: (created, updated)."""
    assert item is not None
    return (item.created_at - NOON) / timedelta(minutes=1), (item.updated_at - NOON) / timedelta(minutes=1)


def in_a_task(run: Colour, db: Database, act: Callable[[BaseStore], Any]) -> Any:
    """What `act` gives in a node."""
    found: list[Any] = []

    def node(state: Log, *, store: BaseStore) -> None:
        found.append(act(store))

    run.invoke(chain(("node", node)).compile(db), {}, thread("t"))
    return found[0]


def test_an_item_that_is_replaced_keeps_the_time_of_its_creation(run: Colour, db: Database) -> None:
    with FakeClock(NOON) as clock:
        db.store.put(NOTES, "k", {"n": 1})
        clock.advance(minutes=5)

        def replaces(store: BaseStore) -> Any:
            store.put(NOTES, "k", {"n": 2})
            return minutes(store.get(NOTES, "k")), minutes(store.search(NOTES)[0])

        assert in_a_task(run, db, replaces) == ((0, 5), (0, 5))
        assert minutes(db.store.get(NOTES, "k")) == (0, 5)


def test_update_gives_the_time_of_creation_after_a_put_in_the_same_task(run: Colour, db: Database) -> None:
    with FakeClock(NOON) as clock:
        db.store.put(NOTES, "k", {"n": 1})
        clock.advance(minutes=5)

        def replaces(store: BaseStore) -> Any:
            store.put(NOTES, "k", {"n": 2})
            clock.advance(minutes=5)
            return minutes(store.update(NOTES, "k", lambda value: {"n": 3}))

        assert in_a_task(run, db, replaces) == (0, 10)


def test_a_new_item_was_created_at_its_first_put(run: Colour, db: Database) -> None:
    with FakeClock(NOON) as clock:

        def puts(store: BaseStore) -> Any:
            for n in range(3):
                store.put(NOTES, "k", {"n": n})
                clock.advance(minutes=1)
            return minutes(store.get(NOTES, "k"))

        assert in_a_task(run, db, puts) == (0, 2)


def test_an_item_that_was_deleted_is_created_anew(run: Colour, db: Database) -> None:
    with FakeClock(NOON) as clock:
        db.store.put(NOTES, "k", {"n": 1})
        clock.advance(minutes=5)

        def anew(store: BaseStore) -> Any:
            store.delete(NOTES, "k")
            clock.advance(minutes=1)
            store.put(NOTES, "k", {"n": 2})
            return minutes(store.get(NOTES, "k"))

        assert in_a_task(run, db, anew) == (6, 6)


def test_a_plain_write_asks_the_database_nothing(
    run: Colour, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def writes(store: BaseStore) -> int:
        read = db.backend.read
        with monkeypatch.context() as patch:
            patch.setattr(type(db.backend), "read", lambda _: reads.append("read") or read())
            store.put(NOTES, "a", {"n": 1})
            store.put(NOTES, "a", {"n": 2})
            store.delete(NOTES, "a")
            plain = len(reads)
            store.put(NOTES, "b", {"n": 1}, if_absent=True)  # this one must look
            assert len(reads) > plain
        return plain

    assert in_a_task(run, db, writes) == 0
