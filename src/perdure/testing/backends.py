"""What every backend has to do, as functions `check_*` that raise AssertionError.

Each takes a function that makes a fresh, empty backend. With pytest:

    @pytest.mark.parametrize("check", backends.CHECKS, ids=lambda check: check.__name__)
    def test_my_backend_conforms(check):
        check(MyBackend)

Here: the promises of `perdure.storage.contract`. Not here: durability, other processes (they need files, and kills).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise
from typing import Any, Final, TypeAlias, TypeVar

from perdure import clock
from perdure.errors import Conflict, StaleThread, StorageError, VersionConflict
from perdure.storage.contract import (
    Backend,
    CheckpointIs,
    CheckpointRow,
    Commit,
    GroupBackend,
    HeadIs,
    ItemIs,
    Namespace,
    Origin,
    Outcome,
    PruneHistory,
    PutItem,
    RemoveCheckpoint,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    Revision,
    RunRow,
    SegmentRow,
    StagedRow,
    ThreadIs,
    WriteRow,
)
from perdure.testing import hostile

__all__ = ["CHECKS", "Make"]

Make: TypeAlias = Callable[[], Backend]
E = TypeVar("E", bound=BaseException)

NOTES: Final = ("users", "ada", "notes")
_moments = count(1_700_000_000_000_000)


def commit_of(at: int | None = None, **rows: Any) -> Commit:
    """A commit with a fresh id, at the next microsecond."""
    return Commit(clock.uuid6().bytes, next(_moments) if at is None else at, **rows)


def checkpoint_of(
    thread: str,
    id: str,
    parent: str | None = None,
    *,
    ns: str = "",
    parent_ns: str | None = None,
    step: int = 0,
    source: str = "loop",
    at: int = 5,
    run: str | None = None,
    whole: bool = True,
    state: bytes = b"state",
    metadata: bytes | None = None,
) -> CheckpointRow:
    """A checkpoint whose parent is in the same namespace, unless `parent_ns` says otherwise."""
    above = None if parent is None else ns if parent_ns is None else parent_ns
    return CheckpointRow(thread, ns, id, above, parent, step, source, at, run, whole, state, metadata)


def write_of(
    thread: str, id: str, task: str, index: int, payload: bytes, ns: str = "", path: str = "p"
) -> WriteRow:
    """A pending write."""
    return WriteRow(thread, ns, id, task, index, path, "channel", payload)


def put_of(
    key: str, value: bytes | None, namespace: Namespace = NOTES, origin: Origin | None = None
) -> PutItem:
    """A new version of an item."""
    return PutItem(namespace, key, value, origin or Origin())


@contextmanager
def _opened(make: Make) -> Generator[Backend]:
    backend = make()
    try:
        yield backend
    finally:
        backend.close()


def _raised(kind: type[E], act: Callable[[], object]) -> E:
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def _without_revision(row: CheckpointRow | None) -> CheckpointRow | None:
    return None if row is None else row._replace(revision=None)


# ---- commits


def check_a_commit_is_all_or_nothing(make: Make) -> None:
    """An expectation that fails leaves no row of any kind."""
    with _opened(make) as db:
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

        error = _raised(StaleThread, lambda: db.commit(bad))

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
    with _opened(make) as db:
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
    with _opened(make) as db:
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

        _raised(
            StaleThread, lambda: db.commit(commit_of(heads=[HeadIs("t", "", "b"), HeadIs("t", "n", None)]))
        )
        _raised(StaleThread, lambda: db.commit(commit_of(heads=[HeadIs("t", "", "a")])))
        _raised(StaleThread, lambda: db.commit(commit_of(heads=[HeadIs("nobody", "", "a")])))
        db.commit(commit_of(heads=[HeadIs("nobody", "", None)]))
        with db.read() as now:
            assert now.heads("t") == [("", "b"), ("n", "c")]
            assert (now.head("t", "x"), now.head("nobody", ""), now.heads("nobody")) == (None, None, [])


def check_a_head_and_what_a_commit_rests_on_are_of_a_revision(make: Make) -> None:
    """A checkpoint put again under its id is another one; put with its revision, it is the same."""
    with _opened(make) as db:
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
            _raised(StaleThread, lambda wrong=wrong: db.commit(wrong))
        db.commit(commit_of(heads=[HeadIs("t", "", "b", second)], rests=[ThreadIs("u", first)]))
        with db.read() as now:
            assert now.standing("t", "") == ("b", second)
            assert now.checkpoint("t", "", "no") is None


def check_a_run_that_nobody_shows_can_be_removed(make: Make) -> None:
    """Only that one goes."""
    with _opened(make) as db:
        runs = [RunRow("t", name, 1, b"metadata") for name in ("one", "two")]
        db.commit(commit_of(runs=runs, checkpoints=[checkpoint_of("t", "a", run="two")]))

        db.commit(commit_of(removals=[RemoveRun("t", "one"), RemoveRun("nobody", "two")]))

        with db.read() as now:
            assert now.run("t", "one") is None
            assert now.run("t", "two") is not None


def check_item_expectations_name_all_that_fail(make: Make) -> None:
    """Version or absence; the error lists every item that moved on."""
    with _opened(make) as db:
        db.commit(
            commit_of(versions=[ItemIs(NOTES, "k", None)], items=[put_of("k", b"1"), put_of("m", b"1")])
        )
        with db.read() as now:
            first = now.item(NOTES, "k")
        assert first is not None
        db.commit(commit_of(versions=[ItemIs(NOTES, "k", first.version)], items=[put_of("k", b"2")]))

        wanted = [ItemIs(NOTES, "k", first.version), ItemIs(NOTES, "x", None), ItemIs(NOTES, "m", None)]
        error = _raised(
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
        _raised(VersionConflict, lambda: db.commit(commit_of(versions=[ItemIs(("no", "where"), "k", 1)])))


def check_a_group_is_as_its_members_one_by_one(make: Make) -> None:
    """Members see earlier ones; one that fails leaves its neighbours alone."""
    with _opened(make) as db:
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
    with _opened(make) as db:
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
    with _opened(make) as db:
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


# ---- threads


def check_rows_of_threads_come_back_equal(make: Make) -> None:
    """Whatever text and bytes, in every column."""
    with _opened(make) as db:
        for n, text in enumerate(hostile.STRINGS):
            payload = hostile.PAYLOADS[n % len(hostile.PAYLOADS)]
            thread = hostile.THREAD_IDS[n % len(hostile.THREAD_IDS)]
            at = hostile.INTEGERS[n % len(hostile.INTEGERS)]
            row = CheckpointRow(
                thread, text, text, text + "?", text, -1, text, at, text, n % 2 == 0, payload, payload or None
            )
            run = RunRow(thread, text, at, payload)
            write = WriteRow(thread, text, text, text, n, text, text, payload)
            staged = StagedRow(thread, text, text, text, n, (text, "x"), text, payload)
            db.commit(commit_of(runs=[run], checkpoints=[row], writes=[write], staged=[staged]))

            with db.read() as now:
                assert _without_revision(now.checkpoint(thread, text, text)) == row
                assert now.run(thread, text) == run
                assert now.writes(thread, text, text) == [write]
                assert now.staged(thread, text, text) == [staged]
                assert now.head(thread, text) == text


def check_ids_order_as_texts(make: Make) -> None:
    """UUIDs and other ids in one chain: listing, head and neighbours follow the order of `str`."""
    with _opened(make) as db:
        ids = sorted(set(hostile.IDS))
        db.commit(commit_of(checkpoints=[checkpoint_of("t", id) for id in reversed(ids)]))

        with db.read() as now:
            assert [row.id for row in now.checkpoints("t", "", None, None)] == ids[::-1]
            assert now.head("t", "") == ids[-1]
            for lower, higher in pairwise(ids):
                row = now.following("t", "", lower)
                assert row is not None
                assert row.id == higher
            assert now.following("t", "", ids[-1]) is None
            middle = ids[len(ids) // 2]
            assert [row.id for row in now.checkpoints("t", "", middle, 3)] == ids[::-1][
                len(ids) - len(ids) // 2 :
            ][:3]


def check_listings_are_newest_first(make: Make) -> None:
    """By id over chains and threads, ties by thread and namespace; `before` is exclusive, `limit` cuts."""
    with _opened(make) as db:
        rows = [
            checkpoint_of(thread, id, ns=ns)
            for thread, ns, ids in (("a", "", "1357"), ("a", "n", "234"), ("b", "", "46"), ("b", "n", "1"))
            for id in ids
        ]
        db.commit(commit_of(checkpoints=rows))

        def listed(*question: Any) -> list[tuple[str, str, str]]:
            with db.read() as now:
                return [(row.id, row.thread, row.ns) for row in now.checkpoints(*question)]

        everything = sorted(((r.id, r.thread, r.ns) for r in rows), key=lambda r: (r[1], r[2]))
        everything.sort(key=lambda r: r[0], reverse=True)
        assert listed(None, None, None, None) == everything
        assert listed(None, None, None, 4) == everything[:4]
        assert listed(None, None, "4", None) == [r for r in everything if r[0] < "4"]
        assert listed("a", None, None, None) == [r for r in everything if r[1] == "a"]
        assert listed("a", None, "4", 2) == [r for r in everything if r[1] == "a" and r[0] < "4"][:2]
        assert listed("a", "", None, None) == [(id, "a", "") for id in "7531"]
        assert listed("a", "", "5", 1) == [("3", "a", "")]
        assert listed(None, "n", None, 3) == [r for r in everything if r[2] == "n"][:3]
        assert listed("nobody", None, None, None) == listed("a", "nowhere", None, None) == []
        assert listed("a", "", "1", 10) == listed("a", "", None, 0) == []


def check_threads_are_paged(make: Make) -> None:
    """In byte order of their UTF-8; one without a checkpoint is not listed."""
    with _opened(make) as db:
        names = sorted(hostile.THREAD_IDS, key=lambda name: name.encode())
        db.commit(commit_of(checkpoints=[checkpoint_of(name, "1") for name in reversed(names)]))
        db.commit(
            commit_of(
                runs=[RunRow("no checkpoint", "r", 1, b"")], writes=[write_of("nor this", "1", "t", 0, b"")]
            )
        )

        with db.read() as now:
            assert now.threads(None, 100) == names
            assert now.threads(None, 2) == names[:2]
            assert now.threads(names[2], 3) == names[3:6]
            assert now.threads(names[-1], 3) == []


def check_lineage_ends_at_the_first_whole_one(make: Make) -> None:
    """Newest first; an ancestor that is needed and missing is an error, one that is not needed is none."""
    with _opened(make) as db:
        db.commit(
            commit_of(
                checkpoints=[
                    checkpoint_of("t", "1", "gone"),
                    checkpoint_of("t", "2", "1", whole=False),
                    checkpoint_of("t", "3", "2", whole=False),
                    checkpoint_of("t", "4", "2", whole=False),  # a branch
                    checkpoint_of("t", "5", "gone", whole=False),
                ]
            )
        )

        with db.read() as now:
            assert [row.id for row in now.lineage("t", "", "3")] == ["3", "2", "1"]
            assert [row.id for row in now.lineage("t", "", "4")] == ["4", "2", "1"]
            assert [row.id for row in now.lineage("t", "", "1")] == ["1"]
            assert now.lineage("t", "", "9") == now.lineage("t", "x", "1") == now.lineage("x", "", "1") == []
            assert "gone" in str(_raised(StorageError, lambda: now.lineage("t", "", "5")))


def check_parents_stay_whatever_comes_between(make: Make) -> None:
    """Inserting, replacing and removing neighbours changes no other row's parent."""
    with _opened(make) as db:
        rows = {
            id: checkpoint_of("t", id, parent)
            for id, parent in (("b", None), ("d", "b"), ("f", "d"), ("h", "f"))
        }
        for row in rows.values():
            db.commit(commit_of(checkpoints=[row]))
        later = [
            checkpoint_of("t", "e", "b"),
            checkpoint_of("t", "a", None),
            checkpoint_of("t", "d", "b", step=9),
            checkpoint_of("t", "g", "f", parent_ns="other"),
            checkpoint_of("t", "h", "f", state=b"again"),
            checkpoint_of("t", "i", "h", parent_ns=""),
        ]
        for row in later:
            db.commit(commit_of(checkpoints=[row]))
            rows[row.id] = row
        for id in ("d", "f", "b"):
            db.commit(commit_of(removals=[RemoveCheckpoint("t", "", id)]))
            del rows[id]

            with db.read() as now:
                found = {row.id: _without_revision(row) for row in now.checkpoints("t", "", None, None)}
                assert found == rows


