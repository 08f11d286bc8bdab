"""A `Commit` as the values that will be bound: made on the caller's thread, before anybody waits for the writer.

Here: text and ids to bytes, checks that every integer fits. Not here: numbers of threads and chains, which only the
writer knows (`numbering.py`). What cannot be bound raises here, at its caller, and harms no neighbour in the group.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from perdure.codec import encode_namespace, text_to_bytes
from perdure.errors import StorageError
from perdure.storage.contract import (
    AS_FILED,
    OWED,
    CheckpointRow,
    Commit,
    Embedded,
    Filed,
    FileItem,
    ForgetItems,
    HeadIs,
    ItemIs,
    MendIndexes,
    MendVectors,
    Namespace,
    PruneHistory,
    PruneVersions,
    PutItem,
    RefreshItem,
    Removal,
    RemoveCheckpoint,
    RemoveResult,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    RunRow,
    SegmentRow,
    StagedRow,
    SweepItem,
    UnfileItems,
    WriteRow,
)
from perdure.storage.tables.packing import pack_id, pack_task, time_in

_MOST: Final = (1 << 63) - 1
_LEAST: Final = -_MOST - 1
_POSITIONS: Final = 1 << 32

SOURCES: Final[tuple[str, ...]] = ("loop", "input", "update", "fork")
_SOURCE_CODES: Final = {name: code for code, name in enumerate(SOURCES)}

Chain: TypeAlias = tuple[bytes, bytes]  # thread, ns
Key: TypeAlias = tuple[bytes, bytes]  # namespace, key


_NONE: Final[tuple[Any, ...]] = ()
_UNKNOWN: Final = (None, None, None, None)


class Version(NamedTuple):
    """An expected version, and what to say if it differs."""

    item: Key
    version: int | None
    said: ItemIs


class PreparedText(NamedTuple):
    """How an item is filed."""

    analysis: bytes
    terms: bytes  # joined by NUL
    times: tuple[int, ...]  # how often each stands there
    length: int


class PreparedVectors(NamedTuple):
    """An item's vectors. Without any: they are owed; where an item is filed anew: it has none, and is owed none."""

    model: bytes
    data: bytes


class Put(NamedTuple):
    """A new version of an item, or its deletion."""

    item: Key
    value: bytes | None
    origin: tuple[bytes | None, bytes | None, bytes | None, bytes | None]
    text: PreparedText | None
    paths: bytes | None  # JSON; None: what the store says
    vectors: PreparedVectors | None
    ttl: int | None
    expires: int | None
    keeps: bool
    times: tuple[int, int] | None  # created, updated; None: now


class Live(NamedTuple):
    """The live item of this version ends then, if that is later; without one: it goes if its time is over."""

    item: Key
    version: int | None
    expires: int
    text: None = None  # as others that change items have
    vectors: None = None


class Refile(NamedTuple):
    """The live item of this version is filed anew."""

    item: Key
    version: int
    text: PreparedText | None
    vectors: PreparedVectors | None
    as_filed: bool  # whatever `text` says, its words stay


_NO_VECTORS: Final = PreparedVectors(b"", b"")
NO_PATHS: Final = b"[]"


def prefixed(index: int, term: bytes) -> bytes:
    """A term as its postings have it: terms of two indexes never meet."""
    return bytes((index,)) + term


def all_prefixed(index: int, terms: bytes) -> list[bytes]:
    """As `prefixed`, of terms that are joined by NUL: there is at least one."""
    prefix = bytes((index,))
    return (prefix + terms.replace(b"\0", b"\0" + prefix)).split(b"\0")


@lru_cache(maxsize=4096)
def _chain_of(thread: str, ns: str) -> Chain:
    return text_to_bytes(thread), text_to_bytes(ns)


@lru_cache(maxsize=1024)
def _namespace_of(labels: Namespace) -> bytes:
    return encode_namespace(labels)


def _namespace(labels: Namespace) -> bytes:
    try:
        return _namespace_of(labels)
    except TypeError:  # a label that has no hash is no text either
        return encode_namespace(labels)


