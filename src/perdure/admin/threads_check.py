"""Whether a thread can be read whole: rows, what they rest on, the logs that they name, every stored byte.

Here: one thread of one snapshot. Not here: all of them, mending (`checking.py`). Values are opened and taken apart, but not
built, so that no type of the user's needs to be known.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, cast

from perdure.checkpoint.removal import Reach
from perdure.checkpoint.rows import raw_extras
from perdure.codec import Codec
from perdure.codec.envelope import FOREIGN
from perdure.errors import EncodingError, StorageError
from perdure.storage.chains import Head, Ref, aad, fold, unpack
from perdure.storage.contract import CheckpointRow, Removal, Snapshot

__all__ = [
    "FOREIGN_VALUES",
    "LOST_LOGS",
    "LOST_PARENTS",
    "UNREACHED",
    "WRONG_ROWS",
    "WRONG_VALUES",
    "ThreadCheck",
]

LOST_PARENTS: Final = "checkpoints that rest on one that is missing"
WRONG_ROWS: Final = "checkpoints whose row cannot be read"
WRONG_VALUES: Final = "stored values that cannot be read"
LOST_LOGS: Final = "checkpoints that name a log, or a part of one, that is missing"
UNREACHED: Final = "logs that no checkpoint reaches to their end"
FOREIGN_VALUES: Final = "values written through a serializer of one's own, which were not looked into"


class ThreadCheck:
    """Looks at one thread.

    Attributes:
        found: what, and how often.
        cuts: takes away what no checkpoint reaches; empty where anything else is wrong, for then nobody knows what is.
        checkpoints: how many it has.
        severed: checkpoints whose parent was pruned, and that stand alone: as it should be.
    """

    def __init__(self, snapshot: Snapshot, codec: Codec, thread: str) -> None:
        """Looks at all of it, at once."""
        self._snapshot = snapshot
        self._codec = codec
        self._thread = thread
        self.found: Counter[str] = Counter()
        self.cuts: list[Removal] = []
        rows = snapshot.checkpoints(thread, None, None, None)
        self.checkpoints = len(rows)
        self._rows = {(row.ns, row.id): row for row in rows}
        self.severed = sum(
            row.parent is not None and (row.parent_ns, row.parent) not in self._rows for row in rows
        )
        self._ends = self._logs()
        reach = Reach(snapshot, codec, thread)
        for row in rows:
            self._row(row, reach)
        self._runs(rows)
        if not (self.found.keys() - {FOREIGN_VALUES}):
            cuts, _ = reach.cuts()
            self.found[UNREACHED] += len(cuts)
            self.cuts = list(cuts)
        self.found = +self.found

    def _logs(self) -> dict[int, int]:
        """Where each log ends, as far as there is no gap; every segment is looked at."""
        ends: dict[int, int] = {}
        for log, _ in self._snapshot.logs(self._thread):
            end = 0
            for segment in self._snapshot.segments(self._thread, log, 1 << 32):
                self._value(segment.payload, segment.log, segment.start)
                if segment.start == end:
                    end += segment.count
            ends[log] = end
        return ends

    def _row(self, row: CheckpointRow, reach: Reach) -> None:
        lineage = self._lineage(row)
        if lineage is None:
            self.found[LOST_PARENTS] += 1
            return
        try:
            head = fold(lineage)
        except StorageError:
            self.found[WRONG_ROWS] += 1
            return
        if not self._whole(row, head):
            self.found[LOST_LOGS] += 1
        else:
            self._follow(head, reach)
        self._inline(row)
        self._beside(row)

    def _lineage(self, row: CheckpointRow) -> list[CheckpointRow] | None:
        line = [row]
        while not line[-1].whole:
            older = self._rows.get((row.ns, line[-1].parent or ""))
            if older is None or len(line) > len(self._rows):
                return None
            line.append(older)
        return line

    def _follow(self, head: Head, reach: Reach) -> None:
        try:
            reach.follow(head, results=True)
        except EncodingError:
            self.found[WRONG_VALUES] += 1  # where a log says from which it goes on
        except RecursionError:
            self.found[LOST_LOGS] += 1

    def _whole(self, row: CheckpointRow, head: Head) -> bool:
        """Whether all that it names is there."""
        codes: list[Any] = []
        for stored in head.stored.values():
            if isinstance(stored.at, Ref):
                codes.append([stored.at.log, 0, stored.at.length])
            elif isinstance(stored.at, dict):
                codes += stored.at.values()
        codes += [code for _, _, written in head.results for _, code in written]
        return all(self._there(cast("object", code)) for code in codes if isinstance(code, list))

    def _there(self, code: object) -> bool:
        try:
            log, start, end = cast("list[int]", code)
            return self._ends.get(log, 0) >= (start if end < 0 else end)
        except (TypeError, ValueError):
            return False

    def _inline(self, row: CheckpointRow) -> None:
        """Values that stand in the row itself."""
        _, codes, _, results = unpack(row)
        for name, code in codes.items():
            code = code[1] if row.whole else code
            if isinstance(code, bytes):
                self._value(code, "inline", name)
            elif isinstance(code, dict):
                for part in cast("dict[Any, Any]", code).values():
                    self._part(part)
        for _, _, written in results:
            for _, code in written:
                self._part(code)

    def _part(self, code: object) -> None:
        if isinstance(code, bytes):
            self._value(code, "part", "")

    def _beside(self, row: CheckpointRow) -> None:
        """What belongs to the row: metadata, pending writes, staged memory."""
        if self._codec.cipher is not None:
            for extras in raw_extras(row):
                if isinstance(extras, bytes):
                    self._value(extras, "extras", row.ns, row.id)
            if row.metadata is not None:
                self._value(row.metadata, "metadata", row.ns, row.id)
        for write in self._snapshot.writes(self._thread, row.ns, row.id):
            self._value(write.payload, "write", row.id, write.task, write.index)
        for staged in self._snapshot.staged(self._thread, row.ns, row.id):
            self._value(staged.payload, "staged", row.id, staged.task, staged.index)

    def _runs(self, rows: list[CheckpointRow]) -> None:
        for id in {row.run for row in rows if row.run is not None}:
            run = self._snapshot.run(self._thread, id)
            if run is not None and self._codec.cipher is not None:
                self._value(run.metadata, "run", id)

    def _value(self, stored: bytes, *place: object) -> None:
        if self._codec.cipher is None and stored.startswith(FOREIGN):
            self.found[FOREIGN_VALUES] += 1
            return
        try:
            self._codec.check(stored, aad=aad(self._thread, *place))
        except EncodingError:
            self.found[WRONG_VALUES] += 1