def check_a_checkpoint_is_replaced_with_its_revision(make: Make) -> None:
    """The same (thread, ns, id) again: the last stands, at the revision of its commit."""
    with _opened(make) as db:
        first = db.commit(commit_of(checkpoints=[checkpoint_of("t", "a"), checkpoint_of("t", "b", "a")]))
        second = db.commit(commit_of(checkpoints=[checkpoint_of("t", "a", state=b"other")]))

        with db.read() as now:
            a, b = now.checkpoint("t", "", "a"), now.checkpoint("t", "", "b")
            assert a is not None
            assert b is not None
            assert (a.state, a.revision, b.revision) == (b"other", second, first)


def check_segments_are_a_range(make: Make) -> None:
    """In order of `start`, below a position; a taken place is an error that writes nothing."""
    with _opened(make) as db:
        log = (1 << 63) - 1
        rows = [SegmentRow("t", log, start, 2, start % 3, b"%d" % start) for start in (0, 2, 4, 1 << 20)]
        other = SegmentRow("u", log, 0, 1, 0, b"another thread's")
        db.commit(commit_of(segments=[rows[2], rows[0], other]))
        db.commit(commit_of(segments=[rows[3], rows[1], SegmentRow("t", 5, 7, 3, 0, b"")]))

        error = _raised(
            StorageError,
            lambda: db.commit(
                commit_of(segments=[SegmentRow("t", log, 6, 1, 0, b""), rows[1]], items=[put_of("k", b"")])
            ),
        )

        assert not isinstance(error, Conflict)
        with db.read() as now:
            assert now.segments("t", log, 1 << 40) == rows
            assert now.segments("t", log, 4) == rows[:2]
            assert now.segments("t", log, 0) == now.segments("t", 6, 9) == now.segments("x", log, 9) == []
            assert now.segments("u", log, 9) == [other]
            assert now.logs("t") == [(5, 10), (log, (1 << 20) + 2)]
            assert now.logs("x") == []
            assert now.count("items") == 0


