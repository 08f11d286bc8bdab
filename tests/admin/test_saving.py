"""A backup is one moment of the database, whoever writes meanwhile; a restore is the old one or the new one, never half."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import perdure
from admin import processes
from admin.equal import assert_equal, memory_of
from admin.rooms import KEY, talk
from perdure import admin
from perdure.errors import PerdureError, SchemaTooNew, StorageError
from perdure.storage.sqlite import backups


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "a.db"
    with perdure.connect(url(made)) as db:
        talk(db)
    return made


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_a_backup_is_a_database_that_is_equal_to_the_one_that_was_saved(place: Path, tmp_path: Path) -> None:
    file, seen = tmp_path / "saved", list[tuple[int, int]]()
    with perdure.connect(url(place)) as db:
        size = admin.backup(url(place), file, progress=lambda done, total: seen.append((done, total)))
        with perdure.connect(url(file)) as saved:
            assert_equal(db, saved)

    assert size == file.stat().st_size
    assert seen[-1][0] == seen[-1][1] > 0
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]


def test_an_encrypted_database_is_encrypted_in_its_backup(tmp_path: Path) -> None:
    path, file = tmp_path / "a.db", tmp_path / "saved"
    with perdure.connect(url(path), encryption=KEY) as db:
        talk(db)
        admin.backup(url(path), file)
        assert b"likes tea" not in file.read_bytes()
        with pytest.raises(StorageError, match="is encrypted"):
            perdure.connect(url(file))
        with perdure.connect(url(file), encryption=KEY) as saved:
            assert_equal(db, saved)


def test_a_backup_while_another_process_writes_is_one_moment(
    place: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(backups, "PAGES", 2)  # many turns, each of which meets other commits
    with processes.writing(url(place)):
        for number in range(3):
            file = tmp_path / f"saved{number}"
            admin.backup(url(place), file)
            with perdure.connect(url(file)) as saved:
                assert admin.check(saved) == []
                with saved.backend.read() as now:  # a commit's memory and its checkpoint are there together
                    assert now.revision().seq > 0


def test_a_backup_is_of_the_moment_when_it_began(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "PAGES", 2)
    file = tmp_path / "saved"
    with perdure.connect(url(place)) as db:
        before, written = memory_of(db), list[int]()

        def write(done: int, total: int) -> None:
            if len(written) < 5:
                db.store.put(("late",), f"k{done}", {"text": "x" * 5000})
                written.append(done)

        admin.backup(url(place), file, progress=write)

    assert len(written) == 5
    assert written == sorted(set(written)), "it never began anew"
    with perdure.connect(url(file)) as saved:
        assert memory_of(saved) == before


def test_what_stands_there_is_replaced_only_by_force_and_never_by_half(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "saved"
    file.write_text("precious")
    with pytest.raises(StorageError, match="there already"):
        admin.backup(url(place), file)
    with pytest.raises(StorageError, match="is the database itself"):
        admin.backup(url(place), place, force=True)
    with pytest.raises(StorageError, match="directory"):
        admin.backup(url(place), tmp_path / "no" / "such")
    assert file.read_text() == "precious"

    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        admin.backup(url(place), file, force=True, progress=stop)
    assert file.read_text() == "precious"
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]

    admin.backup(url(place), file, force=True)
    with perdure.connect(url(place)) as db, perdure.connect(url(file)) as saved:
        assert memory_of(saved) == memory_of(db)


def test_a_restore_brings_back_what_was_saved_and_nothing_of_what_came_after(
    place: Path, tmp_path: Path
) -> None:
    file = tmp_path / "saved"
    admin.backup(url(place), file)
    with perdure.connect(url(place)) as db:
        db.store.put(("later",), "k", {"n": 1})
        talk(db, threads=2, begin=7)

    with pytest.raises(StorageError, match="there already"):
        admin.restore(file, url(place))
    admin.restore(file, url(place), force=True)

    with perdure.connect(url(place)) as db, perdure.connect(url(file)) as saved:
        assert_equal(saved, db)
        assert db.store.get(("later",), "k") is None
        assert admin.check(db) == []
        talk(db, threads=1, turns=1)
    admin.restore(file, url(tmp_path / "new.db"))
    with perdure.connect(url(tmp_path / "new.db")) as db, perdure.connect(url(file)) as saved:
        assert_equal(saved, db)


def test_a_database_that_is_open_here_or_elsewhere_is_not_replaced(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "saved"
    admin.backup(url(place), file)
    with (
        perdure.connect(url(place)) as db,
        pytest.raises(StorageError, match="open in this process"),
    ):
        admin.restore(file, url(place), force=True)
    with processes.writing(url(place)), pytest.raises(StorageError, match="in use by another program"):
        admin.restore(file, url(place), force=True)

    with perdure.connect(url(place)) as db:
        assert admin.check(db) == []
        assert len(db.threads()) > 3, "what the other process wrote is there"


def test_a_damaged_file_is_neither_saved_nor_restored(place: Path, tmp_path: Path) -> None:
    good, bad, text = tmp_path / "good", tmp_path / "bad", tmp_path / "text"
    admin.backup(url(place), good)
    shutil.copy(good, bad)
    with bad.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    text.write_text("no database at all, but long enough to be looked at" * 100)
    other = tmp_path / "other"
    sqlite3.connect(other).execute("CREATE TABLE own (x)").connection.close()
    newer = tmp_path / "newer"
    shutil.copy(good, newer)
    made = sqlite3.connect(newer)
    made.execute("INSERT INTO perdure_migrations VALUES (999, x'00', 0)")
    made.commit()
    made.close()
    before = place.read_bytes()

    for file, error, said in (
        (bad, StorageError, "damaged"),
        (text, StorageError, "not an SQLite database"),
        (other, StorageError, "no database of Perdure's"),
        (newer, SchemaTooNew, "newer Perdure"),
        (tmp_path / "never", StorageError, "no such file"),
    ):
        with pytest.raises(error, match=said):
            admin.restore(file, url(place), force=True)
    with pytest.raises(StorageError, match="damaged"):
        admin.backup(url(bad), tmp_path / "again")

    assert place.read_bytes() == before
    assert not (tmp_path / "again").exists()
    with pytest.raises(PerdureError, match="no file of SQLite"):
        admin.backup("memory://", tmp_path / "again")


def test_a_damaged_database_is_replaced_with_all_that_stood_beside_it(place: Path, tmp_path: Path) -> None:
    good = tmp_path / "good"
    admin.backup(url(place), good)
    place.write_bytes(b"rubbish" * 5000)
    Path(f"{place}-wal").write_bytes(b"old frames" * 1000)

    admin.restore(good, url(place), force=True)

    assert not Path(f"{place}-wal").exists(), "it would be read into the new one"
    with perdure.connect(url(place)) as db, perdure.connect(url(good)) as saved:
        assert_equal(saved, db)


def test_a_log_that_was_left_beside_a_lost_database_is_not_read_into_the_new_one(
    place: Path, tmp_path: Path
) -> None:
    good, log = tmp_path / "good", tmp_path / "log"
    admin.backup(url(place), good)
    with perdure.connect(url(place)) as db:
        db.store.put(("later",), "k", {"n": 1})
        shutil.copy(f"{place}-wal", log)
    place.unlink()
    shutil.copy(log, f"{place}-wal")

    admin.restore(good, url(place))

    assert not Path(f"{place}-wal").exists()
    with perdure.connect(url(place)) as db, perdure.connect(url(good)) as saved:
        assert_equal(saved, db)


@pytest.mark.parametrize("after", ["told", "before replace", "after replace"])
def test_a_restore_that_is_killed_leaves_the_old_one_or_the_new_one(
    place: Path, tmp_path: Path, after: str
) -> None:
    file = tmp_path / "saved"
    admin.backup(url(place), file)
    with perdure.connect(url(place)) as db:
        db.store.put(("later",), "k", {"n": 1})
    program = """
import os, signal, sys
from perdure import admin
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
after, replace = sys.argv[3], os.replace
def replaced(*arguments):
    if after == "before replace": die()
    replace(*arguments)
    if after == "after replace": die()
os.replace = replaced
admin.restore(sys.argv[1], sys.argv[2], force=True, progress=die if after == "told" else None)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(file), url(place), after], env=processes.ENVIRONMENT, timeout=60
    )
    assert done.returncode == -signal.SIGKILL

    with perdure.connect(url(place)) as db:
        assert admin.check(db) == []
        assert (db.store.get(("later",), "k") is None) == (after == "after replace")
        assert len(db.threads()) == 3
