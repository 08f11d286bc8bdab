"""Migrations while programs work: nobody is kept from writing for longer than a moment, and a migration that was killed goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

import perdure
from perdure.errors import Busy, StorageError
from perdure.storage import migrate
from perdure.storage.migrate import Migration
from perdure.storage.postgres import migrating, online
from perdure.storage.postgres.connections import Connection, Place, connect, place_of
from perdure.storage.postgres.migrating import prepare
from under_load import PATIENCE, Load, until

NOW = migrate.migrations("postgres")
LAST = NOW[-1].number
COLUMN = Migration(LAST + 1, "column", ("ALTER TABLE perdure_items ADD COLUMN colour BIGINT",))
INDEX_SQL = "CREATE INDEX CONCURRENTLY perdure_items_by_colour ON perdure_items (alive, version)"
INDEX = Migration(LAST + 2, "index", (INDEX_SQL,))
GONE = Migration(LAST + 3, "gone", ("DROP INDEX CONCURRENTLY IF EXISTS perdure_items_by_colour",))
Known = Callable[..., None]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Says which migrations there are."""
    return lambda *steps: monkeypatch.setattr(migrate, "migrations", lambda dialect: steps)


@pytest.fixture
def place(postgres_url: str) -> Place:
    return place_of(postgres_url)


@pytest.fixture
def connection(place: Place) -> Iterator[Connection]:
    with connect(place).connection as made:
        yield made


