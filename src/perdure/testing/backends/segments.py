"""Checks of the pieces that values hang on: ranges of a log, and sealing."""

from __future__ import annotations

from perdure.errors import Conflict, StorageError
from perdure.storage.contract import RemoveSegments, SegmentRow
from perdure.testing.backends.kit import Make, commit_of, opened, put_of
from perdure.testing.raised import raised


def check_segments_are_a_range(make: Make) -> None:
    """In order of `start`, below a position; a taken place is an error that writes nothing."""
    with opened(make) as db:
        log = (1 << 63) - 1
        rows = [SegmentRow("t", log, start, 2, start % 3, b"%d" % start) for start in (0, 2, 4, 1 << 20)]
        other = SegmentRow("u", log, 0, 1, 0, b"another thread's")
        db.commit(commit_of(segments=[rows[2], rows[0], other]))
        db.commit(commit_of(segments=[rows[3], rows[1], SegmentRow("t", 5, 7, 3, 0, b"")]))

        error = raised(
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
    with opened(make) as db:
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
