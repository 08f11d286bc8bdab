"""The shipped fault injection does what it says."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from perdure.errors import Unavailable
from perdure.storage.contract import Backend, Outcome, Revision
from perdure.storage.memory import MemoryBackend
from perdure.testing.backends import commit_of, put_of
from perdure.testing.faulty import Faulty, Killed, Moment
from storage import child


def items_in(db: Backend) -> int:
    with db.read() as now:
        return now.count("items")


@pytest.mark.parametrize("moment", Faulty.moments_of(3), ids=str)
def test_one_commit_fails_and_the_others_do_not(moment: Moment) -> None:
    memory = MemoryBackend()
    db = Faulty(memory, moment)
    failed: list[Unavailable] = []
    for n in range(3):
        try:
            db.commit(commit_of(items=[put_of(f"k{n}", b"v")]))
        except Unavailable as error:
            failed.append(error)

    assert [error.written for error in failed] == [False if moment.when == "before" else None]
    assert items_in(db) == (2 if moment.when == "before" else 3)
    assert (db.commits, db.fired) == (3, True)


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_works_after_a_death(when: str) -> None:
    memory = MemoryBackend()
    db = Faulty(memory, Moment("before" if when == "before" else "after", 1), "die")

    with pytest.raises(Killed):
        db.commit(commit_of(items=[put_of("k", b"v")]))
    with pytest.raises(Killed):
        db.commit(commit_of())
    with pytest.raises(Killed):
        db.read()

    assert items_in(memory) == (when == "after")


def test_members_of_groups_are_counted_one_by_one() -> None:
    db = Faulty(MemoryBackend(), Moment("before", 2))
    told: list[Outcome] = []

    outcomes = db.commit_group([commit_of(), commit_of(), commit_of()])
    db.commit_soon(commit_of(), told.append)

    assert [type(outcome).__name__ for outcome in outcomes] == ["Revision", "Unavailable", "Revision"]
    assert isinstance(told[0], Revision)
    assert db.commits == 4


@pytest.mark.parametrize(("when", "left"), [("before", 2), ("after", 3)])
def test_a_process_can_be_killed_at_a_commit(tmp_path: Path, when: str, left: int) -> None:
    path = tmp_path / "a.db"

    child.run(
        """
        from perdure.testing.faulty import Faulty, Moment
        db = Faulty(open_backend(sys.argv[1]), Moment(sys.argv[2], 3), "kill")
        for n in range(9): append(db, "t", n)
        """,
        path,
        when,
        code=-signal.SIGKILL,
    )

    assert child.count_in(path) == left
