"""A `Commit` as the values that will be bound: made on the caller's thread, before anybody waits for the writer.

Here: text and ids to bytes, checks that every integer fits. Not here: numbers of threads and chains, which only the
writer knows (`writer.py`). What cannot be bound raises here, at its caller, and harms no neighbour in the group.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from perdure.codec import encode_namespace, text_to_bytes
from perdure.errors import StorageError
from perdure.storage.contract import (
    CheckpointRow,
    Commit,
    HeadIs,
    ItemIs,
    PruneHistory,
    Removal,
    RemoveCheckpoint,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
)
from perdure.storage.sqlite.packing import pack_id, pack_task, time_in

_MOST: Final = (1 << 63) - 1
_POSITIONS: Final = 1 << 32

SOURCES: Final[tuple[str, ...]] = ("loop", "input", "update", "fork")
_SOURCE_CODES: Final = {name: code for code, name in enumerate(SOURCES)}

Chain: TypeAlias = tuple[bytes, bytes]  # thread, ns
Key: TypeAlias = tuple[bytes, bytes]  # namespace, key


class Head(NamedTuple):
    """An expected head, and what to say if it moved."""

    chain: Chain
    id: bytes | None
    said: HeadIs


class Version(NamedTuple):
    """An expected version, and what to say if it differs."""

    item: Key
    version: int | None
    said: ItemIs


class Put(NamedTuple):
    """A new version of an item, or its deletion."""

    item: Key
    value: bytes | None
    origin: tuple[bytes | None, bytes | None, bytes | None, bytes | None]


class Prepared:
    """One commit, ready to be bound. `chains` and `items` are all it touches; `weight` guesses at pages written."""

    __slots__ = (
        "at",
        "chains",
        "checkpoints",
        "heads",
        "id",
        "items",
        "known_items",
        "removals",
        "runs",
        "segments",
        "staged",
        "threads",
        "versions",
        "weight",
        "writes",
    )

    def __init__(self, commit: Commit) -> None:
        fits(commit.at)
        self.id = bytes(commit.id)
        self.at = commit.at
        self.heads: list[Head] = []
        self.versions: list[Version] = []
        self.removals: tuple[Removal, ...] = tuple(map(_known_removal, commit.removals))
        self.runs: list[tuple[bytes, bytes, int, bytes]] = []
        self.checkpoints: list[tuple[Any, ...]] = []
        self.segments: list[tuple[bytes, int, int, int, int, bytes]] = []
        self.writes: list[tuple[Any, ...]] = []
        self.staged: list[tuple[Any, ...]] = []
        self.items: list[Put] = []
        self.chains: set[Chain] = set()
        self.threads: set[bytes] = set()
        self.known_items: set[Key] = set()
        size = 0
        for head in commit.heads:
            chain = (text_to_bytes(head.thread), text_to_bytes(head.ns))
            self.chains.add(chain)
            self.heads.append(Head(chain, None if head.checkpoint is None else pack_id(head.checkpoint), head))
        for want in commit.versions:
            item = (encode_namespace(want.namespace), text_to_bytes(want.key))
            self.known_items.add(item)
            self.versions.append(Version(item, want.version, want))
        for run in commit.runs:
            fits(run.at)
            thread = text_to_bytes(run.thread)
            self.threads.add(thread)
            self.runs.append((thread, pack_id(run.id), run.at, run.metadata))
            size += len(run.metadata)
        for row in commit.checkpoints:
            self._checkpoint(row)
            size += len(row.state)
        for segment in commit.segments:
            thread, log, start, count, kind, payload = segment
            fits(log, count, kind)
            if not 0 <= start < _POSITIONS:
                raise _too_big(start, "a position in a log", _POSITIONS)
            name = text_to_bytes(thread)
            self.threads.add(name)
            self.segments.append((name, log, start, count, kind, payload))
            size += len(payload)
        for write in commit.writes:
            fits(write.index)
            chain = (text_to_bytes(write.thread), text_to_bytes(write.ns))
            self.chains.add(chain)
            self.writes.append(
                (
                    chain,
                    pack_id(write.checkpoint),
                    pack_task(write.task),
                    write.index,
                    text_to_bytes(write.path),
                    text_to_bytes(write.channel),
                    write.payload,
                )
            )
            size += len(write.payload)
        for staged in commit.staged:
            fits(staged.index)
            chain = (text_to_bytes(staged.thread), text_to_bytes(staged.ns))
            self.chains.add(chain)
            self.staged.append(
                (
                    chain,
                    pack_id(staged.checkpoint),
                    pack_task(staged.task),
                    staged.index,
                    encode_namespace(staged.namespace),
                    text_to_bytes(staged.key),
                    staged.payload,
                )
            )
            size += len(staged.payload)
        for put in commit.items:
            item = (encode_namespace(put.namespace), text_to_bytes(put.key))
            self.known_items.add(item)
            thread, checkpoint, node, actor = put.origin
            origin = (_text(thread), None if checkpoint is None else pack_id(checkpoint), _text(node), _text(actor))
            self.items.append(Put(item, put.value, origin))
            size += len(put.value or b"")
        rows = len(self.checkpoints) + len(self.segments) + len(self.writes) + len(self.staged) + 2 * len(self.items)
        self.weight = 4 + rows + size // 4096

    def _checkpoint(self, row: CheckpointRow) -> None:
        fits(row.step, row.at)
        chain = (text_to_bytes(row.thread), text_to_bytes(row.ns))
        self.chains.add(chain)
        id = pack_id(row.id)
        at = row.at - time_in(id)
        fits(at)
        self.checkpoints.append(
            (
                chain,
                id,
                None if row.parent is None else pack_id(row.parent),
                None if row.parent_ns is None or row.parent_ns == row.ns else text_to_bytes(row.parent_ns),
                row.step,
                _SOURCE_CODES[row.source] if row.source in _SOURCE_CODES else text_to_bytes(row.source),
                at,
                None if row.run is None else pack_id(row.run),
                1 if row.whole else 0,
                row.metadata,
                row.state,
            )
        )


def _known_removal(removal: Removal) -> Removal:
    match removal:
        case RemoveSegments(_, log, start):
            fits(log, start)
        case PruneHistory(before, limit):
            fits(before, limit)
        case RemoveThread() | RemoveCheckpoint() | RemoveStaged() | RemoveWrites():
            pass
        case _:
            raise StorageError(f"this backend does not know the removal {removal!r}; nothing was written.")
    return removal


def _text(text: str | None) -> bytes | None:
    return None if text is None else text_to_bytes(text)


def fits(*numbers: int) -> None:
    """Passes integers of 64 bits.

    Raises:
        StorageError: one is larger. Nothing was written.
    """
    for number in numbers:
        if not -_MOST - 1 <= number <= _MOST:
            raise _too_big(number, "an integer of a row", 1 << 63)


def _too_big(number: int, what: str, limit: int) -> StorageError:
    shown = number if abs(number) < 1 << 80 else f"of {number.bit_length()} bits"
    return StorageError(f"{what} is {shown}; this database holds numbers below {limit}. Nothing was written.")
