"""What is forgotten on Postgres is in no row, index entry or long value, and the receipt says what is left to the operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("psycopg")

import psycopg
from psycopg.conninfo import make_conninfo

import perdure
from perdure import clock
from perdure.cli import main
from perdure.errors import Busy

SECRET = "xylophonist"  # a word that stems to itself, so that it stands in the postings, too
OTHERS = 1500  # so many that VACUUM would pass the indexes by, unless it is told
ADA = ("users", f"ada {SECRET}")


def fill(db: perdure.Database) -> None:
    for n in range(3):
        db.store.put(ADA, f"{SECRET} {n}", {"text": f"{SECRET} " * 3000, "n": n})
        db.store.put(ADA, f"{SECRET} {n}", {"text": f"{SECRET} plays", "n": n})
    db.store.put_many([(("others",), f"k{n}", {"text": "x" * 900}) for n in range(OTHERS)])


def traces(admin: Any) -> list[str]:
    """Tables of the database, and those of their long values, in which a row has the secret."""
    rows = admin.execute(
        "SELECT c.oid::regclass::text, CASE relkind WHEN 'r' THEN 't::text' ELSE 'encode(chunk_data, ''hex'')' END FROM pg_class c WHERE c.relkind IN ('r', 't')"
        " AND (c.relname LIKE 'perdure%' OR c.oid IN (SELECT reltoastrelid FROM pg_class WHERE relname LIKE 'perdure%'))"
    ).fetchall()
    found: list[str] = []
    for name, text in rows:
        sees = f"SELECT count(*) FROM {name} t WHERE {text} LIKE %s"  # noqa: S608 - a name of the server's
        ((count,),) = admin.execute(sees, (f"%{SECRET.encode().hex()}%",)).fetchall()
        if count:
            found.append(name)
    return found


def vacuum_says(admin: Any) -> str:
    """What another VACUUM finds to do."""
    said: list[str] = []

    def hear(notice: Any) -> None:
        said.append(notice.message_primary)

    admin.add_notice_handler(hear)
    names = [
        name
        for (name,) in admin.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'perdure%' AND relkind = 'r'"
        )
    ]
    admin.execute(f"VACUUM (VERBOSE, INDEX_CLEANUP ON) {', '.join(names)}")
    admin.remove_notice_handler(hear)
    return "\n".join(said)


def test_nothing_that_could_be_reached_is_left_and_the_receipt_says_what_the_operator_does(
    own_database: str,
) -> None:
    with psycopg.connect(own_database, autocommit=True) as admin, perdure.connect(as_url(own_database)) as db:
        fill(db)
        before = traces(admin)
        assert any("toast" in name for name in before)
        assert {"perdure_versions", "perdure_items", "perdure_namespaces", "perdure_postings"} <= set(before)

        receipt = db.store.forget(ADA)

        assert receipt.scrubbed
        assert traces(admin) == []
        says = vacuum_says(admin)
        assert set(re.findall(r"tuples: (\d+) removed", says)) == {"0"}
        assert set(re.findall(r"(\d+) are dead but not yet removable", says)) == {"0"}
        assert set(re.findall(r"(\d+) dead item identifiers", says)) == {"0"}
        left = " ".join(receipt.left)
        for word in ("VACUUM FULL", "write-ahead log", "archive", "Replicas", "pg_dump", "pg_basebackup"):
            assert word in left
        assert db.store.count() == OTHERS


def as_url(pairs: str) -> str:
    """The URL of what libpq's pairs name."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(pairs)
    host, port, user, name = (parts.get(key, "") for key in ("host", "port", "user", "dbname"))
    rest = "&".join(
        f"{key}={value}" for key, value in parts.items() if key not in ("host", "port", "user", "dbname")
    )
    return f"postgresql://{user}@{host}:{port}/{name}{f'?{rest}' if rest else ''}"


@contextmanager
def in_a_transaction(pairs: str) -> Iterator[Any]:
    """Somebody who reads what there was when the block began."""
    with psycopg.connect(pairs, autocommit=True) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 1")
        yield connection


def test_who_may_still_read_it_keeps_it_from_being_vacuumed_and_that_is_told(own_database: str) -> None:
    with perdure.connect(as_url(own_database)) as db:
        fill(db)
        with (
            in_a_transaction(own_database),
            pytest.raises(Busy, match="somebody reads an older state") as caught,
        ):
            db.store.forget(ADA, wait_seconds=0.2)
        assert caught.value.written is True
        assert caught.value.receipt is not None
        assert caught.value.receipt.counts["items"] == 3
        assert not caught.value.receipt.scrubbed
        assert db.store.count(ADA) == 0

        with in_a_transaction(own_database):  # began later: it sees nothing of it
            again = db.store.forget(ADA, wait_seconds=30)

        assert (again.revision, again.scrubbed) == (None, True)


def test_a_role_that_may_not_vacuum_says_so(own_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    role = f"role_{clock.uuid6().hex}"
    with psycopg.connect(own_database, autocommit=True) as admin:
        perdure.connect(as_url(own_database)).close()
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        admin.execute(f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        url = as_url(make_conninfo(own_database, user=role))
        try:
            with perdure.connect(url) as db:
                fill(db)
                receipt = db.store.forget(ADA)
                assert not receipt.scrubbed
                assert "does not own the tables" in receipt.left[0]
                assert len(receipt.left) > 1
                assert traces(admin) == []
            assert main(["memory", "forget", *ADA, "--yes", "--db", url]) == 0
            out = capsys.readouterr().out
            assert "left to you: Deleted rows were not vacuumed" in out
            assert "nothing of it is left" not in out
        finally:
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


def test_what_is_left_is_told_at_the_terminal(own_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = as_url(own_database)
    with perdure.connect(url) as db:
        fill(db)

    assert main(["memory", "forget", *ADA, "--yes", "--db", url]) == 0

    out = capsys.readouterr().out
    assert "nothing of it is left in rows and indexes of the database" in out
    assert "left to you: The write-ahead log" in out
