"""Between a checkpoint and its rows: which channel stands where, written as small changes, read back exactly.

A checkpoint's `state` is a packed map: for every changed channel a *code* that says where its value is. A row that is
not `whole` holds the changes to its parent only; every 32nd row, every fork and every first row is whole.

    code            the channel's value
    None            none (cleared)
    bytes           these bytes, decoded
    int             in the same log as before, up to this length
    [log, length]   in this log; a third item 1: *frozen*, a writer goes on in a new log (the log's end is another branch's)
    {key: slice}    a dict put together from slices of other channels' logs (the input of a step)

Here: `Head` (a checkpoint in memory), reading it, packing a row. Pure but for the snapshot it is given.
Not here: the segments of a commit (`segments.py`), what a step means, the transaction, channels' behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Protocol, cast

import ormsgpack

from perdure.channels.base import MISSING
from perdure.constants import START
from perdure.errors import EncodingError, StorageError
from perdure.storage.contract import CheckpointRow, Revision, SegmentRow, Snapshot
from perdure.storage.deltas import APPEND, FROM, PATCH, Shadow
from perdure.storage.located import located
from perdure.storage.patches import apply_patch

WHOLE_EVERY: Final = 32
SEAL_AT: Final = 64  # small segments of appended items; then they become one, which compresses better
SEALED_BYTES: Final = 16384  # a segment of this size stays as it is

_PACK = ormsgpack.OPT_NON_STR_KEYS

# What well-formed bytes of another meaning raise: rows carry no checksum of their own.
_DAMAGE: Final = (ValueError, LookupError, TypeError, AttributeError)


class Pieces(Protocol):
    """Values to bytes and back; `perdure.codec.Codec` is one."""

    def encode(self, value: object, *, path: str = "value", aad: bytes = b"") -> bytes:
        """The value's bytes, bound to the place `aad`. Raises EncodingError, which names the part."""
        ...

    def decode(self, data: bytes, *, aad: bytes = b"") -> Any:
        """The value. Raises EncodingError."""
        ...


@dataclass(slots=True)
class Ref:
    """Where a value stands: the first `length` positions of `log`."""

    log: int
    length: int
    frozen: bool = False
    patches: int = 0  # since the base, through `FROM`
    live: int = 0  # bytes of the base and of appended items
    dead: int = 0  # bytes of patches
    tail: int = 0  # where the small segments at the end begin
    small: int = 0  # how many they are


@dataclass(slots=True)
class Stored:
    """A channel as it is in the database: cleared (None), inline bytes, a Ref or slices; its shadow once known."""

    at: Ref | bytes | dict[str, Any] | None
    shadow: Shadow | None = None


@dataclass(slots=True)
class Head:
    """A checkpoint in memory, complete. `values` holds what channels gave to be saved (`channel.checkpoint()`)."""

    thread: str
    ns: str
    id: str
    parent_ns: str | None
    parent: str | None
    step: int
    source: str
    at: int
    run: str | None
    versions: dict[str, Any]
    seen: dict[str, dict[str, Any]]
    stored: dict[str, Stored]
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    updated: list[str] | None = None  # channels that this very checkpoint changed, if it is not whole
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    results: list[Any] = field(default_factory=list[Any])
    since_whole: int = 0
    revision: Revision | None = None


# -- reading -------------------------------------------------------------------------------------------------------


def read_head(
    snapshot: Snapshot, pieces: Pieces, thread: str, ns: str, id: str, *, shadows: bool = False
) -> Head | None:
    """The checkpoint with its values, or None. `shadows`: also what writing its successor needs."""
    head = read_map(snapshot, thread, ns, id)
    if head is not None:
        read_values(snapshot, pieces, head, shadows=shadows)
    return head


def read_map(snapshot: Snapshot, thread: str, ns: str, id: str) -> Head | None:
    """The checkpoint without its values: versions and places. Reads small rows only."""
    rows = snapshot.lineage(thread, ns, id)
    return fold(rows) if rows else None


def fold(rows: Sequence[CheckpointRow]) -> Head:
    """The head that `rows` (newest first, the last one whole) describe."""
    newest = rows[0]
    head = Head(
        newest.thread, newest.ns, newest.id, newest.parent_ns, newest.parent, newest.step, newest.source, newest.at,
        newest.run, {}, {}, {}, since_whole=len(rows) - 1, revision=newest.revision,
    )  # fmt: skip
    try:
        for row in reversed(rows):
            _apply_row(head, row)
    except _DAMAGE as error:
        raise _damaged(newest.thread, newest.id) from error
    return head


def _apply_row(head: Head, row: CheckpointRow) -> None:
    state = unpack(row)
    version, codes, seen, results = state
    if row.whole:
        for channel, (at, code) in codes.items():
            head.versions[channel] = at
            head.stored[channel] = _stored(None, code)
        head.seen.update(seen)
        head.updated = version
    else:
        for node in seen:  # before the versions below: what it saw are the versions that stood when it ran
            for trigger, known in _seen_by(node, seen, head.versions).items():
                head.seen.setdefault(node, {})[trigger] = known
        for channel, code in codes.items():
            head.versions[channel] = version
            head.stored[channel] = _stored(head.stored.get(channel), code)
        head.updated = list(codes)
    head.results = results


