"""Checks of what belongs to an unfinished step or to a run: pending writes, staged memory, run rows."""

from __future__ import annotations

from perdure.storage.contract import RemoveResult, RemoveStaged, RemoveWrites, RunRow, StagedRow
from perdure.testing import hostile
from perdure.testing.backends.kit import NOTES, Make, commit_of, opened, put_of, write_of


def check_pending_writes_keep_the_first_or_the_last(make: Make) -> None:
    """The first stands where `index >= 0`, the last where it is negative; ordered by (path, task, index)."""
    with opened(make) as db:
        db.commit(
            commit_of(
                writes=[
                    write_of("t", "c", "task", 0, b"first"),
                    write_of("t", "c", "task", 0, b"second"),
                    write_of("t", "c", "task", -1, b"first"),
                ]
            )
        )
        db.commit(
            commit_of(
                writes=[
                    write_of("t", "c", "task", 0, b"third"),
                    write_of("t", "c", "task", -1, b"last", path="q"),
                    write_of("t", "c", "0 other", 5, b"other", path="q"),
                    write_of("t", "c", hostile.UUIDS[0], 5, b"nil"),
                    write_of("t", "c", hostile.UUIDS[2], 5, b"uuid"),
                ]
            )
        )

        with db.read() as now:
            rows = now.writes("t", "", "c")
            assert [row.payload for row in rows] == [b"nil", b"uuid", b"first", b"other", b"last"]
            assert [row.path for row in rows] == ["p", "p", "p", "q", "q"]
        db.commit(
            commit_of(
                removals=[RemoveWrites("t", "", "c"), RemoveWrites("t", "", "x"), RemoveWrites("x", "", "")]
            )
        )
        with db.read() as now:
            assert [row.payload for row in now.writes("t", "", "c")] == [b"last"]


def check_pending_writes_of_many_checkpoints_come_at_once(make: Make) -> None:
    """As `writes` gives them, checkpoint by checkpoint; those that have none, or are not there, are left out."""
    with opened(make) as db:
        places = [
            (thread, ns, id) for thread in ("t", "u\ue000") for ns in ("", "n\ud800") for id in hostile.UUIDS
        ]
        with_writes = places[::2]
        for number, (thread, ns, id) in enumerate(with_writes):
            some = [write_of(thread, id, f"task {n % 3}", n, b"%d %d" % (number, n), ns) for n in (5, 2, -1)]
            db.commit(commit_of(writes=some))

        with db.read() as now:
            assert now.writes_of([]) == {}
            assert now.writes_of([("nobody", "", "x"), ("t", "other", hostile.UUIDS[0])]) == {}
            found = now.writes_of([*places, ("nobody", "", "x"), places[0]])
            assert found == {place: now.writes(*place) for place in with_writes}
            assert [len(rows) for rows in found.values()] == [3] * len(with_writes)
            assert (
                now.writes_of([(place[0], place[1], f"{n}") for n in range(700) for place in places[:1]])
                == {}
            )


def check_staged_memory_waits(make: Make) -> None:
    """The first stands; ordered by (task, index); no item is seen before the commit that carries it."""
    with opened(make) as db:
        rows = [
            StagedRow("t", "", "c", task, index, NOTES, f"k{index}", b"v")
            for task, index in (("b", 1), ("b", 0), ("a", 3))
        ]
        db.commit(commit_of(staged=rows))
        db.commit(commit_of(staged=[rows[0]._replace(payload=b"late")]))

        with db.read() as now:
            assert now.staged("t", "", "c") == [rows[2], rows[1], rows[0]]
            assert now.item(NOTES, "k0") is None
        db.commit(commit_of(removals=[RemoveStaged("t", "", "c")], items=[put_of("k0", b"v")]))
        with db.read() as now:
            assert now.staged("t", "", "c") == []
            assert now.count("items") == 1


def check_the_result_of_one_task_is_replaced(make: Make) -> None:
    """It goes with its staged memory, and the same commit may bring another; what it asked stays, as do all other tasks."""
    with opened(make) as db:
        staged = [StagedRow("t", "", id, task, 0, NOTES, "k", b"v") for id in "cd" for task in ("a", "b")]
        first = [
            write_of("t", id, task, n, b"first") for id in "cd" for task in ("a", "b") for n in (0, 1, -3)
        ]
        db.commit(commit_of(writes=first, staged=staged))
        gone = [
            RemoveResult("t", "", "c", "a"),
            RemoveResult("t", "", "x", "a"),
            RemoveResult("x", "", "c", "a"),
        ]

        anew = staged[0]._replace(payload=b"anew")
        db.commit(commit_of(removals=gone, writes=[write_of("t", "c", "a", 0, b"anew")], staged=[anew]))

        with db.read() as now:
            rows = {(row.task, row.index): row.payload for row in now.writes("t", "", "c")}
            assert rows == {
                ("a", -3): b"first",
                ("a", 0): b"anew",
                ("b", -3): b"first",
                ("b", 0): b"first",
                ("b", 1): b"first",
            }
            assert now.staged("t", "", "c") == [anew, staged[1]]
            assert len(now.writes("t", "", "d")) == 6
            assert now.staged("t", "", "d") == staged[2:]
        db.commit(commit_of(removals=[RemoveResult("t", "", "c", "a")]))
        with db.read() as now:
            assert [(row.task, row.index) for row in now.writes("t", "", "c")] == [
                ("a", -3),
                ("b", -3),
                ("b", 0),
                ("b", 1),
            ]
            assert now.staged("t", "", "c") == [staged[1]]


def check_a_run_is_written_once(make: Make) -> None:
    """The first row of a run stands."""
    with opened(make) as db:
        db.commit(commit_of(runs=[RunRow("t", "r", 1, b"first"), RunRow("u", "r", 2, b"another's")]))
        db.commit(commit_of(runs=[RunRow("t", "r", 3, b"second")]))

        with db.read() as now:
            assert now.run("t", "r") == RunRow("t", "r", 1, b"first")
            assert now.run("t", "x") is now.run("x", "r") is None
            assert now.count("runs") == 2
