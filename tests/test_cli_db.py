"""`perdure db` as its operator meets it: exit codes, lines, JSON, refusals that touch nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perdure
from admin.rooms import KEY, OTHER_KEY, by_sql, talk
from databases import POSTGRES
from perdure.cli import main
from perdure.storage.migrate import migrations

# Of a checkpoint and a task (16 bytes each) that nobody has.
STRAY_WRITE = (
    "INSERT INTO perdure_writes (chain, checkpoint, task, idx, path, channel, payload) VALUES"
    " (1, x'01010101010101010101010101010101', x'01010101010101010101010101010101', 0, x'', x'', x'10c0')"
)
SERVED = ["sqlite", POSTGRES]


def filled(url: str) -> str:
    with perdure.connect(url) as db:
        talk(db)
    return url


@pytest.fixture(params=SERVED)
def url(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    """The URL of a database in which graphs have talked."""
    return filled(url_of(request.param))


@pytest.fixture
def of_file(url_of: Callable[[str], str]) -> str:
    """The same, always of a file of SQLite."""
    return filled(url_of("sqlite"))


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main(["db", *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    return out + err


def told(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    assert main(["db", *map(str, arguments), "--json"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def older(tmp_path: Path) -> Path:
    """A database as an earlier version of Perdure has made it: of the first migration only."""
    made = tmp_path / "old.db"
    connection = sqlite3.connect(made)
    first = migrations("sqlite")[0]
    for statement in first.statements:
        connection.execute(statement)
    connection.execute("INSERT INTO perdure_migrations VALUES (?, ?, 0)", (first.number, first.name.encode()))
    connection.commit()
    connection.close()
    return made


def test_status_tells_what_it_is_without_a_key(
    of_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "status", "--db", of_file)
    assert "SQLite 3." in text
    assert "journal mode   wal" in text
    assert "WAL-reset bug" in text
    assert "encrypted      no" in text
    sealed = f"sqlite:///{tmp_path / 'b.db'}"
    perdure.connect(sealed, encryption=KEY).close()

    (found,) = told(capsys, "status", "--db", sealed)

    assert (found["kind"], found["due"], found["schema"]) == ("sqlite", [], len(migrations("sqlite")))
    assert len(found["encrypted"]) == 16


def test_a_schema_of_before_is_told_left_alone_and_brought_up_to_date_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = older(tmp_path)
    url, names = f"sqlite:///{old}", [f"{step.number:04}_{step.name}" for step in migrations("sqlite")[1:]]
    before = old.read_bytes()

    assert "lacks 0002_texts, " in said(capsys, "status", "--db", url)
    assert said(capsys, "migrate", "--dry-run", "--db", url).splitlines() == [
        f"due: {name}" for name in names
    ]
    assert old.read_bytes() == before
    assert told(capsys, "migrate", "--db", url) == [{"before": 1, "steps": names, "dry_run": False}]
    assert "nothing is due" in said(capsys, "migrate", "--db", url)
    assert told(capsys, "status", "--db", url)[0]["due"] == []


def test_stats_count_and_name_the_largest(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = told(capsys, "stats", "--db", url, "--largest", "2")

    assert {table["name"] for table in found["tables"]} >= {"checkpoints", "segments", "items", "other"}
    assert found["threads"][0]["thread"].startswith("t")
    assert len(found["threads"]) == len(found["namespaces"]) == 2
    assert '"users" "u' in said(capsys, "stats", "--db", url)


def test_check_ends_with_1_where_something_is_wrong_and_says_what_mends_it(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "check", "--db", url) == "nothing is wrong\n"
    by_sql(url, "DELETE FROM perdure_segments WHERE place = (SELECT min(place) FROM perdure_segments)")

    assert "What mends it: restore a backup" in said(capsys, "check", "--db", url, code=1)
    assert {one["wrong"] for one in told(capsys, "check", "--quick", "--db", url, code=1)} == {True}


def test_what_is_left_over_is_no_failure_and_goes_by_repair(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    by_sql(
        url,
        STRAY_WRITE,
        "DELETE FROM perdure_postings WHERE item = (SELECT min(item) FROM perdure_postings)",
    )
    assert "[left over]" in said(capsys, "check", "--db", url, code=1)

    text = said(capsys, "check", "--repair", "--db", url)

    assert "mended" in text
    assert said(capsys, "check", "--db", url) == "nothing is wrong\n"


@pytest.mark.parametrize("kind", SERVED)
def test_a_copy_is_told_and_its_keys_come_from_the_environment(
    url: str,
    kind: str,
    url_of: Callable[[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_OF_COPY", KEY)
    monkeypatch.setenv("OTHER", OTHER_KEY)
    other = url_of(kind)

    assert "are equal" in said(capsys, "copy", url, other, "--to-key-env", "KEY_OF_COPY")
    (again,) = told(capsys, "copy", url, other, "--to-key-env", "KEY_OF_COPY", "--freeze")
    assert (again["threads"], again["threads_copied"], again["frozen"]) == (3, 0, True)
    assert "does not open it" in said(capsys, "copy", url, other, "--to-key-env", "OTHER", code=1)
    assert "no key in NOT_THERE" in said(capsys, "copy", url, other, "--to-key-env", "NOT_THERE", code=1)
    assert "no such database" in said(capsys, "copy", f"sqlite:///{tmp_path / 'no.db'}", other, code=1)
    assert not (tmp_path / "no.db").exists()
    assert said(capsys, "check", "--db", other, "--key-env", "KEY_OF_COPY") == "nothing is wrong\n"


def test_saving_bringing_back_and_pruning_at_a_terminal(
    of_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, url = tmp_path / "saved", of_file
    assert "bytes, checked" in said(capsys, "backup", file, "--db", url)
    assert "there already" in said(capsys, "backup", file, "--db", url, code=1)
    (dry,) = told(capsys, "prune", "--keep", "1", "--older-than", "0s", "--dry-run", "--db", url)
    (gone,) = told(capsys, "prune", "--keep", "1", "--older-than", "0s", "--db", url)
    assert {**dry, "dry_run": False} == gone
    assert gone["checkpoints"] > 0
    assert said(capsys, "prune", "--keep", "1", "--threads", "--db", url).startswith("gone: 0 checkpoints")
    assert "say what goes" in said(capsys, "prune", "--db", url, code=1)
    assert "there already" in said(capsys, "restore", file, "--db", url, code=1)

    (back,) = told(capsys, "restore", file, "--force", "--db", url)

    assert back["bytes"] == file.stat().st_size
    assert told(capsys, "prune", "--keep", "1", "--older-than", "0s", "--dry-run", "--db", url) == [dry]


@pytest.mark.parametrize("wrong", ["30", "d", "-1d", "1.5h", "99999999999d", "999999999w"])
def test_an_age_that_is_none_is_refused_at_the_call(wrong: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["db", "prune", f"--older-than={wrong}", "--db", "memory://"])

    assert stopped.value.code == 2


# ---- Postgres


def secret(url: str) -> str:
    """The URL with a password, which the server of tests does not ask for."""
    from perdure.storage.postgres.place import place_of

    if "password=" in place_of(url).conninfo:
        pytest.skip("this server asks for a password")
    return f"{url}&password=s3cret"


def test_pruning_at_a_terminal(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (dry,) = told(capsys, "prune", "--keep", "1", "--older-than", "0s", "--dry-run", "--db", url)
    (gone,) = told(capsys, "prune", "--keep", "1", "--older-than", "0s", "--db", url)

    assert {**dry, "dry_run": False} == gone
    assert gone["checkpoints"] > 0
    assert gone["versions"] > 0
    assert said(capsys, "check", "--db", url) == "nothing is wrong\n"


def test_status_of_postgres_tells_the_server_and_how_it_is_reached(
    url_of: Callable[[str], str], postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    perdure.connect(postgres_url, encryption=KEY).close()

    (found,) = told(capsys, "status", "--db", postgres_url)

    assert (found["kind"], found["due"], found["schema"]) == ("postgres", [], len(migrations("postgres")))
    assert len(found["encrypted"]) == 16
    assert found["facts"]["schema name"] in found["url"]
    text = said(capsys, "status", "--db", filled(url_of("postgres")))
    for line in ("engine         PostgreSQL 1", "encrypted      no", "role           ", "TLS            no"):
        assert line in text


def test_a_database_without_tables_is_told_left_alone_and_filled_when_asked(
    postgres_url: str, postgres_admin: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    name = postgres_url.partition("schema=")[2]
    names = [f"{step.number:04}_{step.name}" for step in migrations("postgres")]

    def schemas() -> int:
        rows = postgres_admin.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,)).fetchall()
        return len(rows)

    assert f"lacks {names[0]}" in said(capsys, "status", "--db", postgres_url)
    assert said(capsys, "migrate", "--dry-run", "--db", postgres_url).splitlines() == [
        f"due: {name}" for name in names
    ]
    for command in ("stats", "check", "prune"):
        assert "no tables of Perdure's" in said(capsys, command, "--db", postgres_url, code=1)
    assert "no tables of Perdure's" in said(capsys, "copy", postgres_url, "memory://", code=1)
    assert schemas() == 0
    assert told(capsys, "migrate", "--db", postgres_url) == [{"before": 0, "steps": names, "dry_run": False}]
    assert schemas() == 1
    assert "nothing is due" in said(capsys, "migrate", "--db", postgres_url)


def test_a_newer_schema_is_refused_untouched(postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    perdure.connect(postgres_url).close()
    by_sql(postgres_url, "INSERT INTO perdure_migrations VALUES (999, x'00', 0)")

    for command in ("status", "migrate", "stats"):
        assert "newer Perdure" in said(capsys, command, "--db", postgres_url, code=1)


def test_postgres_is_not_saved_as_a_file_and_it_is_said_what_to_use(
    postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = postgres_url.partition("schema=")[2]
    text = said(capsys, "backup", tmp_path / "saved", "--db", secret(postgres_url), code=1)
    assert f"pg_dump --format=custom --schema={name}" in text
    assert "Nothing was done" in text
    assert not (tmp_path / "saved").exists()
    text += said(capsys, "restore", tmp_path / "saved", "--db", secret(postgres_url), code=1)
    assert "pg_restore" in text
    assert f"no schema '{name}'" in text
    assert "s3cret" not in text
    odd = postgres_url.replace(name, "It%27s")
    assert """--schema='"It'"'"'s"'""" in said(capsys, "backup", tmp_path / "saved", "--db", odd, code=1)


def test_no_password_is_ever_printed(
    url_of: Callable[[str], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, other = secret(filled(url_of("postgres"))), secret(url_of("postgres"))
    monkeypatch.setenv("A_KEY", KEY)
    printed = [
        said(capsys, *command, *more)
        for more in ((), ("--json",))
        for command in (
            ("status", "--db", url),
            ("status", "--db", other),
            ("stats", "--db", url),
            ("check", "--repair", "--db", url),
            ("prune", "--keep", "1", "--db", url),
            ("migrate", "--dry-run", "--db", other),
            ("migrate", "--db", url),
        )
    ]
    printed += [said(capsys, "copy", url, other), said(capsys, "copy", url, other, "--freeze", "--json")]
    nowhere = url.replace("postgresql://", "postgresql://nobody:s3cret@").replace("@postgres@", "@")
    for wrong in (
        f"{url}&prepare=maybe",
        f"{url}&no_such_option=1",
        f"{url}&host=127.0.0.1&port=1",
        "postgresql://somebody:s3cret@127.0.0.1:1/nowhere",
        nowhere,
        "host=127.0.0.1 password=s3cret",
    ):
        printed += [said(capsys, "status", "--db", wrong, code=1), said(capsys, "copy", wrong, other, code=1)]
    printed.append(said(capsys, "check", "--key-env", "A_KEY", "--db", url, code=1))
    printed.append(said(capsys, "copy", url, url, code=1))
    by_sql(url, "DELETE FROM perdure_segments WHERE place = (SELECT min(place) FROM perdure_segments)")
    printed.append(said(capsys, "check", "--db", url, code=1))

    assert "s3cret" not in "".join(printed)
