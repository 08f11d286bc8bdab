"""Read replicas: who wrote reads what he wrote, a view of the past is exact, and whatever a replica cannot answer, the primary does."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

import perdure
from perdure.database import Database
from perdure.graph import START, StateGraph
from perdure.storage.contract import Snapshot
from perdure.storage.postgres import PostgresBackend, replica
from perdure.storage.postgres.place import place_of
from perdure.testing.postgres import PostgresServer
from replicated import Pair
from under_load import PATIENCE, until

pytestmark = [pytest.mark.postgres, pytest.mark.xdist_group("replicas")]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who has answered what may be answered by a replica."""
    said: list[str] = []
    look, read, ask = replica.Replica.look, PostgresBackend.read, PostgresBackend.ask

    def looks(self: Any, question: Any, revision: Any) -> Any:
        answer = look(self, question, revision)
        said.append("replica")
        return answer

    def reads(self: Any) -> Any:
        said.append("primary")
        return read(self)

    def asks(self: Any, question: Any) -> Any:
        said.append("primary")
        return ask(self, question)

    monkeypatch.setattr(replica.Replica, "look", looks)
    monkeypatch.setattr(PostgresBackend, "read", reads)
    monkeypatch.setattr(PostgresBackend, "ask", asks)
    return said


def graph_on(db: Database, node: Callable[..., Any]) -> Any:
    return StateGraph(dict).add_node("node", node).add_edge(START, "node").compile(db)


CONFIG: Any = {"configurable": {"thread_id": "t"}}
NOTES = ("notes",)

LAGGING: dict[str, Callable[[Database], object]] = {
    "search": lambda db: len(db.store.search(NOTES)),
    "search by words": lambda db: len(db.store.search(NOTES, query="tea")),
    "count": lambda db: db.store.count(NOTES),
    "namespaces": lambda db: len(db.store.list_namespaces()),
    "history": lambda db: len(db.store.history(NOTES, "a")),
    "blame": lambda db: db.store.blame(NOTES, "a") is not None,
    "checkpoints": lambda db: len(list(db.checkpointer.list(CONFIG))) > 0,
    "states": lambda db: len(list(graph_on(db, lambda state: {"n": 1}).get_state_history(CONFIG))) > 0,
}
PRESENT: dict[str, Callable[[Database], object]] = {
    "get": lambda db: db.store.get(NOTES, "a") is not None,
    "many": lambda db: db.store.get_many([(NOTES, "a")])[0] is not None,
    "head": lambda db: db.checkpointer.get_tuple(CONFIG) is not None,
    "state": lambda db: bool(graph_on(db, lambda state: {"n": 1}).get_state(CONFIG).values),
    "put": lambda db: db.store.update(NOTES, "b", lambda value: {"had": value}) is not None and db.store.get(NOTES, "b").value["had"] is not None,
}  # fmt: skip


def write_all(db: Database) -> None:
    graph_on(db, lambda state: {"n": 1}).invoke({"n": 0}, CONFIG)
    db.store.put(NOTES, "a", {"text": "tea"})
    db.store.put(NOTES, "b", {"text": "cake"})


@pytest.mark.parametrize("question", LAGGING)
def test_what_others_wrote_a_moment_ago_may_be_missing_from_listings_searches_and_histories(
    pair: Pair, other: Database, question: str
) -> None:
    with pair.open() as db:
        pair.pause()
        write_all(other)

        assert not LAGGING[question](db)

        pair.catch_up()
        assert LAGGING[question](db)


@pytest.mark.parametrize("question", PRESENT)
def test_what_commits_are_built_on_is_of_this_moment(pair: Pair, other: Database, question: str) -> None:
    with pair.open("&read_your_writes=off") as db:
        pair.pause()
        write_all(other)

        assert PRESENT[question](db)


@pytest.mark.parametrize("colour", ["blocking", "async"])
def test_a_node_reads_all_of_this_moment(pair: Pair, other: Database, colour: str) -> None:
    """What it returns is committed."""
    with pair.open("&read_your_writes=off") as db:
        pair.pause()
        write_all(other)

        def node(state: dict[str, Any], *, store: Any) -> dict[str, Any]:
            direct = store.direct
            found = [
                store.search(NOTES),
                direct.search(NOTES),
                store.history(NOTES, "a"),
                direct.history(NOTES, "a"),
            ]
            found += [list(db.checkpointer.list(CONFIG)), list(other_graph.get_state_history(CONFIG))]
            return {"seen": [bool(some) for some in found] + [store.count(NOTES)]}

        async def anode(state: dict[str, Any], *, store: Any) -> dict[str, Any]:
            found = [
                await store.asearch(NOTES),
                await store.direct.asearch(NOTES),
                await store.ahistory(NOTES, "a"),
            ]
            found += [[one async for one in db.checkpointer.alist(CONFIG)]]
            found += [[one async for one in other_graph.aget_state_history(CONFIG)]]
            return {"seen": [bool(some) for some in found] + [await store.acount(NOTES)]}

        other_graph = graph_on(db, lambda state: {"n": 1})
        thread: Any = {"configurable": {"thread_id": "asks"}}
        if colour == "blocking":
            assert graph_on(db, node).invoke({}, thread) == {"seen": [True] * 6 + [2]}
        else:
            assert asyncio.run(graph_on(db, anode).ainvoke({}, thread)) == {"seen": [True] * 5 + [2]}


