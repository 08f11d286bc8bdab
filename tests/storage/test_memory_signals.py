"""A signal in the middle of a commit in memory: all of it, or nothing."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from perdure.storage.contract import (
    Commit,
    FileItem,
    PruneHistory,
    RefreshItem,
    RemoveCheckpoint,
    RemoveResult,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveWrites,
    RunRow,
    SegmentRow,
    StagedRow,
    SweepItem,
)
from perdure.storage.memory import MemoryBackend, applying, item_changes, removing, tables, texts
from perdure.testing.backends import NOTES, checkpoint_of, commit_of, put_of, write_of
from perdure.testing.backends.texts import EN, filed_of, text_put

WORK = {"apply", "seen", "put", "place", "remove", "chain", "thread", "refile", "_drop_version"}
WORK |= {"swept", "_deletion", "refresh"}
WORK |= {"file", "_refile", "_put_in", "_take_out"}
FILES = tuple(module.__file__ for module in (applying, item_changes, removing, tables, texts))


def staged_of(id: str) -> StagedRow:
    return StagedRow("t", "", id, "k", 0, ("n",), "staged", b"v")


FIRST = commit_of(
    checkpoints=[checkpoint_of("t", "1"), checkpoint_of("t", "3", "1")],
    segments=[SegmentRow("t", 1, n, 1, 1, b"s") for n in range(3)],
    writes=[write_of("t", "3", "k", 0, b"w"), *(write_of("t", "1", "k", n, b"w") for n in (-1, 0, 1))],
    staged=[staged_of("3"), staged_of("1")],
    runs=[RunRow("t", "r0", 5, b"")],
    items=[
        put_of("a", b"1"),
        put_of("b", b"1"),
        put_of("c", b"1"),
        put_of("c", None),
        put_of("e", b"1"),
        text_put("t", "tea and tea"),
        text_put("u", "tea"),
        text_put("over", "tea")._replace(ttl=1),
        text_put("swept", "tea")._replace(ttl=1),
        text_put("deleted", "tea")._replace(ttl=1),
        put_of("fresh", b"1")._replace(ttl=100),
    ],
)
FRESH = 11  # its version
SECOND = commit_of(
    removals=[
        RemoveWrites("t", "", "3"),
        RemoveStaged("t", "", "3"),
        RemoveResult("t", "", "1", "k"),
        RemoveCheckpoint("t", "", "1"),
        RemoveRun("t", "r0"),
        RemoveSegments("t", 1, 2),
        PruneHistory(FIRST.at + 1, 1000),
    ],
    checkpoints=[checkpoint_of("t", "2"), checkpoint_of("t", "4", "3")],
    segments=[SegmentRow("t", 1, 2, 1, 1, b"anew"), SegmentRow("t", 2, 0, 1, 1, b"s")],
    writes=[write_of("t", "4", "k", 0, b"w"), write_of("t", "4", "k", -1, b"e")],
    staged=[staged_of("4")],
    runs=[RunRow("t", "r1", 5, b"")],
    items=[
        put_of("a", b"2"),
        put_of("a", b"3"),
        put_of("b", None),
        put_of("c", b"2"),
        put_of("d", None),
        put_of("f", b"1", ("other",)),
        put_of("e", None),
        text_put("t", "coffee, no tea"),
        text_put("u", None),
        text_put("v", "tea", ("other",)),
        text_put("over", "and tea"),
        put_of("deleted", None),
    ],
    filings=[FileItem(NOTES, "nobody", 1, filed_of("tea"))],
    lives=[
        SweepItem(NOTES, "swept"),
        RefreshItem(NOTES, "fresh", FRESH, FIRST.at + 500),
        SweepItem(NOTES, "a"),
    ],
)


def inside(database: MemoryBackend) -> Any:
    held = database._tables  # pyright: ignore[reportPrivateUsage]
    threads = {
        name: ({ns: (c.ids, c.rows, c.writes, c.staged) for ns, c in t.chains.items()}, t.logs, t.runs)
        for name, t in held.threads.items()
    }
    return (
        threads,
        {
            name: getattr(held, name)
            for name in (
                "seq",
                "versions",
                "commits",
                "times",
                "items",
                "history",
                "ended",
                "deleted",
                "before",
                "mortal",
            )
        },
        what_words_find(database),
    )


def what_words_find(database: MemoryBackend) -> Any:
    with database.read() as now:
        found = [
            sorted(
                (*now.rows([ref])[ref][:2], times, length)
                for ref, times, length in now.postings((), EN, word)
            )
            for word in ("tea", "and", "coffee,", "no")
        ]
        return found, now.text_totals((), EN), now.terms((), EN, "", 99), now.count("postings")


def committed(first: Commit, second: Commit, *, line: int) -> tuple[Any, bool]:
    """What is there after both, and whether a signal came at that line of the second one's work."""
    database = MemoryBackend()
    database.commit(first)
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in FILES or frame.f_code.co_name not in WORK:
            return trace
        if event in {"call", "line", "return"}:
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        database.commit(second)
    except KeyboardInterrupt:
        return inside(database), True
    finally:
        sys.settrace(before)
    return inside(database), False


def test_a_signal_at_any_line_of_a_commit_leaves_no_half_of_it() -> None:
    whole, _ = committed(FIRST, SECOND, line=0)
    items = whole[1]["items"][NOTES]
    assert items["fresh"].expires == FIRST.at + 500
    assert (items["over"].expires, "swept" in items, "deleted" in items) == (None, False, False)
    line, came = 1, True
    while came:
        found, came = committed(FIRST, SECOND, line=line)
        assert found == whole, f"event {line}"
        line += 1
    assert line > 100


def test_a_signal_between_two_databases_leaves_both_in_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, items = MemoryBackend(), MemoryBackend()
    apply = applying.apply

    def interrupted(*arguments: Any) -> None:
        monkeypatch.undo()
        apply(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(applying, "apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        threads.commit_with(
            commit_of(checkpoints=[checkpoint_of("t", "1")]), items, commit_of(items=[put_of("a", b"1")])
        )

    with threads.read() as now, items.read() as beside:
        assert now.checkpoint("t", "", "1") is not None
        assert beside.item(put_of("a", b"1").namespace, "a") is not None
