"""Checks of many commits at once: groups, `commit_soon`, an event loop that leads."""

from __future__ import annotations

import threading

from perdure.storage.contract import (
    GroupBackend,
    HeadIs,
    ItemIs,
    Outcome,
    RemoveThread,
    RemoveWrites,
    Revision,
    SegmentRow,
)
from perdure.testing.backends.kit import NOTES, Make, checkpoint_of, commit_of, opened, put_of, write_of


def check_a_group_is_as_its_members_one_by_one(make: Make) -> None:
    """Members see earlier ones; one that fails leaves its neighbours alone."""
    with opened(make) as db:
        outcomes = db.commit_group(
            [
                commit_of(heads=[HeadIs("t", "", None)], checkpoints=[checkpoint_of("t", "a")]),
                commit_of(heads=[HeadIs("t", "", None)], checkpoints=[checkpoint_of("t", "lost")]),
                commit_of(heads=[HeadIs("t", "", "a")], checkpoints=[checkpoint_of("t", "b", "a")]),
                commit_of(versions=[ItemIs(NOTES, "k", None)], items=[put_of("k", b"1")]),
                commit_of(versions=[ItemIs(NOTES, "k", None)], items=[put_of("k", b"2")]),
                commit_of(segments=[SegmentRow("t", 1, 0, 1, 0, b"first")]),
                commit_of(segments=[SegmentRow("t", 1, 0, 1, 0, b"again")], items=[put_of("x", b"lost")]),
                commit_of(writes=[write_of("t", "b", "task", 0, b"w")]),
                commit_of(removals=[RemoveWrites("t", "", "b")], items=[put_of("k", None)]),
                commit_of(removals=[RemoveThread("t")]),
                commit_of(heads=[HeadIs("t", "", None)], checkpoints=[checkpoint_of("t", "c")]),
                commit_of(heads=[HeadIs("t", "", "c")], items=[put_of("k", b"3")]),
            ]
        )

        kinds = [type(outcome).__name__ for outcome in outcomes]
        good, stale, conflict, refused = "Revision", "StaleThread", "VersionConflict", "StorageError"
        assert kinds == [good, stale, good, good, conflict, good, refused, good, good, good, good, good]
        revisions = [outcome for outcome in outcomes if isinstance(outcome, Revision)]
        assert revisions == sorted(set(revisions))
        with db.read() as now:
            assert now.heads("t") == [("", "c")]
            assert (now.count("checkpoints"), now.count("segments"), now.count("writes")) == (1, 0, 0)
            item = now.item(NOTES, "k")
            assert item is not None
            assert item.value == b"3"
            assert now.item(NOTES, "x") is None
            assert [row.value for row in now.changes(None, 10)] == [b"1", None, b"3"]
        assert db.commit_group([]) == []


def check_commit_soon_tells_once(make: Make) -> None:
    """`done` is called once a commit, with a revision or an error; it may commit itself."""
    with opened(make) as db:
        told: list[Outcome] = []
        all_told = threading.Event()

        def done(outcome: Outcome) -> None:
            told.append(outcome)
            if len(told) == 5:
                db.commit(commit_of(items=[put_of("from done", b"1")]))
                all_told.set()

        for n in range(4):
            db.commit_soon(commit_of(items=[put_of(f"k{n}", b"1")]), done)
        db.commit_soon(commit_of(heads=[HeadIs("t", "", "x")]), done)

        assert all_told.wait(30)
        assert sorted(type(outcome).__name__ for outcome in told) == ["Revision"] * 4 + ["StaleThread"]
        with db.read() as now:
            assert now.count("items") == 5


def check_an_event_loop_can_lead(make: Make) -> None:
    """What was enqueued is committed by `lead_now`, here or elsewhere, in one go."""
    with opened(make) as db:
        if not isinstance(db, GroupBackend):
            return
        told: list[Outcome] = []
        all_told = threading.Event()

        def done(outcome: Outcome) -> None:
            told.append(outcome)
            if len(told) == 3:
                all_told.set()

        assert db.lead_now()
        for n in range(3):
            db.enqueue(commit_of(items=[put_of(f"k{n}", b"1")]), done)
        here = db.lead_now()

        assert not here or len(told) == 3
        assert all_told.wait(30)
        with db.read() as now:
            assert now.count("items") == 3