def test_who_wrote_reads_it_from_the_replica_once_it_is_there(pair: Pair, asked: list[str]) -> None:
    with pair.open("&read_wait=60") as db, ThreadPoolExecutor(1) as thread:
        pair.pause()
        db.store.put(NOTES, "a", {"text": "tea"})
        asked.clear()
        search = thread.submit(db.store.search, NOTES)
        with pytest.raises(TimeoutError):
            search.result(0.2)
        pair.resume()

        assert [item.key for item in search.result(PATIENCE)] == ["a"]
        assert asked == ["replica"]


@pytest.mark.parametrize("how", ["put", "step", "soon"])
def test_who_wrote_is_not_kept_waiting_for_a_replica_that_lags(
    pair: Pair, asked: list[str], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = time.sleep
    with pair.open("&read_wait=0.05") as db:
        db.store.search(NOTES)
        pair.pause()
        if how == "put":
            db.store.put(NOTES, "a", {"text": "tea"})
        elif how == "step":
            graph_on(db, lambda state, *, store: store.put(NOTES, "a", {"text": "tea"})).invoke({}, CONFIG)
        else:
            commits_soon(db)
        here = threading.get_ident()

        def pausing(seconds: float) -> None:
            if threading.get_ident() == here:  # who leads commits is looked after in another thread
                pauses.append(seconds)
            sleep(seconds)

        monkeypatch.setattr(replica.time, "sleep", pausing)

        asked.clear()
        assert [item.key for item in db.store.search(NOTES)] == ["a"]
        assert asked == ["primary"]
        waited = len(pauses)
        assert waited > 0
        assert [item.key for item in db.store.search(NOTES)] == ["a"]
        assert len(pauses) == waited, "it was waited for again before it had caught up once"

        pair.catch_up()
        asked.clear()
        assert [item.key for item in db.store.search(NOTES)] == ["a"]
        assert asked == ["replica"]


def commits_soon(db: Database) -> None:
    """By the way of callers that do not wait."""
    from perdure.storage.contract import Origin, PutItem, commit_now

    done = threading.Event()
    put = PutItem(NOTES, "a", b"{}", Origin(None, None, None, None))
    db.backend.commit_soon(commit_now(items=[put]), lambda outcome: done.set())
    assert done.wait(PATIENCE)


def test_with_read_your_writes_off_even_the_own_writes_may_be_missing(pair: Pair) -> None:
    with pair.open("&read_your_writes=off") as db:
        pair.pause()
        db.store.put(NOTES, "a", {"text": "tea"})
        assert db.store.search(NOTES) == []


@pytest.mark.parametrize("why", ["all its connections are in use", "a statement took too long"])
def test_a_replica_that_is_only_busy_is_asked_again_at_once(
    pair: Pair, asked: list[str], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    with pair.open("&read_wait=0.05&pool_max=1") as db:
        db.store.put(NOTES, "a", {"text": "tea"})
        pair.catch_up()
        db.store.search(NOTES)
        line = db.backend._replica.line  # pyright: ignore - of this backend
        if why == "a statement took too long":
            with monkeypatch.context() as patched:
                patched.setattr(replica._Moment, "_begin", too_long)
                asked.clear()
                assert [item.key for item in db.store.search(NOTES)] == ["a"]
        else:
            only = line.take()
            asked.clear()
            assert [item.key for item in db.store.search(NOTES)] == ["a"]
            line.give(only)
        assert asked == ["primary"]
        asked.clear()

        db.store.search(NOTES)

        assert asked == ["replica"]


def too_long(self: Any) -> None:
    """As statement_timeout ends it."""
    self.connection.execute("SET statement_timeout = 1")
    try:
        self.connection.execute("SELECT pg_sleep(30)")
    finally:
        self.connection.execute("RESET statement_timeout")


def test_a_primary_that_nothing_was_written_to_is_not_asked_again(pair: Pair, asked: list[str]) -> None:
    with pair.open() as db:
        db.store.put(NOTES, "a", {"text": "tea"})
        until(lambda: db.store.search(NOTES))
        with psycopg.connect(pair.primary.url, autocommit=True) as connection:
            before = idle_since(connection)
            for _ in range(5):
                assert db.store.search(NOTES)
            assert idle_since(connection) == before


def idle_since(connection: Any) -> object:
    """When the program's sessions on the primary were last asked anything."""
    sql = "SELECT max(query_start), count(*) FROM pg_stat_activity WHERE application_name = 'perdure' AND state = 'idle'"
    return connection.execute(sql).fetchone()


# -- views of the past -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", ["on", "off"])
def test_a_view_that_the_replica_cannot_have_yet_is_exact(
    pair: Pair, other: Database, asked: list[str], own: str
) -> None:
    with pair.open(f"&read_wait=0.05&read_your_writes={own}") as db:
        other.store.put(NOTES, "a", {"n": 1})
        first = other.store.get(NOTES, "a")
        assert first is not None
        pair.catch_up()
        asked.clear()
        assert [item.value for item in db.store.at(first.revision).search(NOTES)] == [{"n": 1}]
        assert asked[-1] == "replica"

        pair.pause()
        other.store.put(NOTES, "a", {"n": 2})
        second = other.store.get(NOTES, "a")
        assert second is not None
        asked.clear()
        assert [item.value for item in db.store.at(second.revision).search(NOTES)] == [{"n": 2}]
        assert "replica" not in asked
        asked.clear()
        assert [item.value for item in db.store.at(first.revision).search(NOTES)] == [{"n": 1}]


@pytest.mark.parametrize("seed", range(3))
def test_views_and_histories_through_a_replica_that_stops_at_random_are_those_of_the_primary(
    pair: Pair, other: Database, asked: list[str], seed: int
) -> None:
    """While three others write out of order."""
    rng = random.Random(seed)
    writers = [
        Database(pair.url, PostgresBackend(pair.url), cipher=None, keep_history="all") for _ in range(3)
    ]
    ending = threading.Event()

    def write(db: Database, number: int) -> None:
        mine = random.Random((seed, number).__hash__())
        while not ending.is_set():
            db.store.put((*NOTES, str(mine.randrange(3))), str(mine.randrange(4)), {"n": mine.random()})

    with pair.open("&read_wait=0.02") as db, ThreadPoolExecutor(3) as threads:
        writing = [threads.submit(write, writer, number) for number, writer in enumerate(writers)]
        try:
            for _ in range(40):
                pair.pause() if rng.random() < 0.3 else pair.resume()
                db.store.put(NOTES, "mine", {"n": rng.random()})
                mine = db.store.get(NOTES, "mine")
                assert mine is not None
                assert mine.value in [item.value for item in db.store.search(NOTES, limit=100)]
                view, same = db.store.at(mine.revision), other.store.at(mine.revision)
                assert view.search(NOTES, limit=100) == same.search(NOTES, limit=100)
                assert view.list_namespaces() == same.list_namespaces()
        finally:
            ending.set()
            for one in writing:
                one.result(PATIENCE)
            for writer in writers:
                writer.close()
    assert asked.count("replica") > 20


# -- replicas that are away ----------------------------------------------------------------------------------------------


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "read replica" in record.message]


def test_a_replica_that_is_away_is_told_of_once_and_the_primary_answers_until_it_is_back(
    pair: Pair, asked: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "perdure.storage")
    with pair.open("&read_wait=0.2") as db:
        db.store.put(NOTES, "a", {"text": "tea"})
        until(lambda: db.store.search(NOTES) and asked[-1] == "replica")
        pair.standby.stop()
        try:
            asked.clear()
            for _ in range(5):
                assert len(db.store.search(NOTES)) == 1
            assert asked == ["primary"] * 5
            assert len(warnings_in(caplog)) == 1
            assert "does not answer, so the primary is asked" in warnings_in(caplog)[0]
            monkeypatch.setattr(replica, "AGAIN_SECONDS", 0.0)
            waits = db.backend._replica
            waits._again = 0.0
            assert len(db.store.search(NOTES)) == 1
            assert len(warnings_in(caplog)) == 1
        finally:
            pair.standby.start()
        until(lambda: db.store.search(NOTES) and asked[-1] == "replica")
        assert warnings_in(caplog)[1:] == [warnings_in(caplog)[-1]]
        assert "answers again" in warnings_in(caplog)[-1]


def test_a_replica_that_is_never_there_does_no_harm(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    with perdure.connect(f"{pair.url}&read_host=127.0.0.1&read_port=1") as db:
        db.store.put(NOTES, "a", {"text": "tea"})
        assert len(db.store.search(NOTES)) == 1
        assert len(warnings_in(caplog)) == 1


def test_a_question_that_is_cut_off_on_the_replica_is_answered_by_the_primary(
    pair: Pair, asked: list[str]
) -> None:
    with pair.open() as db:
        db.store.search(NOTES)
        asked.clear()

        def question(now: Snapshot) -> int:
            found = now.size(())
            if not asked:
                pair.on_standby(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'perdure'"
                )
            return found + now.size(())

        assert db.backend.look(question) == 0
        assert asked == ["primary"]


def test_an_error_of_the_question_is_the_callers(pair: Pair) -> None:
    with pair.open() as db, pytest.raises(ZeroDivisionError):
        db.backend.look(lambda now: 1 // 0)


@pytest.mark.parametrize("which", ["the primary itself", "another database", "a replica of another server"])
def test_a_server_that_is_no_replica_of_this_database_is_neither_asked_nor_written_to(
    pair: Pair, asked: list[str], caplog: pytest.LogCaptureFixture, folder: Path, which: str
) -> None:
    stranger: PostgresServer | None = None
    if which == "a replica of another server":
        stranger = PostgresServer(folder / "stranger")
        perdure.connect(f"{stranger.url}?schema={place_of(pair.url).schema}").close()
        read = stranger.url
        stranger.stop()
        (stranger.folder / "data" / "standby.signal").touch()
        stranger.start()
    elif which == "another database":
        with psycopg.connect(pair.primary.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS stranger WITH (FORCE)")
            connection.execute("CREATE DATABASE stranger")
        read = pair.standby.url.rsplit("/", 1)[0] + "/stranger"
        pair.catch_up()
    else:
        read = pair.primary.url
    try:
        with perdure.connect(pair.url, read=read) as db:
            db.store.put(NOTES, "a", {"text": "tea"})
            asked.clear()
            assert len(db.store.search(NOTES)) == 1
            assert asked == ["primary"]
            assert "replica" in warnings_in(caplog)[0]
    finally:
        if stranger is not None:
            stranger.remove()


def test_a_child_of_a_fork_has_connections_of_its_own(pair: Pair) -> None:
    with pair.open() as db:
        db.store.put(NOTES, "a", {"text": "tea"})
        until(lambda: db.store.search(NOTES))
        child = os.fork()
        if not child:
            code = 1
            try:
                code = 0 if len(db.store.search(NOTES)) == 1 else 2
            finally:
                os._exit(code)
        assert len(db.store.search(NOTES)) == 1
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(db.store.search(NOTES)) == 1


# -- URLs ---------------------------------------------------------------------------------------------------------------


def test_read_may_be_a_url_of_its_own(pair: Pair, asked: list[str]) -> None:
    with perdure.connect(pair.url, read=f"{pair.standby.url}?application_name=reader&read_wait=30") as db:
        db.store.put(NOTES, "a", {"text": "tea"})
        asked.clear()
        assert len(db.store.search(NOTES)) == 1
        assert asked == ["replica"]
        assert (
            pair.on_standby("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader'")[0][0]
            > 0
        )


def test_a_replica_has_all_of_the_urls_settings_but_where_it_is() -> None:
    place = place_of(
        "postgresql://ada:secret@h/d?schema=s&pool_max=3&read_host=r1,r2&read_port=7&read_wait=2.5&read_your_writes=off"
        "&target_session_attrs=read-write&sslmode=require"
    )
    read = place.read
    assert read is not None
    assert (read.schema, read.pool_max, read.name) == ("s", 3, "postgresql://ada@r1,r2:7/d?schema=s")
    assert (place.read_wait, place.read_your_writes) == (2.5, False)
    for part in ("host='r1,r2'", "port='7'", "password='secret'", "sslmode='require'", "connect_timeout='2'"):
        assert part in read.conninfo
    assert "target_session_attrs" not in read.conninfo
    assert "secret" not in repr(place)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://h/d?read_host=", "read_host= names no host"),
        ("postgresql://h/d?read_host=r&read_your_writes=maybe", "neither on nor off"),
        ("postgresql://h/d?read_host=r&read_wait=-1", "give seconds"),
    ],
)
def test_options_that_cannot_be_right_are_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        place_of(url)


def test_only_postgres_has_replicas() -> None:
    with pytest.raises(ValueError, match="read= names replicas"):
        perdure.connect("memory://", read="postgresql://r/d")