def check_segments_can_be_sealed_in_one_commit(make: Make) -> None:
    """Removals come before rows: what is removed can be written anew."""
    with _opened(make) as db:
        db.commit(commit_of(segments=[SegmentRow("t", 1, n, 1, 1, b"%d" % n) for n in range(4)]))
        db.commit(
            commit_of(removals=[RemoveSegments("t", 1, 1)], segments=[SegmentRow("t", 1, 1, 3, 1, b"1 2 3")])
        )

        with db.read() as now:
            assert [(row.start, row.count) for row in now.segments("t", 1, 99)] == [(0, 1), (1, 3)]
        db.commit(
            commit_of(removals=[RemoveSegments("t", 1), RemoveSegments("t", 8), RemoveSegments("x", 1)])
        )
        with db.read() as now:
            assert (now.logs("t"), now.count("segments")) == ([], 0)


def check_pending_writes_keep_the_first_or_the_last(make: Make) -> None:
    """The first stands where `index >= 0`, the last where it is negative; ordered by (path, task, index)."""
    with _opened(make) as db:
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
    with _opened(make) as db:
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
    with _opened(make) as db:
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


def check_a_run_is_written_once(make: Make) -> None:
    """The first row of a run stands."""
    with _opened(make) as db:
        db.commit(commit_of(runs=[RunRow("t", "r", 1, b"first"), RunRow("u", "r", 2, b"another's")]))
        db.commit(commit_of(runs=[RunRow("t", "r", 3, b"second")]))

        with db.read() as now:
            assert now.run("t", "r") == RunRow("t", "r", 1, b"first")
            assert now.run("t", "x") is now.run("x", "r") is None
            assert now.count("runs") == 2


