"""What was saved of a database (pg_dump) goes on in another one: revisions, views and watches hold there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from perdure import clock
from perdure.storage.contract import Commit, PutItem, SegmentRow
from perdure.testing.postgres import chosen, programs

pytest.importorskip("psycopg")

from perdure.storage.postgres import PostgresBackend
from perdure.storage.postgres.line import JUMP

SPACE = ("s",)


def putting(key: str, value: bytes) -> Commit:
    return Commit(clock.uuid6().bytes, 1, items=[PutItem(SPACE, key, value)])


def test_revisions_views_and_watches_survive_a_dump_and_a_restore(
    postgres_url: str, postgres_server: str, postgres_admin: Any, tmp_path: Path
) -> None:
    where = programs(chosen())
    if where is None:
        pytest.skip("no pg_dump of the server's version")
    before = PostgresBackend(postgres_url)
    marks = [before.commit(putting("a", b"%d" % n)) for n in range(5)]
    with before.read() as now:
        views = [now.items_at(SPACE, mark, None, 9) for mark in marks]
    schema = postgres_url.partition("schema=")[2]
    dump = tmp_path / "dump.sql"
    subprocess.run(
        [where / "pg_dump", "--schema", schema, "--file", dump, postgres_server],
        check=True,
        capture_output=True,
    )
    lost = before.commit(putting("a", b"lost"))
    before.close()
    other = f"restored_{schema}"
    postgres_admin.execute(f"CREATE DATABASE {other}")
    there = urlunsplit(urlsplit(postgres_server)._replace(path=f"/{other}"))
    try:
        subprocess.run(
            [where / "psql", "-v", "ON_ERROR_STOP=1", "-f", dump, there], check=True, capture_output=True
        )

        after = PostgresBackend(f"{there}?schema={schema}")
        with after.read() as now:
            assert now.revision() >= marks[-1]
            assert [now.items_at(SPACE, mark, None, 9) for mark in marks] == views
            assert [row.revision for row in now.changes(marks[1], 9)] == marks[2:]
        new = after.commit(putting("b", b"new"))

        assert new.seq > JUMP
        with after.read() as now:
            assert [row.key for row in now.changes(marks[-1], 9)] == ["b"]
            assert [row.key for row in now.changes(lost, 9)] == ["b"]  # who saw what was lost misses nothing
            assert [now.items_at(SPACE, mark, None, 9) for mark in marks] == views
        assert after.identity != before.identity
        after.close()
    finally:
        postgres_admin.execute(f"DROP DATABASE {other} WITH (FORCE)")


def test_a_dump_that_is_restored_in_place_is_known_as_another_history(
    postgres_url: str, postgres_server: str, postgres_admin: Any, tmp_path: Path
) -> None:
    where = programs(chosen())
    if where is None:
        pytest.skip("no pg_dump of the server's version")
    before = PostgresBackend(postgres_url)
    kept = before.commit(putting("a", b"kept"))
    schema = postgres_url.partition("schema=")[2]
    dump = tmp_path / "dump.sql"
    subprocess.run(
        [where / "pg_dump", "--schema", schema, "--file", dump, postgres_server],
        check=True,
        capture_output=True,
    )
    lost = before.commit(putting("a", b"lost"))
    before.close()
    postgres_admin.execute(f"DROP SCHEMA {schema} CASCADE")
    subprocess.run(
        [where / "psql", "-v", "ON_ERROR_STOP=1", "-f", dump, postgres_server],
        check=True,
        capture_output=True,
    )

    after = PostgresBackend(postgres_url)
    new = after.commit(putting("b", b"new"))

    assert new.seq > kept.seq + JUMP
    with after.read() as now:
        assert [row.key for row in now.changes(lost, 9)] == ["b"]
    after.close()


def test_numbers_that_a_lost_history_gave_are_not_used_in_the_next(
    postgres_url: str, postgres_admin: Any
) -> None:
    """After a failover that lost the newest commits the sequences begin where they were; who wrote before has some left."""
    schema = postgres_url.partition("schema=")[2]
    one, other = PostgresBackend(postgres_url), PostgresBackend(postgres_url)

    def segment(thread: str) -> Commit:
        return Commit(clock.uuid6().bytes, 1, segments=[SegmentRow(thread, 1, 0, 1, 0, thread.encode())])

    one.commit(segment("lost"))
    postgres_admin.execute(
        f"TRUNCATE {schema}.perdure_segments, {schema}.perdure_logs, {schema}.perdure_threads"
    )
    for name in ("thread", "chain", "log", "namespace"):
        postgres_admin.execute(f"ALTER SEQUENCE {schema}.perdure_{name}_no RESTART")
    postgres_admin.execute(f"UPDATE {schema}.perdure_origin SET cluster = 'elsewhere'")  # noqa: S608 - a name of ours
    for backend in (one, other):
        backend._line._here = "elsewhere"  # as it was there
        backend._line.pool.renew()  # their connections are gone

    for n in range(3):
        other.commit(segment(f"other {n}"))
        one.commit(segment(f"one {n}"))

    numbers = f"SELECT count(*), count(DISTINCT no) FROM {schema}.perdure_logs"  # noqa: S608 - a name of ours
    assert postgres_admin.execute(numbers).fetchone() == (6, 6)
    one.close()
    other.close()
