"""Migrations: once each, by any number of processes at once, by roles that may do little."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import perdure
from perdure.errors import Busy, SchemaTooNew, StorageError, Unavailable
from perdure.graph import START, StateGraph
from perdure.storage import migrate
from perdure.storage.migrate import Migration
from perdure.storage.postgres import migrating
from perdure.storage.postgres.connections import Connection, Place, connect, place_of
from perdure.storage.postgres.migrating import prepare
from perdure.testing.proxy import DIRECTIONS, Direction, Proxy

THREE = (
    Migration(1, "one", ("CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")),
    Migration(2, "two", ("INSERT INTO t VALUES (2)",)),
    Migration(3, "three", ("CREATE INDEX t_by_n ON t (n)", "INSERT INTO t VALUES (3)")),
)
Known = Callable[[tuple[Migration, ...]], None]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Says which migrations there are."""

    def say(steps: tuple[Migration, ...]) -> None:
        monkeypatch.setattr(migrate, "migrations", lambda dialect: steps)

    say(THREE)
    return say


@pytest.fixture
def place(postgres_url: str) -> Place:
    return place_of(postgres_url)


@pytest.fixture
def connection(place: Place) -> Iterator[Connection]:
    with connect(place).connection as made:
        yield made


def rows(connection: Any, place: Place) -> list[int]:
    sql = f'SELECT n FROM "{place.schema}".t ORDER BY n'  # noqa: S608 - a name of the test's own
    return [n for (n,) in connection.execute(sql).fetchall()]


def records(connection: Any, place: Place) -> list[tuple[int, bytes]]:
    sql = f'SELECT number, name FROM "{place.schema}".perdure_migrations ORDER BY number'  # noqa: S608 - as above
    return connection.execute(sql).fetchall()


def key_of(place: Place) -> tuple[int, int]:
    """The lock of whoever migrates this schema."""
    return migrating.CLASS, migrating.number_of(place.schema)


ALL = [(1, b"one"), (2, b"two"), (3, b"three")]


def test_a_schema_that_is_not_there_is_made_with_all_tables(
    known: Known, connection: Connection, place: Place
) -> None:
    prepare(connection, place)

    assert rows(connection, place) == [1, 2, 3]
    assert records(connection, place) == ALL
    assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)


def test_a_second_time_nothing_is_done(known: Known, connection: Connection, place: Place) -> None:
    prepare(connection, place)
    prepare(connection, place)

    assert rows(connection, place) == [1, 2, 3]


def test_only_what_is_missing_is_run(known: Known, connection: Connection, place: Place) -> None:
    known(THREE[:1])
    prepare(connection, place)
    assert rows(connection, place) == [1]

    known(THREE)
    prepare(connection, place)

    assert rows(connection, place) == [1, 2, 3]


def test_a_migration_that_fails_leaves_nothing_of_itself_and_those_before_it_stand(
    known: Known, connection: Connection, place: Place
) -> None:
    known((*THREE[:2], Migration(3, "three", ("INSERT INTO t VALUES (3)", "SELECT 1/0"))))

    with pytest.raises(StorageError, match="division by zero"):
        prepare(connection, place)

    assert rows(connection, place) == [1, 2]
    known(THREE)
    prepare(connection, place)
    assert records(connection, place) == ALL


def test_a_schema_of_a_newer_perdure_is_refused_untouched(
    known: Known, connection: Connection, place: Place
) -> None:
    prepare(connection, place)
    known(THREE[:2])

    with pytest.raises(SchemaTooNew) as caught:
        prepare(connection, place)

    assert (caught.value.found, caught.value.known, caught.value.where) == (3, 2, place.name)
    assert records(connection, place) == ALL


@pytest.mark.parametrize("name", ['My "own" schéma; --', "UPPER", "a.b"])
def test_a_schema_may_have_any_name(known: Known, connection: Connection, place: Place, name: str) -> None:
    try:
        prepare(connection, replace(place, schema=name))
        prepare(connection, replace(place, schema=name))

        assert connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = $1", (name,)).fetchone()
    finally:
        connection.execute(f"DROP SCHEMA IF EXISTS {migrating.quoted(name)} CASCADE")