def check_removing_a_thread_leaves_the_others(make: Make) -> None:
    """Everything of it goes but items it wrote; it can begin again."""
    with _opened(make) as db:
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
    with _opened(make) as db:
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
    with _opened(make) as db:
        strange: Any = ("something", "else")
        _raised(StorageError, lambda: db.commit(commit_of(removals=[strange], items=[put_of("k", b"1")])))

        with db.read() as now:
            assert now.revision().seq == 0


# ---- items


def check_items_come_back_equal(make: Make) -> None:
    """Whatever namespace, key, value and origin."""
    with _opened(make) as db:
        for n, namespace in enumerate(hostile.NAMESPACES):
            for text in hostile.STRINGS[n % 4 :: 4]:
                value = hostile.PAYLOADS[n % len(hostile.PAYLOADS)]
                origin = (
                    Origin(text, text, text, None) if n % 2 else Origin(None, hostile.UUIDS[3], None, text)
                )
                revision = db.commit(commit_of(items=[PutItem(namespace, text, value, origin)]))

                with db.read() as now:
                    item = now.item(namespace, text)
                    assert item is not None
                    assert (item.namespace, item.key, item.value) == (namespace, text, value)
                    assert (item.revision, item.origin) == (revision, origin)
        with db.read() as now:
            assert now.namespaces(()) == sorted(hostile.NAMESPACES)


