"""What a database keeps of threads: the rows that commits add and snapshots give, and which id a thread may have.

Here: values. Not here: what of them is asked (`thread_answers.py`), what takes them away (`removals.py`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from perdure.storage.contract.marks import Namespace, Revision

__all__ = [
    "THREAD_ID_BYTES",
    "CheckpointRow",
    "RunRow",
    "SegmentRow",
    "StagedRow",
    "WriteRow",
    "check_thread_id",
]

THREAD_ID_BYTES: Final = 1024


class RunRow(NamedTuple):
    """What is equal for a whole run, stored once. Its checkpoints name it by (thread, id)."""

    thread: str
    id: str
    at: int  # microseconds since 1970, UTC
    metadata: bytes


class CheckpointRow(NamedTuple):
    """One checkpoint: a small row; the values hang on logs of segments that `state` refers to."""

    thread: str
    ns: str  # public form of the chain's namespace, "" at the root
    id: str
    parent_ns: str | None  # None exactly when `parent` is; may differ from `ns`
    parent: str | None  # may be missing from the table (pruned)
    step: int
    source: str  # input | loop | update | fork, or what a caller of `saver.put` says
    at: int  # microseconds since 1970, UTC
    run: str | None  # RunRow.id
    whole: bool  # True: `state` stands alone; False: it is a change to the parent's, in the same namespace
    state: bytes
    metadata: bytes | None  # what this checkpoint has beyond its run's metadata
    revision: Revision | None = None  # filled in by reads; of the commit that made it


class SegmentRow(NamedTuple):
    """A piece of a log. Segments of a log are ordered by `start`; (thread, log, start) is unique."""

    thread: str
    log: int  # 63 bits, unique within the thread
    start: int
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] - a column; positions it covers: the number of appended items, or 1
    kind: int  # what `payload` is; see `deltas.py`
    payload: bytes


class WriteRow(NamedTuple):
    """A pending write: what a task of an unfinished step wrote, or its error, interrupt, answers.

    Unique by (thread, ns, checkpoint, task, index). The same again: the first stands where `index >= 0`, the last
    where it is negative.
    """

    thread: str
    ns: str
    checkpoint: str
    task: str
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - a column
    path: str
    channel: str
    payload: bytes


class StagedRow(NamedTuple):
    """A memory operation of a finished task in an unfinished step: durable, visible to nobody.

    Unique by (thread, ns, checkpoint, task, index); the first stands.
    """

    thread: str
    ns: str
    checkpoint: str
    task: str
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - a column
    namespace: Namespace
    key: str
    payload: bytes


def check_thread_id(thread: str) -> str:
    """The same id, if a database can hold it. Raises ValueError: empty, NUL, lone surrogates, over 1,024 bytes."""
    if not thread:
        raise ValueError(
            "thread_id is an empty string. Give every conversation an id of at least one character."
        )
    try:
        size = len(thread.encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError(
            f"thread_id {thread[:40]!r} holds a lone surrogate, which no database can index."
        ) from None
    if "\0" in thread:
        raise ValueError(f"thread_id {thread[:40]!r} holds a NUL character, which no database can index.")
    if size > THREAD_ID_BYTES:
        raise ValueError(f"thread_id {thread[:40]!r}... has {size} bytes; the limit is {THREAD_ID_BYTES}.")
    return thread