def test_a_limit_for_statements_does_not_end_a_migration(
    known: Known, place: Place, postgres_url: str
) -> None:
    known((Migration(1, "slow", ("CREATE TABLE t (n int)", "SELECT pg_sleep(0.3)")),))
    with connect(place_of(f"{postgres_url}&statement_timeout=100")).connection as hurried:
        prepare(hurried, place)

        assert records(hurried, place) == [(1, b"slow")]
        assert hurried.execute("SHOW statement_timeout").fetchone() == ("100ms",)


def test_eight_at_once_run_each_migration_once_whatever_isolation_their_role_has(
    known: Known, place: Place, postgres_url: str
) -> None:
    strict = f"{postgres_url}&options=-c%20default_transaction_isolation%3Dserializable"

    at_once(8, lambda: connect(place_of(strict)).connection, place)

    with connect(place).connection as connection:
        assert rows(connection, place) == [1, 2, 3]


def at_once(count: int, make: Callable[[], Connection], place: Place) -> None:
    """So many sessions prepare one schema at the same moment."""
    gate = threading.Barrier(count)

    def work() -> None:
        with make() as connection:
            gate.wait()
            prepare(connection, place)

    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(work) for _ in range(count)]:
            done.result()


def test_who_comes_second_holds_no_transaction_open_while_it_waits(
    known: Known, place: Place, connection: Connection, postgres_admin: Any
) -> None:
    """It would hold up whoever builds an index CONCURRENTLY, which waits for all older transactions in turn."""
    postgres_admin.execute("SELECT pg_advisory_lock(%s, %s)", key_of(place))
    try:
        waiter = threading.Thread(target=prepare, args=(connection, place))
        waiter.start()
        for _ in range(20):
            time.sleep(0.01)
            waits = "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted"
            assert not postgres_admin.execute(waits, (connection.info.backend_pid,)).fetchone()
        assert waiter.is_alive()
    finally:
        postgres_admin.execute("SELECT pg_advisory_unlock(%s, %s)", key_of(place))
    waiter.join(20)
    assert records(connection, place) == ALL