def check_an_item_keeps_when_it_began(make: Make) -> None:
    """`created_at` stays over replacements and begins anew after a deletion; times never go back; versions only grow."""
    with _opened(make) as db:
        seen: list[tuple[int, int]] = []
        versions: list[int] = []
        for at, value in ((100, b"1"), (200, b"2"), (150, b"3"), (300, None), (50, b"4"), (400, b"5")):
            db.commit(commit_of(at, items=[put_of("k", value)]))
            with db.read() as now:
                item = now.item(NOTES, "k")
                versions.append(now.changes(None, 99)[-1].version)
                if item is not None:
                    assert item.value == value
                    seen.append((item.created_at, item.updated_at))

        assert seen == [(100, 100), (100, 200), (100, 200), (300, 300), (300, 400)]
        assert versions == sorted(set(versions))


def check_one_commit_may_write_an_item_twice(make: Make) -> None:
    """In their order; each is a version of its own."""
    with _opened(make) as db:
        db.commit(
            commit_of(items=[put_of("k", b"1"), put_of("k", None), put_of("k", None), put_of("k", b"2")])
        )

        with db.read() as now:
            assert [row.value for row in now.changes(None, 9)] == [b"1", None, b"2"]
            item = now.item(NOTES, "k")
            assert item is not None
            assert item.value == b"2"
            assert (now.count("items"), now.count("history")) == (1, 3)


def check_deleting_what_is_not_there_is_nothing(make: Make) -> None:
    """No version, no change; the commit stands."""
    with _opened(make) as db:
        revision = db.commit(commit_of(items=[put_of("k", None)]))

        with db.read() as now:
            assert now.revision() == revision
            assert (now.changes(None, 9), now.count("history"), now.namespaces(())) == ([], 0, [])


def check_a_prefix_is_a_subtree(make: Make) -> None:
    """Newest version first, deleted ones left out; `("a",)` never matches `("ab",)`; pages by version."""
    with _opened(make) as db:
        for n, namespace in enumerate((*hostile.NAMESPACES, *hostile.NAMESPACES[::-1])):
            db.commit(commit_of(items=[put_of(f"k{n}", b"v", namespace), put_of("gone", b"v", namespace)]))
            db.commit(commit_of(items=[put_of("gone", None, namespace)]))
        with db.read() as now:
            everything = now.items((), None, 1_000)
            assert len(everything) == 2 * len(hostile.NAMESPACES)
            assert [row.version for row in everything] == sorted(
                (row.version for row in everything), reverse=True
            )
            for prefix in {space[:depth] for space in hostile.NAMESPACES for depth in (0, 1, 2)}:
                inside = [row for row in everything if row.namespace[: len(prefix)] == prefix]
                assert now.items(prefix, None, 1_000) == inside
                assert now.items(prefix, None, 2) == inside[:2]
                if inside:
                    assert now.items(prefix, inside[0].version, 3) == inside[1:4]
                assert now.namespaces(prefix) == sorted({row.namespace for row in inside})
            assert now.items(("nowhere",), None, 5) == now.items((), 0, 5) == now.items((), None, 0) == []


