"""What was saved of a database (pg_dump) goes on in another one: revisions, views and watches hold there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from perdure import clock
from perdure.storage.contract import Commit, PutItem
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
