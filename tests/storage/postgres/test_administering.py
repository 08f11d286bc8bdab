"""What Postgres tells its operator, and holding writers off: of every process, with no reader kept waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure import clock
from perdure.errors import Busy, StaleThread, Unavailable
from perdure.storage.contract import Commit, HeadIs, PutItem
from perdure.storage.migrate import migrations

pytest.importorskip("psycopg")

from perdure.storage.postgres import PostgresBackend, readings
from perdure.storage.postgres.locks import halves, key_of_all
from perdure.storage.postgres.talking import say


def putting(key: str, **rest: Any) -> Commit:
    return Commit(clock.uuid6().bytes, 0, items=[PutItem(("a",), key, b"1")], **rest)


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[..., PostgresBackend]]:
    """Each call opens the same database once more: as another process would."""
    made: list[PostgresBackend] = []

    def one(more: str = "") -> PostgresBackend:
        made.append(PostgresBackend(postgres_url + more))
        return made[-1]

    yield one
    for backend in made:
        backend.close()


def schema_of(backend: PostgresBackend) -> str:
    return backend._place.schema


def facts_of(backend: PostgresBackend) -> dict[str, str]:
    return dict(backend.about().facts)


def test_it_is_told_which_server_it_is_and_how_it_is_reached(opened: Callable[..., PostgresBackend]) -> None:
    backend = opened()
    about, facts = backend.about(), facts_of(backend)

    assert about.kind == "postgres"
    assert about.engine.startswith("PostgreSQL 1")
    assert about.schema == len(migrations("postgres"))
    assert facts["schema name"] == schema_of(backend)
    assert facts["pooler"].startswith("none seen")
    assert facts["TLS"] == "no"
    assert "of " in facts["connections"]
    assert facts_of(opened("&prepare=off"))["pooler"].startswith("prepare=off")


def test_no_password_is_told(postgres_url: str) -> None:
    backend = PostgresBackend(f"{postgres_url}&password=s3cret")
    try:
        assert "s3cret" not in repr(backend.about())
    finally:
        backend.close()


def test_nothing_is_under_way_while_writers_are_held_off_so_gaps_hold_nobody_up(
    opened: Callable[..., PostgresBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "SETTLE_SECONDS", 0.0)
    one, other = opened(), opened()
    one.commit(putting("a"))
    with pytest.raises(StaleThread):
        one.commit(putting("b", heads=[HeadIs("t", "", "nowhere")]))
    last = one.commit(putting("c"))

    with one.hold(5), other.read() as now:
        assert now.revision() == last


def test_a_commit_of_very_much_is_under_way_like_any_other(opened: Callable[..., PostgresBackend]) -> None:
    one, other = opened(), opened()
    connection = one._line.take()
    statements = one._line.statements
    of_all = key_of_all(statements.schema)
    say(connection, statements["begin_write"].text)
    say(connection, statements["lock_all"].text, (of_all, 1, ""))
    looking = other._line.take()
    assert len(say(looking, statements["under_way"].text, halves(of_all))) == 1
    say(connection, statements["rollback"].text)
    assert say(looking, statements["under_way"].text, halves(of_all)) == []
    one._line.give(connection)
    other._line.give(looking)


def test_a_process_of_its_own_is_held_off_too_and_gives_up_as_for_any_lock(
    opened: Callable[..., PostgresBackend],
) -> None:
    one, other = opened(), opened("&lock_timeout=200ms")
    with one.hold(5):
        with pytest.raises(Busy) as caught:
            other.commit(putting("a"))
        assert caught.value.written is False
    other.commit(putting("a"))


def test_who_waits_to_hold_writers_off_gives_up_in_time(opened: Callable[..., PostgresBackend]) -> None:
    one, other = opened(), opened()
    began = time.monotonic()
    with one.hold(5), pytest.raises(Busy), other.hold(0.2):
        raise AssertionError("both hold it")
    assert time.monotonic() - began < 4
    with other.hold(5):
        pass


def test_a_hold_outlasts_the_limits_of_ordinary_transactions(opened: Callable[..., PostgresBackend]) -> None:
    one = opened("&idle_in_transaction_session_timeout=100ms&statement_timeout=5s&pool_max=1")
    done = threading.Event()
    writer = threading.Thread(target=lambda: (one.commit(putting("a")), done.set()))
    with one.hold(5):
        time.sleep(0.4)
        with one.read() as now:  # of a pool of one
            assert now.revision().seq == 0
        writer.start()
        assert not done.wait(0.2)
    writer.join(10)
    assert done.is_set()


def test_a_hold_that_was_broken_is_told(opened: Callable[..., PostgresBackend], postgres_admin: Any) -> None:
    one = opened("&application_name=held_" + clock.uuid6().hex)
    name = one._place.conninfo.partition("application_name='")[2].partition("'")[0]

    def held_and_ended() -> None:
        with one.hold(5):
            ended = postgres_admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state = 'idle in transaction' AND application_name = %s",
                (name,),
            ).fetchall()
            assert ended == [(True,)]
            time.sleep(0.2)

    with pytest.raises(Unavailable, match="Others may have written"):
        held_and_ended()


# ---- what it finds wrong with itself


def test_an_index_that_is_missing_or_was_not_built_is_told(
    opened: Callable[..., PostgresBackend], postgres_admin: Any
) -> None:
    one = opened()
    schema = schema_of(one)
    assert one.faults(quick=False) == []
    postgres_admin.execute(f"DROP INDEX {schema}.perdure_items_by_version")
    postgres_admin.execute(
        f"INSERT INTO {schema}.perdure_writes SELECT 1, n, '', '', '', '', '' FROM generate_series(1, 2) n"  # noqa: S608 - a name of ours
    )
    with pytest.raises(Exception, match="duplicate"):
        postgres_admin.execute(
            f"CREATE UNIQUE INDEX CONCURRENTLY half_made ON {schema}.perdure_writes (chain)"
        )

    said = one.faults(quick=True)

    assert len(said) == 2
    assert said[0] == "index perdure_items_by_version is not there"
    assert said[1].startswith("index half_made cannot be used")


def test_without_amcheck_it_is_said_that_indexes_are_not_compared(
    opened: Callable[..., PostgresBackend], postgres_admin: Any
) -> None:
    there = postgres_admin.execute("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'").fetchone()
    said = facts_of(opened())["self-check"]

    assert ("not compared" in said) == (there == (0,))


def test_amcheck_is_asked_where_it_is_installed(own_database: str) -> None:
    import psycopg

    with psycopg.connect(own_database, autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'").fetchone():
            pytest.skip("this server has no amcheck")
        admin.execute("CREATE SCHEMA tools")
        admin.execute("CREATE EXTENSION amcheck SCHEMA tools")
        backend = PostgresBackend(own_database)
        try:
            backend.commit(putting("a"))
            assert facts_of(backend)["self-check"].endswith("amcheck")
            assert backend.faults(quick=False) == []
            of_index = "WHERE indexrelid = 'perdure_items_by_key'::regclass"
            admin.execute(f"UPDATE pg_index SET indisready = false {of_index}")  # noqa: S608 - a text of ours
            admin.execute("INSERT INTO perdure_items (id, version, alive, key) VALUES (99, 99, 1, 'lost')")
            admin.execute(f"UPDATE pg_index SET indisready = true {of_index}")  # noqa: S608 - a text of ours

            assert backend.faults(quick=True) == []
            (said,) = backend.faults(quick=False)
            assert "perdure_items_by_key" in said
            assert "lacks matching index tuple" in said
        finally:
            backend.close()


def test_amcheck_is_left_out_where_this_role_may_not_call_it(own_database: str) -> None:
    import psycopg
    from psycopg.conninfo import make_conninfo

    role = f"role_{clock.uuid6().hex}"
    with psycopg.connect(own_database, autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'").fetchone():
            pytest.skip("this server has no amcheck")
        admin.execute("CREATE EXTENSION amcheck")
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        try:
            backend = PostgresBackend(make_conninfo(own_database, user=role))
            try:
                assert backend.faults(quick=False) == []
                assert "not compared" in facts_of(backend)["self-check"]
            finally:
                backend.close()
        finally:
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("table", ["versions", "vectors", "items"])
def test_indexes_are_made_anew(
    opened: Callable[..., PostgresBackend], postgres_admin: Any, table: str
) -> None:
    backend = opened()
    backend.commit(putting("k"))

    def files() -> set[int]:
        found = postgres_admin.execute(
            "SELECT c.relfilenode FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = %s::regclass",
            (f"{schema_of(backend)}.perdure_{table}",),
        )
        return {file for (file,) in found.fetchall()}

    before = files()
    readings.patiently(backend._line, backend._line.statements[f"remake_indexes_of_{table}"].text)

    assert before
    assert files().isdisjoint(before)
