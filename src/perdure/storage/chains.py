"""Between a checkpoint and its rows: which channel stands where, written as small changes, read back exactly.

A checkpoint's `state` is a packed map: for every changed channel a *code* that says where its value is. A row that is
not `whole` holds the changes to its parent only; every 32nd row, every fork and every first row is whole.

    code            the channel's value
    None            none (cleared)
    bytes           these bytes, decoded
    int             in the same log as before, up to this length
    [log, length]   in this log; a third item 1: *frozen*, a writer goes on in a new log (the log's end is another branch's)
    {key: slice}    a dict put together from slices of other channels' logs (the input of a step)

Here: `Head` (a checkpoint in memory), reading it, the rows of its successor. Pure but for the snapshot it is given.
Not here: what a step means, the transaction, channels' behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Protocol, cast

import ormsgpack

from perdure.channels.base import MISSING
from perdure.constants import START
from perdure.errors import EncodingError, StorageError
from perdure.storage.contract import CheckpointRow, RemoveSegments, Revision, SegmentRow, Snapshot
from perdure.storage.deltas import APPEND, BASE, FROM, PATCH, Change, Shadow, change_of
from perdure.storage.located import located
from perdure.storage.patches import apply_patch

INLINE_BYTES: Final = 96  # a value up to this size stands in the checkpoint's own row
RESULT_BYTES: Final = 512  # a task's result up to this size, too
WHOLE_EVERY: Final = 32
PATCHES: Final = 64  # then a new base
SEAL_AT: Final = 64  # small segments of appended items; then they become one, which compresses better
SEALED_BYTES: Final = 16384  # a segment of this size stays as it is

_PACK = ormsgpack.OPT_NON_STR_KEYS


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
    for row in reversed(rows):
        _apply_row(head, row)
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
            [[_text(n), i, [[_text(c), code] for c, code in w]] for n, i, w in results],
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StorageError(
            f"checkpoint {row.id} of thread {row.thread!r} cannot be read: its row is damaged."
        ) from error


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
        log, start, end = code
        if end < 0:
            return self.value(Ref(log, start))
        found: list[Any] = []
        for row in self._segments(log, end):
            if row.start + row.count > start and row.kind == APPEND:
                found += self._piece(row)[max(0, start - row.start) : end - row.start]
        if len(found) != end - start:
            raise StorageError(f"log {log} of thread {self._thread!r} is missing a part of the database.")
        return found

    def _segments(self, log: int, below: int) -> list[SegmentRow]:
        known = self._rows.get(log)
        if known is None or known[0] < below:
            known = self._rows[log] = (below, self._snapshot.segments(self._thread, log, below))
        return known[1] if known[0] == below else [row for row in known[1] if row.start < below]

    def _piece(self, row: SegmentRow) -> Any:
        return self._pieces.decode(row.payload, aad=aad(row.thread, row.log, row.start))


def _sealed(count: int, size: int) -> bool:
    """Whether a segment is large enough to stay as it is; what sealing makes always is, however well it compresses."""
    return count >= SEAL_AT or size >= SEALED_BYTES


def _tail(rows: Sequence[SegmentRow], length: int) -> tuple[int, int]:
    """Where the small segments of appended items at the end begin, and how many they are."""
    small = 0
    for row in reversed(rows):
        if row.kind != APPEND or _sealed(row.count, len(row.payload)) or row.start + row.count > length:
            break
        small += 1
    return (rows[-small].start if small else length), small


def aad(thread: str, *where: object) -> bytes:
    """The place of a piece, for authenticated encryption: bytes moved to another place do not decrypt."""
    return "\0".join(["perdure", thread, *map(str, where)]).encode("utf-8", "surrogatepass")


# -- writing -------------------------------------------------------------------------------------------------------


class Writer:
    """Collects the segments of one commit for one thread, and the codes that go into the checkpoint's row."""

    __slots__ = ("_bound", "_new_log", "_patches", "_pieces", "appended", "removals", "segments", "thread")

    def __init__(self, thread: str, pieces: Pieces, new_log: Callable[[], int]) -> None:
        self.thread = thread
        self._pieces = pieces
        self._new_log = new_log
        # A serializer of the user's may change keys and containers: a patch that was made for the live value would not
        # fit what it gives back.
        self._patches: bool = getattr(pieces, "keeps_structure", True)
        self._bound = getattr(pieces, "cipher", pieces) is not None  # a plain codec has no use for the place
        self.segments: list[SegmentRow] = []
        self.removals: list[RemoveSegments] = []
        self.appended: dict[
            str, tuple[int, int, list[Any]]
        ] = {}  # channel -> (log, start, items) of this checkpoint

    def encode(self, value: object, path: str, *where: object) -> bytes:
        """The bytes of a piece that stands at `where` in this thread."""
        if self._bound:
            return self._pieces.encode(value, path=path, aad=aad(self.thread, *where))
        return self._pieces.encode(value, path=path)

    def channel(
        self, name: str, before: Stored | None, value: Any, *, calm: bool = False
    ) -> tuple[Any, Stored]:
        """(code, what is stored) for a channel that now has `value` (MISSING: none). `calm`: see `change_of`."""
        if value is MISSING:
            return None, Stored(None)
        at = before.at if before else None
        if isinstance(at, Ref) and before and before.shadow is not None:
            change = change_of(before.shadow, value, calm=calm)
            if change is None:
                return (at.length if not at.frozen else [at.log, at.length, 1]), before
            fits = change.kind == APPEND or (change.kind == PATCH and self._patches)
            if fits and at.patches < PATCHES and at.dead <= at.live + 4096:
                return self._extended(name, before, at, change, value)
        return self._begun(name, value)

    def _begun(self, name: str, value: Any) -> tuple[Any, Stored]:
        if self._bound:
            data = self.encode(value, f"state.{name}", "inline", name)
        else:
            data = self._pieces.encode(value, path=f"state.{name}")
        if len(data) <= INLINE_BYTES:
            return data, Stored(data)
        log = self._new_log()
        if type(value) is list:
            count: int = len(value)  # pyright: ignore[reportUnknownArgumentType] - any list
            self.appended[name] = (log, 0, value)
            live = self._segment(log, 0, count, APPEND, value, f"state.{name}")
        else:
            count = 1
            live = self._segment(log, 0, 1, BASE, value, f"state.{name}")
        return [log, count], Stored(Ref(log, count, live=live, tail=count), Shadow(value))

    def _extended(self, name: str, before: Stored, at: Ref, change: Change, value: Any) -> tuple[Any, Stored]:
        ref = Ref(at.log, at.length, False, at.patches, at.live, at.dead, at.tail, at.small)
        if at.frozen:  # another branch may have gone on in that log
            ref.log, ref.length, ref.patches = self._new_log(), 1, at.patches + 1
            ref.tail, ref.small = 1, 0
            self._segment(ref.log, 0, 1, FROM, [at.log, at.length], f"state.{name}")
        start = ref.length
        ref.length += change.width
        if change.kind == APPEND:
            self.appended[name] = (ref.log, start, change.piece)
            if ref.small + 1 >= SEAL_AT:
                self._seal(name, ref, value)
            else:
                size = self._segment(ref.log, start, change.width, APPEND, change.piece, f"state.{name}")
                ref.live += size
                sealed = _sealed(change.width, size)
                ref.small = 0 if sealed else ref.small + 1
                ref.tail = ref.length if sealed else ref.tail
        else:
            ref.patches += 1
            ref.dead += self._segment(ref.log, start, 1, PATCH, change.piece, f"state.{name}")
            ref.tail, ref.small = ref.length, 0
        assert before.shadow is not None  # noqa: S101 - the caller looked
        before.shadow.absorb(change, value)
        return (ref.length if ref.log == at.log else [ref.log, ref.length]), Stored(ref, before.shadow)

    def _seal(self, name: str, ref: Ref, value: list[Any]) -> None:
        """The small segments at the log's end become one; no checkpoint refers to segments, so none changes."""
        count = ref.length - ref.tail
        self.removals.append(RemoveSegments(self.thread, ref.log, ref.tail))
        items = value[len(value) - count :]
        self._segment(ref.log, ref.tail, count, APPEND, items, f"state.{name}")
        ref.tail, ref.small = ref.length, 0

    def _segment(self, log: int, start: int, count: int, kind: int, piece: Any, path: str) -> int:
        payload = self.encode(piece, path, log, start)
        self.segments.append(SegmentRow(self.thread, log, start, count, kind, payload))
        return len(payload)

    def result(self, channel: str, value: Any, taken: dict[str, int], after: Mapping[str, Any]) -> Any:
        """The code of what a task wrote.

        A slice of this checkpoint's appended items where those are its very bytes, the number 2 where it is the channel's
        value after the step, else the value itself.
        """
        appended = self.appended.get(channel)
        if appended is not None and type(value) is list:
            log, start, items = appended
            written = cast("list[Any]", value)
            first = taken.get(channel, 0)
            last = first + len(written)
            if last <= len(items) and all(a is b for a, b in zip(items[first:last], written, strict=True)):
                taken[channel] = last
                return [log, start + first, start + last]
        if after.get(channel, MISSING) is value:
            return 2
        data = self.encode(cast("object", value), f"the update of {channel}", "part", "")
        if len(data) <= RESULT_BYTES:
            return data
        log = self._new_log()
        self._segment(log, 0, 1, BASE, value, f"the update of {channel}")
        return [log, 1, -1]


def pack_changes(
    version: Any, codes: Mapping[str, Any], seen: Mapping[str, Any], results: Iterable[Any]
) -> bytes:
    """The `state` of a row that holds changes: all of them under one version."""
    return packed([version, codes, seen, list(results)])


def pack_whole(head: Head, results: Iterable[Any]) -> bytes:
    """The `state` of a row that stands alone."""
    codes = {
        name: [head.versions[name], code_of(stored)]
        for name, stored in head.stored.items()
        if name in head.versions
    }
    return packed([head.updated, codes, head.seen, list(results)])


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
