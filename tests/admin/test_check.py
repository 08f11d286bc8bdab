"""What `check` finds: damage that was planted, by what it does to readers; and what it leaves alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

import perdure
from admin.rooms import KEY, by_sql, talk
from databases import ALL_KINDS, POSTGRES, QUICK
from perdure import admin
from perdure.admin import threads_check as known
from perdure.checkpoint.base import empty_checkpoint
from perdure.checkpoint.serde.jsonplus import JsonPlusSerializer
from perdure.checkpoint.sqlite import SqliteSaver
from perdure.storage.contract import SegmentRow, StagedRow, WriteRow, commit_now
from perdure.testing.backends import checkpoint_of


def found(db: perdure.Database, **options: Any) -> dict[str, tuple[int, bool]]:
    return {one.what: (one.count, one.wrong) for one in admin.check(db, **options)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{made}") as db:
        talk(db)
    return made


@pytest.mark.parametrize("url", ALL_KINDS, indirect=True)
@pytest.mark.parametrize("key", [None, KEY])
def test_nothing_is_wrong_with_what_graphs_have_written(url: str, key: str | None) -> None:
    with perdure.connect(url, encryption=key) as db:
        assert admin.check(db) == []
        talk(db, threads=2, turns=40)
        db.checkpointer.prune(["t0"])
        db.checkpointer.copy_thread("t1", "copy")
        seen: list[int] = []

        assert admin.check(db, progress=seen.append) == []

        assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "DELETE FROM perdure_checkpoints WHERE chain = 1 AND whole = 1",
            known.LOST_PARENTS,
        ),
        (
            "UPDATE perdure_checkpoints SET state = x'93' WHERE (chain, id) = (SELECT chain, id FROM perdure_checkpoints"
            " WHERE chain = 1 ORDER BY id DESC LIMIT 1)",
            known.WRONG_ROWS,
        ),
        (
            "DELETE FROM perdure_segments WHERE place = (SELECT min(place) FROM perdure_segments)",
            known.LOST_LOGS,
        ),
        (
            "UPDATE perdure_segments SET payload = x'10c1' WHERE place = (SELECT max(place) FROM perdure_segments)",
            known.WRONG_VALUES,
        ),
        ("UPDATE perdure_writes SET payload = x'10c1'", known.WRONG_VALUES),
        ("UPDATE perdure_staged SET payload = x'99'", known.WRONG_VALUES),
    ],
    ids=["parent", "row", "segment", "bytes", "writes", "staged"],
)
@pytest.mark.parametrize("url", ["sqlite", POSTGRES], indirect=True)
def test_planted_damage_is_found_and_told_with_what_mends_it(url: str, statement: str, what: str) -> None:
    with perdure.connect(url) as db:
        talk(db)
    by_sql(url, statement)

    with perdure.connect(url) as db:
        told = admin.check(db)

    (one,) = [one for one in told if one.what == what]
    assert one.wrong
    assert one.part == "threads"
    assert "restore" in one.mend
    assert one.example.startswith("thread 't")


def test_damage_of_sqlites_own_is_told_in_its_words(path: Path) -> None:
    made = sqlite3.connect(path)
    ((page,),) = made.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'perdure_items_by_version'")
    ((size,),) = made.execute("PRAGMA page_size")
    made.close()
    with path.open("r+b") as file:  # nobody has it open
        file.seek((page - 1) * size)
        file.write(bytes([10, 0, 0, 0, 0, 16, 0, 0]))  # an index without entries

    with perdure.connect(f"sqlite:///{path}") as db:
        said = [one for one in admin.check(db) if one.part == "database"]
        assert "perdure_items_by_version" in said[0].example
        assert [one for one in admin.check(db, quick=True) if one.part == "database"] == []
        admin.check(db, repair=True)
        assert admin.check(db) == []


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_what_belongs_to_no_checkpoint_is_left_over_and_deleted_by_repair(url: str) -> None:
    with perdure.connect(url) as db:
        talk(db, threads=1)
        db.backend.commit(
            commit_now(
                writes=[WriteRow("t0", "", "lost", "task", index, "", "c", b"\x10\xc0") for index in (0, -1)],
                staged=[StagedRow("other", "ns", "lost", "task", 0, ("a",), "k", b"\x10\xc0")],
            )
        )

        assert found(db) == {
            "checkpoints that are not there and have pending writes or staged memory": (2, False)
        }

        admin.check(db, repair=True)
        assert found(db) == {}


@pytest.mark.parametrize("url", QUICK, indirect=True)
def test_a_log_that_no_checkpoint_reaches_is_deleted_by_repair_and_threads_stay_what_they_are(
    url: str,
) -> None:
    with perdure.connect(url) as db:
        talk(db, threads=2)
        before = [one.checkpoint for one in db.checkpointer.list(None)]
        db.backend.commit(commit_now(segments=[SegmentRow("t0", 77, 0, 1, 1, b"\x10\x91\x01")]))
        assert found(db) == {known.UNREACHED: (1, False)}

        admin.check(db, repair=True)

        assert found(db) == {}
        assert [one.checkpoint for one in db.checkpointer.list(None)] == before


def test_what_a_serializer_of_ones_own_has_written_is_not_taken_for_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}") as db:
        connection = sqlite3.connect(path, check_same_thread=False)
        saver = SqliteSaver(connection, serde=JsonPlusSerializer())
        config: Any = {"configurable": {"thread_id": "own", "checkpoint_ns": ""}}
        checkpoint: Any = {**empty_checkpoint(), "channel_values": {"a": [1]}, "channel_versions": {"a": 1}}
        saver.put(config, checkpoint, {}, {"a": 1})

        (one,) = admin.check(db)

        assert (one.what, one.wrong) == (known.FOREIGN_VALUES, False)
        saver.close()
        connection.close()


def test_a_pruned_parent_is_no_damage() -> None:
    with perdure.connect("memory://") as db:
        rows = [checkpoint_of("t", "2", "1", state=b"\x94\xc0\x80\x80\x90")]
        db.backend.commit(commit_now(checkpoints=rows))

        assert admin.check(db) == []