def test_whoever_waits_too_long_is_told_that_another_is_at_it(
    known: Known, place: Place, connection: Connection, postgres_admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "PATIENCE", 0.05)
    postgres_admin.execute("SELECT pg_advisory_lock(%s, %s)", key_of(place))
    try:
        with pytest.raises(Busy, match="brought up to date by another process"):
            prepare(connection, place)
    finally:
        postgres_admin.execute("SELECT pg_advisory_unlock(%s, %s)", key_of(place))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_wherever_the_connection_is_cut_the_next_opening_finishes_the_work(
    known: Known, postgres_urls: Callable[[], str], connection: Connection, direction: Direction
) -> None:
    with Proxy.of(postgres_urls()) as proxy:
        place = place_of(proxy.through(postgres_urls()))
        with connect(place).connection as behind:
            before = proxy.passed(direction)
            prepare(behind, place)
            total = proxy.passed(direction) - before

        cut_off = 0
        for after in range(0, total, total // 12):
            place = place_of(proxy.through(postgres_urls()))
            with connect(place).connection as behind:
                proxy.cut(direction, after)
                try:
                    prepare(behind, place)
                except Unavailable:
                    cut_off += 1
            proxy.forgive()

            prepare(connection, place)

            assert rows(connection, place) == [1, 2, 3]
            assert records(connection, place) == ALL
        assert cut_off > 8


# -- roles ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def clerk(postgres_admin: Any, postgres_url: str) -> Iterator[str]:
    """The URL of a role that may connect, and nothing else."""
    if "PERDURE_TEST_POSTGRES" in os.environ:
        pytest.skip("makes a role, which another server need not allow")
    name = f"clerk_{place_of(postgres_url).schema}"
    postgres_admin.execute(f"CREATE ROLE {name} LOGIN")
    parts = urlsplit(postgres_url)
    yield urlunsplit(parts._replace(netloc=f"{name}@{parts.hostname}:{parts.port}"))
    postgres_admin.execute(f"DROP OWNED BY {name}")
    postgres_admin.execute(f"DROP ROLE {name}")


def role_of(url: str) -> str:
    return urlsplit(url).username or ""


def test_a_role_that_may_make_nothing_is_told_who_has_to(known: Known, clerk: str, place: Place) -> None:
    with (
        connect(place_of(clerk)).connection as connection,
        pytest.raises(
            StorageError, match=r"this role may not make them.*permission denied.*Open the database once as"
        ),
    ):
        prepare(connection, place)


def test_a_role_may_fill_a_schema_that_was_made_for_it(
    known: Known, clerk: str, place: Place, postgres_admin: Any
) -> None:
    postgres_admin.execute(f"CREATE SCHEMA {place.schema} AUTHORIZATION {role_of(clerk)}")

    with connect(place_of(clerk)).connection as connection:
        prepare(connection, place)

        assert rows(connection, place) == [1, 2, 3]


def test_where_the_tables_are_up_to_date_a_role_that_may_only_use_them_is_enough(
    known: Known, clerk: str, place: Place, connection: Connection, postgres_admin: Any
) -> None:
    prepare(connection, place)
    postgres_admin.execute(f"GRANT USAGE ON SCHEMA {place.schema} TO {role_of(clerk)}")
    postgres_admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {place.schema} TO {role_of(clerk)}")

    with connect(place_of(clerk)).connection as mine:
        prepare(mine, place)

        known((*THREE, Migration(4, "four", ("CREATE TABLE u (n int)",))))
        with pytest.raises(StorageError, match="older ones, and this role may not make them"):
            prepare(mine, place)
    assert records(connection, place) == ALL


def test_with_the_grants_of_the_page_a_role_runs_graphs_and_memory(
    clerk: str, place: Place, postgres_url: str, postgres_admin: Any
) -> None:
    perdure.connect(postgres_url).close()  # as the owner
    page = (Path(__file__).parents[3] / "docs/how-to/run-on-postgres.md").read_text(encoding="utf-8")
    grants = re.findall(r"^GRANT .*;$", page, re.MULTILINE)
    assert len(grants) == 3
    for grant in grants:
        asked = grant.replace("SCHEMA agents", f"SCHEMA {place.schema}")
        postgres_admin.execute(asked.replace("TO agent;", f"TO {role_of(clerk)}"))

    def node(state: dict[str, Any], *, store: Any) -> dict[str, Any]:
        store.put(("a",), "k", {"text": "tea"})
        return {"n": 2}

    with perdure.connect(clerk, ttl={}) as db:
        graph: Any = StateGraph(dict).add_node("node", node).add_edge(START, "node").compile(db)
        assert graph.invoke({"n": 1}, {"configurable": {"thread_id": "t"}}) == {"n": 2}
        assert [item.key for item in db.store.search(("a",), query="tea")] == ["k"]
        assert len(db.store.history(("a",), "k")) == 1
        db.store.put(("a",), "k", {"text": "cake"}, ttl=5)
        db.store.delete(("a",), "k")
        db.checkpointer.prune(["t"])
        db.checkpointer.delete_thread("t")
        assert db.store.forget(("a",)).counts["history"] == 3
        assert db.store.sweep_ttl() == 0


def test_a_read_only_session_opens_what_is_up_to_date_and_says_so_where_it_is_not(
    known: Known, connection: Connection, place: Place, postgres_url: str
) -> None:
    reading = place_of(f"{postgres_url}&options=-c%20default_transaction_read_only%3Don")
    with connect(reading).connection as reader:
        with pytest.raises(StorageError, match="read-only transaction"):
            prepare(reader, place)

        prepare(connection, place)
        prepare(reader, place)