def check_a_subtree_of_many_namespaces_is_in_order(make: Make) -> None:
    """More namespaces than a backend merges: the same answers."""
    with _opened(make) as db:
        puts = [put_of("k", b"%d" % n, ("many", f"{n * 7919 % 300:03}")) for n in range(300)]
        db.commit(commit_of(items=[*puts, put_of("k", b"x", ("other",))]))
        db.commit(commit_of(items=[put_of("k", b"new", ("many", "123")), put_of("k", None, ("many", "124"))]))

        with db.read() as now:
            found = now.items(("many",), None, 1_000)
            assert [row.value for row in found[:3]] == [b"new", b"299", b"298"]
            assert len(found) == 299
            assert now.items(("many",), found[99].version, 50) == found[100:150]
            assert len(now.namespaces(("many",))) == 299


def check_changes_come_in_whole_commits(make: Make) -> None:
    """By version, deletions included; a page never cuts a commit, and goes on where the last one ended."""
    with _opened(make) as db:
        revisions = [
            db.commit(commit_of(items=[put_of(f"k{i}", b"%d" % n) for i in range(n)])) for n in range(1, 6)
        ]
        revisions.append(db.commit(commit_of(items=[put_of("k0", None)])))

        with db.read() as now:
            everything = now.changes(None, 100)
            assert len(everything) == 16
            assert everything[-1].value is None
            assert [row.version for row in everything] == sorted(row.version for row in everything)
            assert now.changes(None, 2) == everything[:3]
            assert now.changes(None, 4) == everything[:6]
            assert now.changes(revisions[1], 1) == everything[3:6]
            assert now.changes(revisions[4], 9) == everything[15:]
            assert now.changes(revisions[5], 9) == []
            paged: list[Any] = []
            while page := now.changes(paged[-1].revision if paged else None, 3):
                paged += page
            assert paged == everything


def check_history_is_pruned_first_ended_first(make: Make) -> None:
    """Only versions that ended before; live ones stay, whatever their age; a deletion goes when it is old enough."""
    with _opened(make) as db:
        for at, key, value in (
            (10, "a", b"1"),
            (20, "b", b"1"),
            (30, "b", b"2"),
            (40, "a", b"2"),
            (50, "b", None),
            (60, "c", b"1"),
        ):
            db.commit(commit_of(at, items=[put_of(key, value)]))

        def left() -> list[tuple[str, bytes | None]]:
            with db.read() as now:
                return [(row.key, row.value) for row in now.changes(None, 99)]

        db.commit(commit_of(removals=[PruneHistory(30)]))
        assert len(left()) == 6
        db.commit(commit_of(removals=[PruneHistory(50, limit=1)]))
        assert left() == [("a", b"1"), ("b", b"2"), ("a", b"2"), ("b", None), ("c", b"1")]
        db.commit(commit_of(removals=[PruneHistory(50)]))
        assert left() == [("b", b"2"), ("a", b"2"), ("b", None), ("c", b"1")]
        db.commit(commit_of(removals=[PruneHistory(1_000)]))
        assert left() == [("a", b"2"), ("c", b"1")]
        with db.read() as now:
            assert (now.count("items"), now.count("history")) == (2, 2)
        db.commit(commit_of(5, items=[put_of("b", b"3")]))  # nothing of it was left: its time begins anew
        with db.read() as now:
            item = now.item(NOTES, "b")
            assert item is not None
            assert item.created_at == 5


# ---- moments, threads, ends


