"""What a backend that implements `Administered` has to do, as functions `check_*`, each of which takes a maker of fresh backends.

Not in `CHECKS`: a backend may leave that side out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from perdure.storage.contract import OWED, Administered, Backend, Embedded, PutItem, SegmentRow, StagedRow
from perdure.testing.backends.kit import NOTES, Make, checkpoint_of, commit_of, opened, put_of, write_of

__all__ = ["ADMINISTERED_CHECKS"]

TABLES: Final = [
    "checkpoints",
    "segments",
    "writes",
    "staged",
    "runs",
    "items",
    "history",
    "postings",
    "vectors",
]


def _side(db: Backend) -> Administered:
    assert isinstance(db, Administered)
    return db


def check_sizes_are_those_of_what_was_written(make: Make) -> None:
    """Every table by its name in `count`, the rest as "other"; largest first, with what they hold."""
    with opened(make) as db:
        db.commit(
            commit_of(
                checkpoints=[
                    checkpoint_of("small", "1"),
                    checkpoint_of("large", "1"),
                    checkpoint_of("large", "2", "1"),
                ],
                segments=[SegmentRow("large", 1, 0, 1, 1, b"x" * 900)],
                items=[put_of("a", b"x" * 9), put_of("a", b"x" * 9), put_of("b", b"x", ("b",))],
            )
        )
        sizes = _side(db).sizes()
        assert sorted(one.name for one in sizes) == sorted([*TABLES, "other"])
        rows = {one.name: one.rows for one in sizes}
        assert (rows["checkpoints"], rows["segments"], rows["items"], rows["history"]) == (3, 1, 2, 3)

        largest = _side(db).largest(9)

        assert [(one.thread, one.checkpoints) for one in largest.threads] == [("large", 2), ("small", 1)]
        assert largest.threads[0].bytes == 900 + 2 * len(b"state")
        assert [tuple(one) for one in largest.namespaces] == [(NOTES, 1, 2, 18), (("b",), 1, 1, 1)]
        assert len(_side(db).largest(1).threads) == 1


def check_what_it_is_is_told(make: Make) -> None:
    """Kind, place and engine; nothing is wrong with a fresh one."""
    with opened(make) as db:
        about = _side(db).about()
        assert about.kind
        assert about.where
        assert about.engine
        assert _side(db).faults(quick=True) == []
        assert _side(db).faults(quick=False) == []


def check_what_hangs_on_no_checkpoint_is_told(make: Make) -> None:
    """Pending writes and staged memory, in order; not those of a checkpoint, nor marks at the empty thread."""
    with opened(make) as db:
        db.commit(
            commit_of(
                checkpoints=[checkpoint_of("t", "1")],
                writes=[
                    write_of("t", "1", "task", 0, b"w"),
                    write_of("t", "2", "task", -1, b"w"),
                    write_of("", "m", "t", 0, b""),
                ],
                staged=[
                    StagedRow("s", "ns", "3", "task", 0, NOTES, "k", b"s"),
                    StagedRow("t", "", "1", "x", 0, NOTES, "k", b"s"),
                ],
            )
        )

        assert _side(db).strays(9) == [("s", "ns", "3"), ("t", "", "2")]
        assert _side(db).strays(1) == [("s", "ns", "3")]


def check_vectors_of_items_are_told(make: Make) -> None:
    """With the version that they belong to; that they are owed; nothing of items without, or that are gone."""
    with opened(make) as db:
        made = Embedded("model", b"\0\0\x80?")
        puts = [
            PutItem(NOTES, key, b"v", embedded=given)
            for key, given in (("a", made), ("o", OWED), ("n", None))
        ]
        db.commit(commit_of(items=[*puts, PutItem(NOTES, "gone", b"v", embedded=made)]))
        db.commit(commit_of(items=[put_of("gone", None)]))
        with db.read() as now:
            versions = {row.key: row.version for row in now.items((), None, 9)}

        places = [(NOTES, key) for key in ("a", "o", "n", "gone", "never")]
        assert dict(_side(db).embedded(places)) == {
            (NOTES, "a"): (versions["a"], made),
            (NOTES, "o"): (versions["o"], OWED),
        }
        assert dict(_side(db).embedded([])) == {}


def check_nobody_commits_while_it_is_held(make: Make) -> None:
    """Whoever holds it can read; a writer of another thread waits, and writes when it is let go."""
    with opened(make) as db:
        db.commit(commit_of(items=[put_of("a", b"1")]))
        done = threading.Event()

        def write() -> None:
            db.commit(commit_of(items=[put_of("a", b"2")]))
            done.set()

        writer = threading.Thread(target=write)
        with _side(db).hold(5):
            writer.start()
            assert not done.wait(0.15)
            with db.read() as now:
                item = now.item(NOTES, "a")
                assert item is not None
                assert item.value == b"1"
        writer.join(10)
        assert done.is_set()
        db.commit(commit_of(items=[put_of("a", b"3")]))
        with db.read() as now:
            assert now.revision().seq == 3


ADMINISTERED_CHECKS: Final[tuple[Callable[[Make], None], ...]] = (
    check_sizes_are_those_of_what_was_written,
    check_what_it_is_is_told,
    check_what_hangs_on_no_checkpoint_is_told,
    check_vectors_of_items_are_told,
    check_nobody_commits_while_it_is_held,
)
"""All of them."""