@pytest.fixture
def raw(postgres_server: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else's session."""
    with psycopg.connect(postgres_server) as made:
        yield made


@contextmanager
def programs(url: str) -> Iterator[Load]:
    """Two that write memory and two that read it."""
    with perdure.connect(url) as db:
        store = db.store

        def writes(who: str) -> Callable[[int], object]:
            return lambda number: store.put((who,), str(number % 7), {"n": number})

        def reads(number: int) -> object:
            return store.search((), limit=5), store.get(("a",), "1")

        with Load(writes("a"), writes("b"), reads, reads) as load:
            load.gets_on()
            yield load


def index_of(connection: Connection, place: Place) -> bool | None:
    """Whether the index can be used; None: it is not there."""
    sql = "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = $1::regnamespace AND c.relname = 'perdure_items_by_colour'"
    row = connection.execute(sql, (place.schema,)).fetchone()
    return None if row is None else bool(row[0])


def look_at_items(raw: Any, place: Place) -> None:
    """A transaction that has read the table, and goes on."""
    raw.execute(f'SELECT count(*) FROM "{place.schema}".perdure_items')  # noqa: S608 - a name of the test's own


def newest(connection: Connection, place: Place) -> int:
    return migrating.applied(connection, place.schema)


def builder(admin: Any, place: Place) -> int | None:
    """The session that builds an index of this schema, once it waits for others."""
    row = admin.execute(
        "SELECT p.pid FROM pg_stat_progress_create_index p JOIN pg_class c ON c.oid = p.relid"
        " WHERE c.relnamespace = to_regnamespace(%s) AND p.phase LIKE 'waiting%%'",
        (place.schema,),
    ).fetchone()
    return None if row is None else row[0]


# -- under load --------------------------------------------------------------------------------------------------------


def test_every_migration_behind_the_first_is_made_while_sessions_read_and_write_the_tables(
    known: Known, connection: Connection, place: Place, postgres_server: str
) -> None:
    known(NOW[0])
    prepare(connection, place)
    seqs = count(1)
    sessions = ExitStack()

    def session(*statements: str) -> Callable[[int], object]:
        mine = sessions.enter_context(
            psycopg.connect(postgres_server, options=f"-c search_path={place.schema}", autocommit=True)
        )

        def work(number: int) -> None:
            seq = next(seqs)
            with mine.transaction():
                for statement in statements:
                    mine.execute(statement, {"n": seq, "b": str(seq).encode()})

        return work

    writes = (
        "INSERT INTO perdure_commits (seq, id, at) VALUES (%(n)s, %(b)s, 0)",
        "INSERT INTO perdure_checkpoints (chain, seq, at, step, whole, id, source, state) VALUES (1, %(n)s, 0, 0, 1, %(b)s, 'input', 'x')",
        "INSERT INTO perdure_segments (place, count, kind, payload) VALUES (%(n)s, 1, 0, 'x')",
        "INSERT INTO perdure_items (id, version, alive, key) VALUES (%(n)s, %(n)s, 1, %(b)s)",
        "INSERT INTO perdure_versions (version, item, updated, value) VALUES (%(n)s, %(n)s, 0, 'x')",
        "UPDATE perdure_items SET version = version WHERE id = %(n)s",
    )
    reads = (
        "SELECT id FROM perdure_checkpoints WHERE chain = 1 ORDER BY id DESC LIMIT 1",
        "SELECT version FROM perdure_items ORDER BY id DESC LIMIT 5",
        "SELECT value FROM perdure_versions ORDER BY version DESC LIMIT 5",
    )
    with sessions, Load(session(*writes), session(*writes), session(*reads)) as load:
        load.gets_on()
        known(*NOW, COLUMN, INDEX, GONE)
        prepare(connection, place)
        load.gets_on()

    assert newest(connection, place) == GONE.number
    assert index_of(connection, place) is None


def test_programs_go_on_while_a_migration_waits_for_a_table_that_a_long_transaction_reads(
    known: Known, connection: Connection, place: Place, postgres_url: str, raw: Any, postgres_admin: Any
) -> None:
    """Who waits for an exclusive lock keeps all waiting who come later: so it may wait for a moment only."""
    with programs(postgres_url) as load, ThreadPoolExecutor(1) as thread:
        look_at_items(raw, place)  # which keeps them locked until its end
        known(*NOW, COLUMN)
        migration = thread.submit(prepare, connection, place)
        waiting = "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted"
        try:
            until(lambda: postgres_admin.execute(waiting, (connection.info.backend_pid,)).fetchone())
            load.gets_on()
            assert not migration.done()
        finally:
            raw.rollback()
        migration.result(PATIENCE)
        load.gets_on()

    assert newest(connection, place) == COLUMN.number


def test_programs_go_on_while_an_index_is_built_that_waits_for_a_long_transaction(
    known: Known, connection: Connection, place: Place, postgres_url: str, raw: Any, postgres_admin: Any
) -> None:
    with programs(postgres_url) as load, ThreadPoolExecutor(1) as thread:
        raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        raw.execute("SELECT 1")  # so old that the index waits for it
        known(*NOW, INDEX._replace(number=LAST + 1))
        migration = thread.submit(prepare, connection, place)
        try:
            until(lambda: builder(postgres_admin, place))
            load.gets_on()
        finally:
            raw.rollback()
        migration.result(PATIENCE)
        load.gets_on()

    assert index_of(connection, place) is True


def test_a_transaction_that_never_ends_is_named_as_what_the_migration_waited_for(
    known: Known, connection: Connection, place: Place, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(connection, place)
    look_at_items(raw, place)
    known(*NOW, COLUMN)
    monkeypatch.setattr(migrating, "PATIENCE", 0.05)

    with pytest.raises(Busy, match="always a transaction that had one of its tables locked"):
        prepare(connection, place)

    raw.rollback()
    assert newest(connection, place) == LAST
    prepare(connection, place)
    assert newest(connection, place) == COLUMN.number


# -- killed in the middle --------------------------------------------------------------------------------------------------


def half_built(
    known: Known, connection: Connection, place: Place, raw: Any, admin: Any, kill: Callable[[int], object]
) -> None:
    """An index was being built when its session was killed."""
    prepare(connection, place)
    raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    raw.execute("SELECT 1")  # so old that the index waits for it at its end
    known(*NOW, COLUMN, INDEX)
    with ThreadPoolExecutor(1) as thread:
        migration = thread.submit(prepare, connection, place)
        try:
            until(lambda: builder(admin, place) or migration.done())
            kill(builder(admin, place) or 0)
            assert migration.exception(PATIENCE) is not None
        finally:
            raw.rollback()


def test_an_index_whose_building_was_killed_is_made_again(
    known: Known, connection: Connection, place: Place, raw: Any, postgres_admin: Any
) -> None:
    def end(pid: int) -> None:
        postgres_admin.execute("SELECT pg_terminate_backend(%s)", (pid,))

    half_built(known, connection, place, raw, postgres_admin, end)
    assert index_of(connection, place) is False
    assert newest(connection, place) == COLUMN.number

    prepare(connection, place)

    assert index_of(connection, place) is True
    assert newest(connection, place) == INDEX.number


def test_an_index_whose_building_was_cancelled_is_an_error_and_made_again_at_the_next_opening(
    known: Known, connection: Connection, place: Place, raw: Any, postgres_admin: Any
) -> None:
    def cancel(pid: int) -> None:
        postgres_admin.execute("SELECT pg_cancel_backend(%s)", (pid,))

    half_built(known, connection, place, raw, postgres_admin, cancel)
    assert index_of(connection, place) is False

    known(*NOW, COLUMN, INDEX._replace(statements=(INDEX_SQL.replace("version", "no_such_column"),)))
    with pytest.raises(StorageError, match="no_such_column"):
        prepare(connection, place)
    known(*NOW, COLUMN, INDEX)
    prepare(connection, place)

    assert index_of(connection, place) is True


KILLED = """
import sys
from perdure.storage import migrate
from perdure.storage.migrate import Migration
from perdure.storage.postgres.connections import connect, place_of
from perdure.storage.postgres.migrating import prepare
url, number, statement = sys.argv[1:]
steps = (*migrate.migrations("postgres"), Migration(int(number), "index", (statement,)))
migrate.migrations = lambda dialect: steps
place = place_of(url)
prepare(connect(place).connection, place)
"""


def test_what_a_killed_process_had_the_server_build_is_waited_for_and_not_begun_anew(
    known: Known, connection: Connection, place: Place, postgres_url: str, raw: Any, postgres_admin: Any
) -> None:
    prepare(connection, place)
    raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    raw.execute("SELECT 1")
    alone = INDEX._replace(number=LAST + 1)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, postgres_url, str(alone.number), INDEX_SQL],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    known(*NOW, alone)
    try:
        until(lambda: builder(postgres_admin, place) or process.poll() is not None)
        pid = builder(postgres_admin, place)
        assert pid is not None
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        with ThreadPoolExecutor(1) as thread:
            migration = thread.submit(prepare, connection, place)
            with pytest.raises(TimeoutError):
                migration.result(0.3)
            assert builder(postgres_admin, place) == pid
            raw.rollback()
            migration.result(PATIENCE)
    finally:
        process.kill()
        process.wait(PATIENCE)
        raw.rollback()

    assert index_of(connection, place) is True
    assert newest(connection, place) == alone.number


def test_an_index_that_a_dead_client_left_at_work_for_too_long_is_named(
    known: Known,
    connection: Connection,
    place: Place,
    raw: Any,
    postgres_admin: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(connection, place)
    raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    raw.execute("SELECT 1")
    monkeypatch.setattr(online, "PATIENCE", 0.05)
    with connect(place).connection as other, ThreadPoolExecutor(1) as thread:
        sql = INDEX_SQL.replace("ON perdure_items", f'ON "{place.schema}".perdure_items')
        building = thread.submit(other.execute, sql.encode(), prepare=False)
        try:
            until(lambda: builder(postgres_admin, place))
            known(*NOW, INDEX._replace(number=LAST + 1))
            with pytest.raises(Busy, match="is being built by a session that nobody waits for"):
                prepare(connection, place)
        finally:
            raw.rollback()
        building.result(PATIENCE)

    prepare(connection, place)
    assert newest(connection, place) == LAST + 1


def test_an_index_that_is_there_already_is_left_alone_and_one_that_is_not_may_be_dropped(
    known: Known, connection: Connection, place: Place
) -> None:
    prepare(connection, place)
    sql = INDEX_SQL.replace("CONCURRENTLY ", "").replace(
        "ON perdure_items", f'ON "{place.schema}".perdure_items'
    )
    connection.execute(sql.encode())
    number = "SELECT oid FROM pg_class WHERE relname = 'perdure_items_by_colour' AND relnamespace = $1::regnamespace"
    before = connection.execute(number, (place.schema,)).fetchone()
    known(*NOW, COLUMN, INDEX)

    prepare(connection, place)

    assert connection.execute(number, (place.schema,)).fetchone() == before
    known(*NOW, COLUMN, INDEX, GONE, GONE._replace(number=GONE.number + 1))
    prepare(connection, place)
    assert index_of(connection, place) is None


def test_a_limit_for_statements_or_locks_does_not_end_the_building_of_an_index(
    known: Known, place: Place, connection: Connection, postgres_url: str, raw: Any, postgres_admin: Any
) -> None:
    prepare(connection, place)
    raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    raw.execute("SELECT 1")
    known(*NOW, INDEX._replace(number=LAST + 1))
    limits = "&statement_timeout=50&lock_timeout=50&idle_in_transaction_session_timeout=50"
    hurried = place_of(f"{postgres_url}{limits}")
    with connect(hurried).connection as one, ThreadPoolExecutor(1) as thread:
        migration = thread.submit(prepare, one, hurried)
        try:
            until(lambda: builder(postgres_admin, place) or migration.done())
            with pytest.raises(TimeoutError):
                migration.result(0.3)
        finally:
            raw.rollback()
        migration.result(PATIENCE)

    assert newest(connection, place) == LAST + 1


# -- what a migration may be ----------------------------------------------------------------------------------------------

HARMLESS = (
    r"CREATE (TABLE|SEQUENCE) perdure_\w+\b.*",
    r"ALTER SEQUENCE perdure_\w+ .*",
    r"ALTER TABLE perdure_\w+ ADD COLUMN \w+ \w+",  # without a default, so no row is written
    r"ALTER TABLE perdure_\w+ ALTER COLUMN \w+ SET STORAGE \w+",
    r"ALTER TABLE perdure_\w+ SET \(.*\)",
    r"DROP (TABLE|SEQUENCE) IF EXISTS perdure_\w+",
)


def keeps_others_waiting(step: Migration) -> list[str]:
    """Statements of a migration that read or write a table which may be large, while they have it locked."""
    if online.is_online(step.statements):
        return []
    made = {name for one in step.statements for name in re.findall(r"^CREATE TABLE (perdure_\w+)", one)}
    found: list[str] = []
    for one in step.statements:
        of = re.match(
            r"CREATE (?:UNIQUE )?INDEX \w+\s+ON (perdure_\w+)|(?:INSERT INTO|ALTER TABLE) (perdure_\w+)", one
        )
        if of is not None and {of[1], of[2]} & made:
            continue  # nobody else has seen it yet
        if not any(re.fullmatch(kind, one, re.DOTALL) for kind in HARMLESS):
            found.append(one)
    return found


def test_no_migration_reads_or_writes_a_whole_table_that_it_has_locked() -> None:
    assert {step.name: keeps_others_waiting(step) for step in NOW} == {step.name: [] for step in NOW}
    for bad in (
        "CREATE INDEX perdure_x ON perdure_items (version)",
        "UPDATE perdure_items SET alive = 1",
        "ALTER TABLE perdure_items ALTER COLUMN alive TYPE BIGINT",
        "ALTER TABLE perdure_items ADD COLUMN c BIGINT NOT NULL DEFAULT 1",
        "ALTER TABLE perdure_items ADD CONSTRAINT c CHECK (alive < 2)",
    ):
        assert keeps_others_waiting(Migration(2, "bad", (bad,))) == [bad]


@pytest.mark.parametrize(
    "statements",
    [
        (INDEX_SQL, "CREATE TABLE perdure_x (n BIGINT)"),
        ("REINDEX INDEX CONCURRENTLY perdure_items_by_key",),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS perdure_x ON perdure_items (version)",),
    ],
)
def test_what_cannot_be_done_twice_outside_of_a_transaction_is_refused(
    known: Known, connection: Connection, place: Place, statements: tuple[str, ...]
) -> None:
    prepare(connection, place)
    known(*NOW, Migration(LAST + 1, "mixed", statements))

    with pytest.raises(StorageError, match="mixes statements"):
        prepare(connection, place)

    assert newest(connection, place) == LAST
