"""Checks of what goes, and of what must stay when it does."""

from __future__ import annotations

from typing import Any

from perdure.errors import StorageError
from perdure.storage.contract import (
    HeadIs,
    Origin,
    RemoveCheckpoint,
    RemoveRun,
    RemoveThread,
    RunRow,
    SegmentRow,
    StagedRow,
)
from perdure.testing.backends.kit import (
    NOTES,
    Make,
    checkpoint_of,
    commit_of,
    opened,
    put_of,
    write_of,
)
from perdure.testing.raised import raised


def check_a_run_that_nobody_shows_can_be_removed(make: Make) -> None:
    """Only that one goes."""
    with opened(make) as db:
        runs = [RunRow("t", name, 1, b"metadata") for name in ("one", "two")]
        db.commit(commit_of(runs=runs, checkpoints=[checkpoint_of("t", "a", run="two")]))

        db.commit(commit_of(removals=[RemoveRun("t", "one"), RemoveRun("nobody", "two")]))

        with db.read() as now:
            assert now.run("t", "one") is None
            assert now.run("t", "two") is not None


def check_removing_a_thread_leaves_the_others(make: Make) -> None:
    """Everything of it goes but items it wrote; it can begin again."""
    with opened(make) as db:
        for thread in ("a", "b"):
            db.commit(
                commit_of(
                    runs=[RunRow(thread, "r", 1, b"")],
                    checkpoints=[checkpoint_of(thread, "1"), checkpoint_of(thread, "2", "1", ns="n")],
                    segments=[SegmentRow(thread, log, 0, 1, 0, b"s") for log in (1, 2)],
                    writes=[write_of(thread, "1", "task", 0, b"w")],
                    staged=[StagedRow(thread, "n", "2", "task", 0, NOTES, "k", b"s")],
                    items=[put_of(thread, b"v", origin=Origin(thread, "1", "node", "actor"))],
                )
            )
        db.commit(commit_of(removals=[RemoveThread("a"), RemoveThread("nobody")]))

        with db.read() as now:
            tables = ("checkpoints", "segments", "writes", "staged", "runs", "items")
            assert [now.count(table) for table in tables] == [2, 2, 1, 1, 1, 2]
            assert (now.threads(None, 9), now.heads("a"), now.logs("a")) == (["b"], [], [])
            item = now.item(NOTES, "a")
            assert item is not None
            assert item.origin == Origin("a", "1", "node", "actor")
        db.commit(
            commit_of(
                heads=[HeadIs("a", "", None)],
                checkpoints=[checkpoint_of("a", "0")],
                segments=[SegmentRow("a", 1, 0, 1, 0, b"new")],
            )
        )
        with db.read() as now:
            assert [row.payload for row in now.segments("a", 1, 9)] == [b"new"]
            assert [row.payload for row in now.segments("b", 1, 9)] == [b"s"]


def check_removing_a_checkpoint_takes_its_writes(make: Make) -> None:
    """Row, pending writes and staged memory go; the head is the greatest that is left."""
    with opened(make) as db:
        rows = [checkpoint_of("t", "1"), checkpoint_of("t", "2", "1")]
        db.commit(
            commit_of(
                checkpoints=rows,
                writes=[write_of("t", id, "task", index, b"") for id in "12" for index in (0, -1)],
                staged=[StagedRow("t", "", id, "task", 0, NOTES, "k", b"") for id in "12"],
            )
        )
        db.commit(commit_of(removals=[RemoveCheckpoint("t", "", "2"), RemoveCheckpoint("t", "", "9")]))

        with db.read() as now:
            assert now.head("t", "") == "1"
            assert [now.count(table) for table in ("checkpoints", "writes", "staged")] == [1, 2, 1]
        db.commit(commit_of(heads=[HeadIs("t", "", "1")], removals=[RemoveCheckpoint("t", "", "1")]))
        with db.read() as now:
            assert (now.head("t", ""), now.heads("t"), now.threads(None, 9)) == (None, [], [])


def check_an_unknown_removal_is_refused(make: Make) -> None:
    """A kind of change that a backend does not know is an error, never silence."""
    with opened(make) as db:
        strange: Any = ("something", "else")
        raised(StorageError, lambda: db.commit(commit_of(removals=[strange], items=[put_of("k", b"1")])))

        with db.read() as now:
            assert now.revision().seq == 0