def unpack(row: CheckpointRow) -> tuple[Any, dict[str, Any], dict[str, Any], list[Any]]:
    """(version, codes, seen, results) of a row. Raises StorageError when they cannot be read."""
    try:
        state = ormsgpack.unpackb(row.state, option=_PACK)
        version, codes, seen, results, *_ = state  # what follows is the business of who wrote it
        codes = _texts(codes)
        if row.whole:
            version = None if version is None else [_text(name) for name in version]
            codes = {name: [_version(at), code] for name, (at, code) in codes.items()}
        else:
            version = _version(version)
        seen = {
            _text(k): None if v is None else {n: _version(at) for n, at in _texts(v).items()}
            for k, v in seen.items()
        }
        return (
            version,
            codes,
            seen,
            [
                [_text(n), None if i is None else int(i), [[_text(c), code] for c, code in w]]
                for n, i, w in results
            ],
        )
    except _DAMAGE as error:
        raise _damaged(row.thread, row.id) from error


def _damaged(thread: str, id: str) -> StorageError:
    return StorageError(f"checkpoint {id} of thread {thread!r} cannot be read: its rows are damaged.")


@lru_cache(4096)
def own_trigger(node: str) -> str:
    """The channel that makes an ordinary node due."""
    return START if node == START else f"branch:to:{node}"


def short_seen(seen: Mapping[str, Mapping[str, Any]], versions: Mapping[str, Any]) -> dict[str, Any]:
    """What nodes have seen, for a row of changes: None where it is their own trigger's version, as it mostly is."""
    return {
        node: None
        if len(known) == 1 and known.get(own_trigger(node), known) == versions.get(own_trigger(node))
        else known
        for node, known in seen.items()
    }


def _seen_by(node: str, seen: Mapping[str, Any], versions: Mapping[str, Any]) -> Mapping[str, Any]:
    known = seen[node]
    return {own_trigger(node): versions[own_trigger(node)]} if known is None else known


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogatepass")


def _version(version: Any) -> Any:
    return _text(version) if isinstance(version, bytes) else version


def _texts(mapping: dict[Any, Any]) -> dict[str, Any]:
    return {_text(key): value for key, value in mapping.items()} if mapping else {}


def _stored(before: Stored | None, code: Any) -> Stored:
    if code is None or isinstance(code, bytes):
        return Stored(code)
    if isinstance(code, int):
        if before is None or not isinstance(before.at, Ref):
            raise StorageError(
                "a checkpoint's row continues a log that its parent does not name: the chain is damaged."
            )
        return Stored(Ref(before.at.log, code, before.at.frozen))
    if isinstance(code, dict):
        return Stored(cast("dict[str, Any]", code))
    return Stored(Ref(code[0], code[1], len(code) > 2 and bool(code[2])))


def read_values(
    snapshot: Snapshot, pieces: Pieces, head: Head, *, shadows: bool = False, logs: Logs | None = None
) -> None:
    """Fills `head.values` from the logs."""
    logs = logs or Logs(snapshot, pieces, head.thread)
    channel = ""
    try:
        for channel, stored in head.stored.items():
            at = stored.at
            if at is None:
                continue
            if isinstance(at, bytes):
                value = logs.inline(at, head.id, channel)
            elif isinstance(at, dict):
                value = {_text(key): logs.part(code) for key, code in at.items()}
            else:
                value = logs.value(at)
            head.values[channel] = value
            if shadows:
                stored.shadow = Shadow(value)
    except EncodingError as error:
        raise located(error, head.thread, head.ns, head.id, f"channel {channel!r}") from error
    except _DAMAGE as error:
        raise _damaged(head.thread, head.id) from error


