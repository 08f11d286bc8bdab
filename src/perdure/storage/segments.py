"""The segments of one commit for one thread, and the codes that say in a checkpoint's row where its values stand.

Here: `Writer`. Not here: what a code means and how it is read back (`chains.py`), what changed in a value (`deltas.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from perdure.channels.base import MISSING
from perdure.storage.chains import SEAL_AT, Pieces, Ref, Stored, aad, is_sealed
from perdure.storage.contract import RemoveSegments, SegmentRow
from perdure.storage.deltas import APPEND, BASE, FROM, PATCH, Change, Shadow, change_of

INLINE_BYTES: Final = 96  # a value up to this size stands in the checkpoint's own row
RESULT_BYTES: Final = 512  # a task's result up to this size, too
PATCHES: Final = 64  # then a new base


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
                sealed = is_sealed(change.width, size)
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