def check_a_snapshot_does_not_move(make: Make) -> None:
    """What is committed after it began, it does not see; a later one does."""
    with _opened(make) as db:
        db.commit(commit_of(checkpoints=[checkpoint_of("t", "1")], items=[put_of("k", b"1")]))
        later = threading.Thread(
            target=lambda: db.commit(
                commit_of(
                    checkpoints=[checkpoint_of("t", "2", "1")], items=[put_of("k", b"2"), put_of("l", b"")]
                )
            )
        )

        with db.read() as then:
            later.start()
            later.join(0.05)  # a backend may make it wait for this snapshot
            item = then.item(NOTES, "k")
            assert item is not None
            assert (then.head("t", ""), item.value, then.count("items")) == ("1", b"1", 1)
            assert then.revision().seq == 1
        later.join()
        with db.read() as now:
            assert (now.head("t", ""), now.count("items"), now.revision().seq) == ("2", 2, 2)


def check_a_token_tells_of_every_commit(make: Make) -> None:
    """It differs after a commit and stays without one."""
    with _opened(make) as db:
        tokens = [db.change_token()]
        for n in range(3):
            assert db.change_token() == tokens[-1]
            db.commit(commit_of(items=[put_of("k", b"%d" % n)]))
            tokens.append(db.change_token())

        assert len({repr(token) for token in tokens}) == 4


def check_many_threads_lose_nothing(make: Make) -> None:
    """Each appends to its own chain and all count in one item: compare and set, again on conflict."""
    with _opened(make) as db:
        failures: list[Exception] = []

        def count_up() -> None:
            while True:
                with db.read() as now:
                    item = now.item(NOTES, "counter")
                number = 0 if item is None else int(item.value or b"0")
                try:
                    db.commit(
                        commit_of(
                            versions=[ItemIs(NOTES, "counter", None if item is None else item.version)],
                            items=[put_of("counter", b"%d" % (number + 1))],
                        )
                    )
                except VersionConflict:
                    continue
                return

        def work(thread: str) -> None:
            try:
                head = None
                for n in range(10):
                    row = checkpoint_of(thread, f"{n:03}", head)
                    segment = SegmentRow(thread, 1, n, 1, 1, b"%d" % n)
                    db.commit(
                        commit_of(heads=[HeadIs(thread, "", head)], checkpoints=[row], segments=[segment])
                    )
                    head = row.id
                count_up()
            except Exception as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

        workers = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(12)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        assert not failures, failures
        with db.read() as now:
            assert (now.count("checkpoints"), now.count("segments")) == (120, 120)
            item = now.item(NOTES, "counter")
            assert item is not None
            assert item.value == b"12"
            assert now.revision().seq == 132


def check_a_closed_backend_says_so(make: Make) -> None:
    """Every call is a StorageError; closing again is nothing."""
    db = make()
    db.commit(commit_of(items=[put_of("k", b"1")]))
    assert not db.closed

    db.close()
    db.close()

    assert db.closed
    _raised(StorageError, lambda: db.commit(commit_of()))
    _raised(StorageError, lambda: db.commit_group([commit_of()]))
    _raised(StorageError, lambda: db.read().__enter__())
    outcomes: list[Outcome] = []
    try:
        db.commit_soon(commit_of(), outcomes.append)
    except StorageError as error:
        outcomes.append(error)
    assert [isinstance(outcome, StorageError) for outcome in outcomes] == [True]


def check_space_is_given_back(make: Make) -> None:
    """After it, everything is as before."""
    with _opened(make) as db:
        db.commit(commit_of(items=[put_of(f"k{n}", b"x" * 1_000) for n in range(300)]))
        db.commit(commit_of(items=[put_of(f"k{n}", None) for n in range(299)], removals=[]))
        db.commit(commit_of(removals=[PruneHistory(1 << 60, limit=10_000)]))

        db.vacuum()

        with db.read() as now:
            assert [row.key for row in now.items((), None, 9)] == ["k299"]
        db.commit(commit_of(items=[put_of("k299", b"2")]))


CHECKS: Final[Sequence[Callable[[Make], None]]] = tuple(
    check for name, check in globals().items() if name.startswith("check_")
)
"""All of them."""
