"""How much of the history is kept: a while, so many versions of each item, or all; pruned after writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from databases import KINDS
from perdure import connect
from perdure.database import Database
from perdure.errors import Compacted
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import SqliteStore
from perdure.testing.fake_clock import FakeClock

NOTES = ("notes",)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    return url_of(request.param)


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock() as fake:
        yield fake


def kept(db: Database, key: str) -> list[Any]:
    return [version.value and version.value["n"] for version in db.store.history(NOTES, key)]


def write(store: Any, times: int, key: str = "other") -> None:
    for n in range(times):
        store.put(NOTES, key, {"n": n})
    settle(store)


def settle(store: Any) -> None:
    """What was queued before, pruning too, is committed: commits are made in the order of their queue."""
    store.delete(("nothing",), "there")


def test_thirty_days_unless_told(url: str, clock: FakeClock) -> None:
    with connect(url) as db:
        write(db.store, 3, "k")
        db.store.put(NOTES, "gone", {"n": 1})
        db.store.delete(NOTES, "gone")
        moment = clock.now()
        clock.advance(days=29)
        write(db.store, 500)
        assert kept(db, "k") == [2, 1, 0]
        assert db.store.at(moment).get(NOTES, "gone") is None

        clock.advance(days=2)
        write(db.store, 500)

        assert kept(db, "k") == [2]
        assert kept(db, "gone") == []
        with pytest.raises(Compacted):
            db.store.at("0.3").search(NOTES)


def test_a_duration_is_kept(url: str, clock: FakeClock) -> None:
    with connect(url, keep_history=timedelta(hours=1)) as db:
        write(db.store, 3, "k")
        clock.advance(hours=2)
        db.store.put(NOTES, "k", {"n": 9})
        write(db.store, 500)

        assert kept(db, "k") == [9, 2]  # that one ended just now


def test_everything_is_kept(url: str, clock: FakeClock) -> None:
    with connect(url, keep_history="all") as db:
        write(db.store, 3, "k")
        clock.advance(days=9_000)
        write(db.store, 700)

        assert kept(db, "k") == [2, 1, 0]


def test_so_many_versions_of_each_item_are_kept(url: str) -> None:
    with connect(url, keep_history=2) as db:
        write(db.store, 3, "k")
        db.store.put(NOTES, "gone", {"n": 1})
        db.store.delete(NOTES, "gone")
        db.store.put(NOTES, "once", {"n": 1})
        write(db.store, 200)

        assert kept(db, "k") == [2, 1]
        assert kept(db, "gone") == [None, 1]
        assert kept(db, "once") == [1]
        assert 2 <= len(kept(db, "other")) < 102


def test_with_one_version_nothing_is_left_of_what_was_deleted(url: str) -> None:
    with connect(url, keep_history=1) as db:
        db.store.put(NOTES, "gone", {"n": 1})
        db.store.delete(NOTES, "gone")
        write(db.store, 100)

        assert kept(db, "gone") == []
        with db.backend.read() as now:
            assert now.count("items") == 1


def test_what_graphs_write_counts(url: str) -> None:
    with connect(url, keep_history=1) as db:

        def node(state: dict[str, Any], runtime: Runtime[Any]) -> None:
            for n in range(150):
                assert runtime.store is not None
                runtime.store.put(NOTES, f"k{n % 3}", {"n": n})

        drawing: Any = StateGraph(dict)
        drawing.add_node("node", node).add_edge(START, "node")
        drawing.compile(db).invoke({"x": 1}, {"configurable": {"thread_id": "t"}})
        settle(db.store)

        assert [kept(db, f"k{n}") for n in range(3)] == [[147], [148], [149]]


def test_stores_are_told_as_well(tmp_path: Path) -> None:
    with InMemoryStore(keep_history=1) as store:
        write(store, 100)
        assert len(store.history(NOTES, "other")) == 1
    with SqliteStore.from_conn_string(str(tmp_path / "kept.db"), keep_history=1) as store:
        write(store, 100)
        assert len(store.history(NOTES, "other")) == 1


@pytest.mark.parametrize("bad", [0, -1, True, 2.5, "7 days", None, timedelta(-1), 1 << 40])
def test_what_says_nothing_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="keep_history"):
        connect("memory://", keep_history=bad)
    if bad is not None:
        with pytest.raises(ValueError, match="keep_history"):
            InMemoryStore(keep_history=bad)
        with pytest.raises(ValueError, match="keep_history"):
            SqliteStore.from_conn_string(":memory:", keep_history=bad)
