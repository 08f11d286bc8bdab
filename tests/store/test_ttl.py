"""Our stores let items expire, as the suite that we ship has it; and how they do it: settings, batches, faults, tasks."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

import pytest

from databases import ALL_KINDS, KINDS, POSTGRES, QUICK
from perdure import connect
from perdure.errors import Compacted, PerdureError, QueryError, Unavailable
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.storage import refreshing
from perdure.storage.contract import Backend, Commit, Revision
from perdure.storage.item_store import ItemStore
from perdure.storage.memory import MemoryBackend
from perdure.storage.sweeping import sweep
from perdure.store.base import GetOp, PutOp
from perdure.store.face import codec_of
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import AsyncSqliteStore, SqliteStore
from perdure.store.swept import SweptStore
from perdure.testing import store_ttl
from perdure.testing.fake_clock import FakeClock
from perdure.testing.faulty import Faulty, Moment
from perdure.types import Command, interrupt

NOTES = ("notes",)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def name(check: object) -> str:
    return getattr(check, "__name__", "")


def opened(url: str, ttl: Any) -> AbstractContextManager[SweptStore]:
    """A store of the class that its users use."""
    if url == "memory://":
        return InMemoryStore(ttl=ttl)
    if url.startswith("postgresql:"):
        return PostgresStore.from_conn_string(url, ttl=ttl)
    return SqliteStore.from_conn_string(url.removeprefix("sqlite:///"), ttl=ttl)


@pytest.fixture(params=ALL_KINDS)
def place(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    return url_of(request.param)


@pytest.fixture
def store(place: str) -> Iterator[SweptStore]:
    with opened(place, store_ttl.CONFIG) as made:
        yield made


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock(BEGIN) as fake:
        yield fake


def backend_of(store: SweptStore) -> Backend:
    handle = store.__perdure_backend__
    assert handle is not None
    return handle.backend


def stored_end(store: SweptStore, key: str) -> timedelta | None:
    """When the item ends, as the database has it: as any other process sees it."""
    with backend_of(store).read() as now:
        row = now.item(NOTES, key)
    return (
        None if row is None or row.expires is None else timedelta(microseconds=row.expires) - (BEGIN - EPOCH)
    )


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def commits(store: SweptStore) -> int:
    with backend_of(store).read() as now:
        return now.revision().seq


@pytest.mark.parametrize("check", store_ttl.TTL_CHECKS, ids=name)
def test_items_expire(check: Callable[[SweptStore], None], store: SweptStore) -> None:
    check(store)


@pytest.mark.parametrize("check", store_ttl.ASYNC_TTL_CHECKS, ids=name)
async def test_items_expire_in_the_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: SweptStore
) -> None:
    await check(store)


# ---- facts of the field


@pytest.mark.fact(151)
def test_a_sweep_returns_how_many_rows_it_removed(store: SweptStore, clock: FakeClock) -> None:
    for n in range(3):
        store.put(NOTES, str(n), {}, ttl=n + 1)
    clock.advance(minutes=2)

    assert store.sweep_ttl() == 2
    assert store.sweep_ttl() == 0


@pytest.mark.fact(151)
def test_reading_with_refresh_moves_the_end(store: SweptStore, clock: FakeClock) -> None:
    store.put(NOTES, "k", {}, ttl=10)
    clock.advance(minutes=9)
    store.get(NOTES, "k", refresh_ttl=True)
    clock.advance(minutes=9)

    assert store.sweep_ttl() == 0
    assert store.get(NOTES, "k", refresh_ttl=False) is not None


@pytest.mark.fact(151)
def test_an_explicit_none_overrides_the_default(store: SweptStore, clock: FakeClock) -> None:
    store.put(NOTES, "default", {})
    store.put(NOTES, "never", {}, ttl=None)
    clock.advance(days=10_000)

    assert [item.key for item in store.search(())] == ["never"]


def test_without_a_config_a_ttl_is_refused(place: str) -> None:
    with opened(place, None) as store:
        with pytest.raises(NotImplementedError, match=r"ttl=\{\}"):
            store.put(NOTES, "a", {}, ttl=5)
        with pytest.raises(NotImplementedError, match="ttl=5"):
            store.batch([PutOp(NOTES, "fine", {}), PutOp(NOTES, "a", {}, ttl=5)])
        assert store.search(()) == []
        assert store.supports_ttl is False
        assert store.start_ttl_sweeper().result(timeout=0) is None
        assert store.sweep_ttl() == 0
    with opened(place, {}) as store:
        assert store.supports_ttl is True
        store.put(NOTES, "a", {}, ttl=5)
        store.put(NOTES, "b", {})
        assert [item.ttl for item in store.search(())] == [None, 5]


@pytest.mark.parametrize(
    "ttl",
    [
        {"default_ttl": 0},
        {"default_ttl": "5"},
        {"refresh_on_read": 1},
        {"sweep_interval_minutes": -1},
        {"omit_expired": None},
        {"unknown": 1},
        5,
    ],
)
def test_a_config_that_cannot_be_right_is_refused(ttl: Any, place: str) -> None:
    with pytest.raises(QueryError):
        opened(place, ttl)
    with pytest.raises(QueryError):
        connect("memory://", ttl=ttl)


@pytest.mark.parametrize("omit", [True, False])
def test_settings_hold(omit: bool, place: str, clock: FakeClock) -> None:
    with opened(place, {"refresh_on_read": False, "omit_expired": omit}) as store:
        store.put(NOTES, "k", {}, ttl=10)
        clock.advance(minutes=9)
        assert store.get(NOTES, "k") is not None
        store.search(NOTES)
        clock.advance(minutes=1)
        assert store.get(NOTES, "k") is None

        store.put(NOTES, "k", {}, ttl=10)
        clock.advance(minutes=9)
        store.get(NOTES, "k", refresh_ttl=True)
        clock.advance(minutes=9)
        assert store.get(NOTES, "k") is not None


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_connect_takes_a_ttl(url: str, clock: FakeClock) -> None:
    with connect(url, ttl={"default_ttl": 1}) as db:
        db.store.put(NOTES, "k", {})
        clock.advance(minutes=1)
        assert db.store.get(NOTES, "k") is None
        running = db.store.start_ttl_sweeper()
    assert running.done()


def test_a_store_without_a_config_hides_but_does_not_refresh(tmp_path: Path, clock: FakeClock) -> None:
    path = str(tmp_path / "two.db")
    with SqliteStore.from_conn_string(path, ttl={}) as one, SqliteStore.from_conn_string(path) as other:
        one.put(NOTES, "k", {}, ttl=10)
        clock.advance(minutes=9)
        assert other.get(NOTES, "k", refresh_ttl=True) is not None
        assert other.batch([GetOp(NOTES, "k")]) != [None]
        clock.advance(minutes=1)
        assert other.get(NOTES, "k") is None
        assert other.sweep_ttl() == 1


# ---- how refreshes are written


def test_refreshes_of_ends_that_are_far_are_gathered(store: SweptStore, clock: FakeClock) -> None:
    for key in "abc":
        store.put(NOTES, key, {}, ttl=10)
    before = commits(store)
    clock.advance(minutes=1)
    for _ in range(20):
        store.search(NOTES)
        store.get(NOTES, "a")
    assert commits(store) == before
    assert stored_end(store, "a") == timedelta(minutes=10)

    refreshing.pay(backend_of(store))

    assert commits(store) == before + 1
    assert [stored_end(store, key) for key in "abc"] == [timedelta(minutes=11)] * 3


def test_the_refresh_of_an_end_that_is_near_is_written_at_once(store: SweptStore, clock: FakeClock) -> None:
    store.put(NOTES, "k", {}, ttl=10)
    clock.advance(minutes=9, seconds=50)
    store.get(NOTES, "k")

    assert stored_end(store, "k") == timedelta(minutes=19, seconds=50)
    before = commits(store)
    store.get(NOTES, "k")
    assert commits(store) == before


def test_what_is_owed_is_written_soon(
    store: SweptStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = threading.Event()
    pay = refreshing.pay

    def paying(backend: Backend) -> None:
        pay(backend)
        paid.set()

    monkeypatch.setattr(refreshing, "pay", paying)
    monkeypatch.setattr(refreshing, "SOON", 0.001)
    store.put(NOTES, "k", {}, ttl=10)
    clock.advance(minutes=1)
    store.get(NOTES, "k")

    assert paid.wait(60)
    assert stored_end(store, "k") == timedelta(minutes=11)


@pytest.mark.parametrize("url", ["sqlite", POSTGRES], indirect=True)
def test_what_is_owed_is_written_at_close(url: str, clock: FakeClock) -> None:
    with opened(url, {}) as store:
        store.put(NOTES, "k", {}, ttl=10)
        clock.advance(minutes=9)
        store.get(NOTES, "k")
    clock.advance(minutes=9)

    with opened(url, {}) as store:
        assert store.get(NOTES, "k") is not None


def test_a_read_is_answered_though_its_refresh_fails(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    memory = MemoryBackend()
    faulty = Faulty(memory, Moment("before", 2))
    store = SweptStore(faulty, codec_of(None), ttl={})
    store.put(NOTES, "k", {"n": 1}, ttl=10)
    clock.advance(minutes=9, seconds=59)

    item = store.get(NOTES, "k")

    assert item is not None
    assert faulty.fired
    assert "anew" in caplog.text
    clock.advance(seconds=1)
    assert store.get(NOTES, "k") is None


# ---- faults


@pytest.mark.parametrize("moment", Faulty.moments_of(5), ids=str)
@pytest.mark.parametrize("url", KINDS, indirect=True)
def test_a_sweep_that_fails_is_repeated_and_nothing_expires_twice(
    moment: Moment, url: str, clock: FakeClock
) -> None:
    backend = connect(url).backend
    store = SweptStore(backend, codec_of(None), ttl={})
    store.batch([PutOp(NOTES, str(n), {"text": "tea"}, ttl=1) for n in range(1100)])
    clock.advance(minutes=1)

    # Every other commit prunes history, which nobody waits for. Where nobody knows whether a sweep was written, the
    # database is asked.
    faulty = Faulty(backend, moment)
    if moment.when == "before" and moment.number % 2 == 1:
        with pytest.raises(Unavailable):
            sweep(faulty)
        assert sweep(backend) == 1100 - 500 * (moment.number // 2)
    else:
        assert sweep(faulty) == 1100
    assert faulty.fired

    assert store.sweep_ttl() == 0
    with backend.read() as now:
        assert now.count("items") == now.count("postings") == 0
        assert now.count("history") == 2200
    store.close()
    backend.close()


def test_a_sweeper_goes_on_after_a_fault(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    swept = threading.Event()

    class Telling(Faulty):
        def commit(self, commit: Commit, /) -> Revision:
            revision = super().commit(commit)
            if self.fired:
                swept.set()
            return revision

    store = SweptStore(Telling(MemoryBackend(), Moment("before", 2)), codec_of(None), ttl={})
    store.put(NOTES, "k", {}, ttl=1)
    clock.advance(minutes=1)

    store.start_ttl_sweeper(0.0001)
    assert swept.wait(60)
    assert store.stop_ttl_sweeper(60)

    assert "sweeping" in caplog.text
    assert len(store.history(NOTES, "k")) == 2


def test_closing_a_store_ends_its_sweeper(place: str) -> None:
    with opened(place, {"sweep_interval_minutes": 1}) as store:
        running = store.start_ttl_sweeper()
        assert not running.done()

    assert running.done()
    with pytest.raises(PerdureError):
        store.start_ttl_sweeper()


# ---- the async store


async def test_the_async_store_sweeps_with_coroutines(tmp_path: Path, clock: FakeClock) -> None:
    async with AsyncSqliteStore.from_conn_string(str(tmp_path / "a.db"), ttl={"default_ttl": 1}) as store:
        assert await store.stop_ttl_sweeper() is True
        await store.aput(NOTES, "a", {})
        await store.aput(NOTES, "b", {})
        clock.advance(minutes=1)
        assert await store.sweep_ttl() == 2

        await store.aput(NOTES, "c", {})
        clock.advance(minutes=1)
        task = await store.start_ttl_sweeper(1000)
        assert await store.start_ttl_sweeper() is task
        assert await store.stop_ttl_sweeper(timeout=60) is True
        assert task.done()
        assert len(await store.ahistory(NOTES, "c")) == 2

        task = await store.start_ttl_sweeper()
    assert task.done()


async def test_the_async_store_without_a_config_has_nothing_to_sweep(tmp_path: Path) -> None:
    async with AsyncSqliteStore.from_conn_string(str(tmp_path / "a.db")) as store:
        await (await store.start_ttl_sweeper())
        assert await store.stop_ttl_sweeper(timeout=1) is True
        assert await store.sweep_ttl() == 0
        with pytest.raises(NotImplementedError):
            await store.aput(NOTES, "a", {}, ttl=5)


# ---- tasks


class State(TypedDict, total=False):
    n: int


def graph_of(node: Callable[..., Any]) -> Any:
    def wrapped(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        return node(runtime.store) or {}

    return StateGraph(State).add_node("node", wrapped).add_edge(START, "node")


@pytest.fixture(params=QUICK)
def url(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    return url_of(request.param)


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_what_a_task_puts_lives_from_its_commit_on(url: str, durability: str, clock: FakeClock) -> None:
    def node(store: Any) -> None:
        store.put(NOTES, "k", {"n": 1}, ttl=10)
        store.put(NOTES, "default", {"n": 1})
        clock.advance(minutes=11)
        assert store.get(NOTES, "k").value == {"n": 1}  # its time has not begun
        assert {item.key for item in store.search(NOTES)} == {"k", "default"}
        store.update(NOTES, "k", lambda value: {"n": value["n"] + 1})

    with connect(url, ttl={"default_ttl": 60}) as db:
        graph_of(node).compile(db).invoke({}, config(), durability=durability)

        item = db.store.get(NOTES, "k", refresh_ttl=False)
        assert item.value == {"n": 2}
        assert (item.expires_at, item.ttl) == (clock.now() + timedelta(minutes=10), 10)
        default = db.store.get(NOTES, "default", refresh_ttl=False)
        assert default.expires_at == clock.now() + timedelta(minutes=60)


def test_a_record_keeps_how_long_its_memory_lives(url: str, clock: FakeClock) -> None:
    def remembers(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        assert runtime.store is not None
        runtime.store.put(NOTES, "put", {"n": 1}, ttl=10)
        runtime.store.update(NOTES, "stands", lambda value: {"n": (value or {})["n"] + 1})
        return {}

    def asks(state: State) -> dict[str, Any]:
        interrupt("well?")
        return {}

    builder = StateGraph(State).add_node("remembers", remembers).add_node("asks", asks)
    builder.add_edge(START, "remembers").add_edge(START, "asks")
    with connect(url, ttl={}) as db:
        db.store.put(NOTES, "stands", {"n": 1}, ttl=30 * 24 * 60)
        graph = builder.compile(db)
        graph.invoke({}, config())
        clock.advance(days=7)
        graph.invoke(Command(resume="yes"), config())

        ends = {
            item.key: (item.value["n"], item.expires_at) for item in db.store.search(NOTES, refresh_ttl=False)
        }
        assert ends == {
            "put": (1, clock.now() + timedelta(minutes=10)),
            "stands": (2, BEGIN + timedelta(days=30)),
        }


def test_an_update_of_what_expired_meanwhile_begins_anew(url: str, clock: FakeClock) -> None:
    def node(store: Any) -> None:
        store.update(NOTES, "k", lambda value: {"n": (value or {"n": 0})["n"] + 1})
        clock.advance(minutes=20)

    with connect(url, ttl={}) as db:
        db.store.put(NOTES, "k", {"n": 7}, ttl=10)
        graph_of(node).compile(db).invoke({}, config())

        item = db.store.get(NOTES, "k")
        assert (item.value, item.expires_at) == ({"n": 1}, None)
        assert [version.origin.actor for version in db.store.history(NOTES, "k")] == [None, "ttl", None]


def test_a_task_that_fails_has_read_all_the_same(url: str, clock: FakeClock) -> None:
    def node(store: Any) -> None:
        assert store.get(NOTES, "k") is not None
        raise LookupError("no")

    with connect(url, ttl={}) as db:
        db.store.put(NOTES, "k", {}, ttl=10)
        clock.advance(minutes=9)
        with pytest.raises(LookupError):
            graph_of(node).compile(db).invoke({}, config())
        clock.advance(minutes=9)

        assert db.store.get(NOTES, "k") is not None
        assert len(db.store.history(NOTES, "k")) == 1


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_who_watches_is_told_that_an_item_expired(url: str) -> None:
    with connect(url, ttl={}) as db:
        with FakeClock(BEGIN) as clock:
            db.store.put(("a",), "short", {"n": 1}, ttl=1)
            db.store.put(("a",), "long", {"n": 2})
            item = db.store.get(("a",), "long")
            assert item is not None
            clock.advance(minutes=2)
            assert db.store.sweep_ttl() == 1
            db.store.delete(("a",), "long")
        with db.store.watch(("a",), since=item.revision) as watch:
            seen = [event for _ in range(2) for event in next(watch).events]

    assert [(event.kind, event.key, event.value) for event in seen] == [
        ("expire", "short", None),
        ("delete", "long", None),
    ]


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_who_watches_across_a_forgetting_is_told_that_changes_are_missing(url: str) -> None:
    with connect(url) as db:
        db.store.put(("a",), "k", {"n": 1})
        item = db.store.get(("a",), "k")
        assert item is not None
        db.store.put(("a",), "k", {"n": 2})
        db.store.forget(("a",))

        with pytest.raises(Compacted):
            db.store.watch(("a",), since=item.revision)