class Prepared:
    """One commit, ready to be bound. `chains` and `known_items` are all it touches; `weight` guesses at pages written.

    `rare`: it has a removal other than what a finished step leaves behind.
    """

    __slots__ = (
        "at",
        "chains",
        "checkpoints",
        "filings",
        "heads",
        "id",
        "items",
        "known_items",
        "lives",
        "rare",
        "removals",
        "rests",
        "runs",
        "segments",
        "staged",
        "threads",
        "versions",
        "weight",
        "writes",
    )

    def __init__(self, commit: Commit) -> None:
        # Most commits have few kinds of rows: what is empty costs one look.
        (
            id,
            at,
            heads,
            versions,
            removals,
            runs,
            checkpoints,
            segments,
            writes,
            staged,
            items,
            rests,
            filings,
            lives,
        ) = commit
        fits(at)
        self.id = bytes(id)
        self.at = at
        self.chains: set[Chain] = set()
        self.threads: set[bytes] = set()
        self.known_items: set[Key] = set()
        self.weight = 4
        self.heads = [self._head(head) for head in heads] if heads else _NONE
        self.versions = [self._version(want) for want in versions] if versions else _NONE
        self.rests = rests
        self.rare = bool(rests)
        self.removals = [self._removal(removal) for removal in removals] if removals else _NONE
        self.runs = [self._run(run) for run in runs] if runs else _NONE
        self.checkpoints = [self._checkpoint(row) for row in checkpoints] if checkpoints else _NONE
        self.segments = [self._segment(row) for row in segments] if segments else _NONE
        self.writes = [self._write(row) for row in writes] if writes else _NONE
        self.staged = [self._staged(row) for row in staged] if staged else _NONE
        self.items = [self._put(put) for put in items] if items else _NONE
        self.filings = [self._filing(filing) for filing in filings] if filings else _NONE
        self.lives = [self._live(life) for life in lives] if lives else _NONE

    def _chain(self, thread: str, ns: str) -> Chain:
        chain = _chain_of(thread, ns)
        self.chains.add(chain)
        return chain

    def _thread(self, thread: str) -> bytes:
        name = text_to_bytes(thread)
        self.threads.add(name)
        return name

    def _item(self, namespace: Namespace, key: str) -> Key:
        item = (_namespace(namespace), text_to_bytes(key))
        self.known_items.add(item)
        return item

    def _weigh(self, payload: bytes | None) -> None:
        self.weight += 1 + (len(payload) >> 12) if payload else 1

    def _head(self, head: HeadIs) -> tuple[Chain, bytes | None, HeadIs]:
        thread, ns, checkpoint, _ = head
        chain = _chain_of(thread, ns)
        self.chains.add(chain)
        return chain, None if checkpoint is None else pack_id(checkpoint), head

    def _version(self, want: ItemIs) -> Version:
        return Version(self._item(want.namespace, want.key), want.version, want)

    def _run(self, run: RunRow) -> tuple[Any, ...]:
        fits(run.at)
        self._weigh(run.metadata)
        return self._thread(run.thread), pack_id(run.id), run.at, run.metadata

    def _checkpoint(self, row: CheckpointRow) -> tuple[Any, ...]:
        thread, ns, id, parent_ns, parent, step, source, at, run, whole, state, metadata, made = row
        packed = pack_id(id)
        since = at - time_in(packed)
        if not (_LEAST <= step <= _MOST and _LEAST <= since <= _MOST):
            fits(step, since)
        chain = _chain_of(thread, ns)
        self.chains.add(chain)
        self.weight += 1 + (len(state) >> 12)
        return (
            chain,
            packed,
            None if parent is None else pack_id(parent),
            None if parent_ns is None or parent_ns == ns else text_to_bytes(parent_ns),
            step,
            _SOURCE_CODES[source] if source in _SOURCE_CODES else text_to_bytes(source),
            since,
            None if run is None else pack_id(run),
            1 if whole else 0,
            metadata,
            state,
            None if made is None else made.seq,
        )

    def _segment(self, row: SegmentRow) -> tuple[Any, ...]:
        thread, log, start, count, kind, payload = row
        fits(log, count, kind)
        if not 0 <= start < _POSITIONS:
            raise _too_big(start, "a position in a log", _POSITIONS)
        self._weigh(payload)
        return self._thread(thread), log, start, count, kind, payload

    def _write(self, row: WriteRow) -> tuple[Any, ...]:
        thread, ns, checkpoint, task, index, path, channel, payload = row
        fits(index)
        self._weigh(payload)
        return (
            self._chain(thread, ns),
            pack_id(checkpoint),
            pack_task(task),
            index,
            text_to_bytes(path),
            text_to_bytes(channel),
            payload,
        )

    def _staged(self, row: StagedRow) -> tuple[Any, ...]:
        thread, ns, checkpoint, task, index, namespace, key, payload = row
        fits(index)
        self._weigh(payload)
        return (
            self._chain(thread, ns),
            pack_id(checkpoint),
            pack_task(task),
            index,
            encode_namespace(namespace),
            text_to_bytes(key),
            payload,
        )

    def _removal(self, removal: Removal) -> Removal:
        match removal:
            case RemoveStaged(thread, ns, _) | RemoveWrites(thread, ns, _) | RemoveResult(thread, ns, _, _):
                self._chain(thread, ns)
                return removal
            case RemoveSegments(_, log, start):
                fits(log, start)
            case PruneHistory(before, limit):
                fits(before, limit)
            case PruneVersions(_, keep, limit):
                fits(keep, limit)
            case RemoveThread() | RemoveCheckpoint() | RemoveRun() | ForgetItems():
                pass
            case UnfileItems() | MendVectors() | MendIndexes():
                pass
            case _:
                raise StorageError(
                    f"this backend does not know the removal {removal!r}; nothing was written."
                )
        self.rare = True
        return removal

    def _put(self, put: PutItem) -> Put:
        self._weigh(put.value)
        self.weight += 1
        if put.origin == _UNKNOWN:
            origin = _UNKNOWN
        else:
            thread, checkpoint, node, actor = put.origin
            origin = (
                _text(thread),
                None if checkpoint is None else pack_id(checkpoint),
                _text(node),
                _text(actor),
            )
        item = self._item(put.namespace, put.key)
        text = None if put.filed is None or put.value is None else self._text(put.filed)
        paths = None if put.paths is None else json.dumps(put.paths).encode()
        if put.ttl is not None or put.expires is not None:
            fits(self.at + (put.ttl or 0), put.ttl or 0, put.expires or 0)
        vectors = None if put.value is None else self._vectors(put.embedded)
        if put.times is not None:
            fits(*put.times)
        life = put.ttl, put.expires, put.keeps
        return Put(item, put.value, origin, text, paths, vectors, *life, put.times)

    def _live(self, life: RefreshItem | SweepItem) -> Live:
        self.weight += 2
        if isinstance(life, SweepItem):
            return Live(self._item(life.namespace, life.key), None, 0)
        fits(life.expires)
        return Live(self._item(life.namespace, life.key), life.version, life.expires)

    def _filing(self, filing: FileItem) -> Refile:
        as_filed = filing.filed == AS_FILED
        text = None if filing.filed is None or as_filed else self._text(filing.filed)
        item = self._item(filing.namespace, filing.key)
        vectors = None if filing.embedded is None else self._vectors(filing.embedded) or _NO_VECTORS
        return Refile(item, filing.version, text, vectors, as_filed)

    def _vectors(self, embedded: Embedded | None) -> PreparedVectors | None:
        if embedded is None or not embedded.data:
            return _NO_VECTORS if embedded == OWED else None
        self._weigh(embedded.data)
        return PreparedVectors(text_to_bytes(embedded.model), embedded.data)

    def _text(self, filed: Filed) -> PreparedText:
        times = tuple(filed.counts.values())
        fits(filed.length, *((min(times), max(times)) if times else ()))
        self.weight += len(times)
        terms = text_to_bytes("\0".join(filed.counts))  # all in one: there are more terms than anything else
        return PreparedText(text_to_bytes(filed.analysis), terms, times, filed.length if times else 0)


def _text(text: str | None) -> bytes | None:
    return None if text is None else text_to_bytes(text)


def fits(*numbers: int) -> None:
    """Passes integers of 64 bits.

    Raises:
        StorageError: one is larger. Nothing was written.
    """
    for number in numbers:
        if not _LEAST <= number <= _MOST:
            raise _too_big(number, "an integer of a row", 1 << 63)


def _too_big(number: int, what: str, limit: int) -> StorageError:
    shown = number if abs(number) < 1 << 80 else f"of {number.bit_length()} bits"
    return StorageError(f"{what} is {shown}; this database holds numbers below {limit}. Nothing was written.")
