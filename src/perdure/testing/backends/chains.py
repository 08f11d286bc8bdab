"""Checks of checkpoints: rows, ids, parents, and the orders in which they are listed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from perdure.errors import StorageError
from perdure.storage.contract import CheckpointRow, RemoveCheckpoint, RunRow, StagedRow, WriteRow
from perdure.testing import hostile
from perdure.testing.backends.kit import (
    Make,
    checkpoint_of,
    commit_of,
    opened,
    without_revision,
    write_of,
)
from perdure.testing.raised import raised


def check_rows_of_threads_come_back_equal(make: Make) -> None:
    """Whatever text and bytes, in every column."""
    with opened(make) as db:
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
                assert without_revision(now.checkpoint(thread, text, text)) == row
                assert now.run(thread, text) == run
                assert now.writes(thread, text, text) == [write]
                assert now.staged(thread, text, text) == [staged]
                assert now.head(thread, text) == text


def check_ids_order_as_texts(make: Make) -> None:
    """UUIDs and other ids in one chain: listing, head and neighbours follow the order of `str`."""
    with opened(make) as db:
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
    with opened(make) as db:
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
    with opened(make) as db:
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
    with opened(make) as db:
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
            assert "gone" in str(raised(StorageError, lambda: now.lineage("t", "", "5")))


def check_parents_stay_whatever_comes_between(make: Make) -> None:
    """Inserting, replacing and removing neighbours changes no other row's parent."""
    with opened(make) as db:
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
                found = {row.id: without_revision(row) for row in now.checkpoints("t", "", None, None)}
                assert found == rows


def check_a_checkpoint_is_replaced_with_its_revision(make: Make) -> None:
    """The same (thread, ns, id) again: the last stands, at the revision of its commit."""
    with opened(make) as db:
        first = db.commit(commit_of(checkpoints=[checkpoint_of("t", "a"), checkpoint_of("t", "b", "a")]))
        second = db.commit(commit_of(checkpoints=[checkpoint_of("t", "a", state=b"other")]))

        with db.read() as now:
            a, b = now.checkpoint("t", "", "a"), now.checkpoint("t", "", "b")
            assert a is not None
            assert b is not None
            assert (a.state, a.revision, b.revision) == (b"other", second, first)