class Logs:
    """Reads values of one thread; what several checkpoints share is fetched and decoded once."""

    def __init__(self, snapshot: Snapshot, pieces: Pieces, thread: str) -> None:
        self._snapshot = snapshot
        self._pieces = pieces
        self._thread = thread
        self._rows: dict[int, tuple[int, list[SegmentRow]]] = {}
        self._lists: dict[int, list[Any]] = {}

    def inline(self, data: bytes, checkpoint: str, channel: str) -> Any:
        """The value of a channel that stands in its checkpoint's row."""
        return self._pieces.decode(data, aad=aad(self._thread, "inline", channel))

    def value(self, at: Ref) -> Any:
        """The value at a ref; `at` learns its counts. Checkpoints read by one `Logs` share the items of lists."""
        try:
            return self._value(at)
        except _DAMAGE as error:
            raise self._damaged(at.log) from error

    def _value(self, at: Ref) -> Any:
        rows = self._segments(at.log, at.length)
        if rows and all(row.kind == APPEND for row in rows):
            at.patches, at.dead, at.live = 0, 0, sum(len(row.payload) for row in rows)
            at.tail, at.small = _tail(rows, at.length)
            return self._items(at.log, rows)[: at.length]
        value: Any = MISSING
        at.patches = at.live = at.dead = 0
        for row in rows:
            if row.kind == PATCH:
                at.patches += 1
                at.dead += len(row.payload)
                value = apply_patch(value, self._piece(row))
            elif row.kind == FROM:
                log, length = self._piece(row)
                other = Ref(log, length)
                value = self._fresh(other)
                at.patches, at.live, at.dead = other.patches + 1, other.live, other.dead
            elif row.kind == APPEND:
                at.live += len(row.payload)
                items = self._piece(row)
                if row.start + row.count > at.length:
                    items = items[: at.length - row.start]
                if value is MISSING:
                    value = items
                else:
                    value.extend(items)
            else:
                at.live += len(row.payload)
                value = self._piece(row)
        at.tail, at.small = _tail(rows, at.length)
        if value is MISSING:
            raise StorageError(f"log {at.log} of thread {self._thread!r} is missing from the database.")
        return value

    def _fresh(self, at: Ref) -> Any:
        """A value whose containers are nobody else's: patches change it in place."""
        return Logs(self._snapshot, self._pieces, self._thread).value(at)

    def _items(self, log: int, rows: Sequence[SegmentRow]) -> list[Any]:
        """All items of a log of appended items, as far as it was fetched; decoded once."""
        known = self._lists.get(log)
        end = rows[-1].start + rows[-1].count
        if known is None or len(known) < end:
            known = [] if known is None else known
            for row in rows:
                if row.start >= len(known):
                    known += self._piece(row)
            self._lists[log] = known
        return known

    def part(self, code: Any) -> Any:
        """A slice [log, start, end] of appended items, as a list; other codes are whole values."""
        if isinstance(code, bytes):
            return self._pieces.decode(code, aad=aad(self._thread, "part", ""))
        try:
            log, start, end = code
            if end < 0:
                return self.value(Ref(log, start))
            found: list[Any] = []
            for row in self._segments(log, end):
                if row.start + row.count > start and row.kind == APPEND:
                    found += self._piece(row)[max(0, start - row.start) : end - row.start]
        except _DAMAGE as error:
            raise self._damaged(code) from error
        if len(found) != end - start:
            raise StorageError(f"log {log} of thread {self._thread!r} is missing a part of the database.")
        return found

    def _damaged(self, log: object) -> StorageError:
        return StorageError(f"log {log} of thread {self._thread!r} cannot be read: its rows are damaged.")

    def _segments(self, log: int, below: int) -> list[SegmentRow]:
        known = self._rows.get(log)
        if known is None or known[0] < below:
            known = self._rows[log] = (below, self._snapshot.segments(self._thread, log, below))
        return known[1] if known[0] == below else [row for row in known[1] if row.start < below]

    def _piece(self, row: SegmentRow) -> Any:
        return self._pieces.decode(row.payload, aad=aad(row.thread, row.log, row.start))


def is_sealed(count: int, size: int) -> bool:
    """Whether a segment is large enough to stay as it is; what sealing makes always is, however well it compresses."""
    return count >= SEAL_AT or size >= SEALED_BYTES


def _tail(rows: Sequence[SegmentRow], length: int) -> tuple[int, int]:
    """Where the small segments of appended items at the end begin, and how many they are."""
    small = 0
    for row in reversed(rows):
        if row.kind != APPEND or is_sealed(row.count, len(row.payload)) or row.start + row.count > length:
            break
        small += 1
    return (rows[-small].start if small else length), small


def aad(thread: str, *where: object) -> bytes:
    """The place of a piece, for authenticated encryption: bytes moved to another place do not decrypt."""
    return "\0".join(["perdure", thread, *map(str, where)]).encode("utf-8", "surrogatepass")


# -- rows ------------------------------------------------------------------------------------------------------------


def code_of(stored: Stored) -> Any:
    """The code that gives the channel without looking at a parent."""
    at = stored.at
    if isinstance(at, Ref):
        return [at.log, at.length, 1] if at.frozen else [at.log, at.length]
    return at


def packed(state: list[Any]) -> bytes:
    """A row's `state`: [version or changed channels, codes, seen, results]."""
    try:
        return ormsgpack.packb(state, option=_PACK)
    except (TypeError, ValueError):  # names with lone surrogates, versions beyond 64 bits
        try:
            return ormsgpack.packb(_packable(state), option=_PACK)
        except (TypeError, ValueError) as error:
            raise EncodingError(
                f"a checkpoint's versions cannot be saved: {error}", path="versions"
            ) from error


def _packable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_name(k): _packable(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_packable(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return _name(value)


def _name(text: Any) -> Any:
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogatepass")
    return text


def freeze(head: Head) -> None:
    """From now on every log of the head is another branch's: writers begin new ones."""
    for stored in head.stored.values():
        if isinstance(stored.at, Ref):
            stored.at.frozen = True
