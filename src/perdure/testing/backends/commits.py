"""Checks of one commit: all or nothing, its expectations, its revision."""

from __future__ import annotations

from perdure import clock
from perdure.errors import StaleThread, VersionConflict
from perdure.storage.contract import (
    CheckpointIs,
    HeadIs,
    ItemIs,
    Revision,
    RunRow,
    SegmentRow,
    StagedRow,
    ThreadIs,
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


def check_a_commit_is_all_or_nothing(make: Make) -> None:
    """An expectation that fails leaves no row of any kind."""
    with opened(make) as db:
        db.commit(commit_of(checkpoints=[checkpoint_of("t", "a")], items=[put_of("k", b"1")]))
        bad = commit_of(
            heads=[HeadIs("t", "", "x")],
            runs=[RunRow("t", "r", 1, b"m")],
            checkpoints=[checkpoint_of("t", "b")],
            segments=[SegmentRow("t", 1, 0, 1, 0, b"s")],
            writes=[write_of("t", "a", "task", 0, b"w")],
            staged=[StagedRow("t", "", "a", "task", 0, NOTES, "k", b"s")],
            items=[put_of("k", b"2"), put_of("k2", b"2")],
        )

        error = raised(StaleThread, lambda: db.commit(bad))

        assert (error.thread, error.namespace, error.expected, error.found) == ("t", "", "x", "a")
        with db.read() as now:
            assert now.committed(bad.id) is None
            assert now.head("t", "") == "a"
            for table, rows in (
                ("runs", 0),
                ("checkpoints", 1),
                ("segments", 0),
                ("writes", 0),
                ("staged", 0),
            ):
                assert now.count(table) == rows, table
            assert (now.count("items"), now.count("history")) == (1, 1)


def check_revisions_grow_and_commits_can_be_asked_for(make: Make) -> None:
    """Each commit has a greater revision than all before; an unknown id has none."""
    with opened(make) as db:
        with db.read() as empty:
            zero = empty.revision()
        commits = [commit_of(items=[put_of("k", b"%d" % n)]) for n in range(5)] + [commit_of()]

        revisions = [db.commit(commit) for commit in commits]

        assert zero.seq == 0
        assert [zero, *revisions] == sorted({zero, *revisions})
        assert [Revision.parse(str(revision)) for revision in revisions] == revisions
        with db.read() as now:
            assert now.revision() == revisions[-1]
            assert [now.committed(commit.id) for commit in commits] == revisions
            assert now.committed(clock.uuid6().bytes) is None


def check_heads_are_expected_chain_by_chain(make: Make) -> None:
    """A commit may expect several heads, None for a chain that has no checkpoint yet; the greatest id is the head."""
    with opened(make) as db:
        db.commit(commit_of(heads=[HeadIs("t", "", None)], checkpoints=[checkpoint_of("t", "b")]))
        db.commit(
            commit_of(heads=[HeadIs("t", "", "b")], checkpoints=[checkpoint_of("t", "a")])
        )  # not the head
        db.commit(
            commit_of(
                heads=[HeadIs("t", "", "b"), HeadIs("t", "n", None)],
                checkpoints=[checkpoint_of("t", "c", ns="n")],
            )
        )

        raised(
            StaleThread, lambda: db.commit(commit_of(heads=[HeadIs("t", "", "b"), HeadIs("t", "n", None)]))
        )
        raised(StaleThread, lambda: db.commit(commit_of(heads=[HeadIs("t", "", "a")])))
        raised(StaleThread, lambda: db.commit(commit_of(heads=[HeadIs("nobody", "", "a")])))
        db.commit(commit_of(heads=[HeadIs("nobody", "", None)]))
        with db.read() as now:
            assert now.heads("t") == [("", "b"), ("n", "c")]
            assert (now.head("t", "x"), now.head("nobody", ""), now.heads("nobody")) == (None, None, [])


def check_a_head_and_what_a_commit_rests_on_are_of_a_revision(make: Make) -> None:
    """A checkpoint put again under its id is another one; put with its revision, it is the same."""
    with opened(make) as db:
        first = db.commit(commit_of(checkpoints=[checkpoint_of("t", "a"), checkpoint_of("t", "b", "a")]))
        with db.read() as now:
            assert now.standing("t", "") == ("b", first)
            assert now.standing("t", "x") is None
        db.commit(commit_of(heads=[HeadIs("t", "", "b", first)], rests=[CheckpointIs("t", "", "a", first)]))
        same = checkpoint_of("t", "b", "a", state=b"rewritten")._replace(revision=first)
        db.commit(commit_of(rests=[ThreadIs("t", first)], checkpoints=[same]))
        db.commit(commit_of(heads=[HeadIs("t", "", "b", first)], rests=[CheckpointIs("t", "", "b")]))

        second = db.commit(commit_of(checkpoints=[checkpoint_of("t", "b", "a", state=b"another")]))

        assert second > first
        for wrong in (
            commit_of(heads=[HeadIs("t", "", "b", first)], checkpoints=[checkpoint_of("t", "no")]),
            commit_of(rests=[CheckpointIs("t", "", "b", first)], checkpoints=[checkpoint_of("t", "no")]),
            commit_of(rests=[CheckpointIs("t", "", "c")], checkpoints=[checkpoint_of("t", "no")]),
            commit_of(rests=[CheckpointIs("u", "", "a")], checkpoints=[checkpoint_of("t", "no")]),
            commit_of(rests=[ThreadIs("t", first)], checkpoints=[checkpoint_of("t", "no")]),
        ):
            raised(StaleThread, lambda wrong=wrong: db.commit(wrong))
        db.commit(commit_of(heads=[HeadIs("t", "", "b", second)], rests=[ThreadIs("u", first)]))
        with db.read() as now:
            assert now.standing("t", "") == ("b", second)
            assert now.checkpoint("t", "", "no") is None


def check_item_expectations_name_all_that_fail(make: Make) -> None:
    """Version or absence; the error lists every item that moved on."""
    with opened(make) as db:
        db.commit(
            commit_of(versions=[ItemIs(NOTES, "k", None)], items=[put_of("k", b"1"), put_of("m", b"1")])
        )
        with db.read() as now:
            first = now.item(NOTES, "k")
        assert first is not None
        db.commit(commit_of(versions=[ItemIs(NOTES, "k", first.version)], items=[put_of("k", b"2")]))

        wanted = [ItemIs(NOTES, "k", first.version), ItemIs(NOTES, "x", None), ItemIs(NOTES, "m", None)]
        error = raised(
            VersionConflict, lambda: db.commit(commit_of(versions=wanted, items=[put_of("x", b"!")]))
        )

        assert error.keys == ((NOTES, "k"), (NOTES, "m"))
        assert (error.namespace, error.key, error.expected) == (NOTES, "k", first.version)
        with db.read() as now:
            second = now.item(NOTES, "k")
            assert second is not None
            assert second.value == b"2"
            assert second.version > first.version
            assert error.found == second.version
            assert now.item(NOTES, "x") is None
        raised(VersionConflict, lambda: db.commit(commit_of(versions=[ItemIs(("no", "where"), "k", 1)])))
