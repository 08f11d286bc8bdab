"""What a database answers about threads: chains, segments, what unfinished steps have left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perdure.codec import bytes_to_text, decode_namespace, text_to_bytes
from perdure.errors import StorageError
from perdure.storage.contract import Chained, CheckpointRow, Revision, RunRow, SegmentRow, StagedRow, WriteRow
from perdure.storage.tables.asking import LAST, Asking
from perdure.storage.tables.packing import pack_id, unpack_id, unpack_task
from perdure.storage.tables.values import checkpoint_of, write_of

__all__ = ["ThreadAnswers"]

_POSITIONS: Final = 1 << 32


class ThreadAnswers(Asking):
    """See the contract."""

    def head(self, thread: str, ns: str) -> str | None:
        """The greatest checkpoint id of the chain."""
        rows = self._ask("head", (text_to_bytes(thread), text_to_bytes(ns)))
        return unpack_id(rows[0][0]) if rows else None

    def standing(self, thread: str, ns: str) -> tuple[str, Revision] | None:
        """The head and its revision."""
        rows = self._ask("head", (text_to_bytes(thread), text_to_bytes(ns)))
        return (unpack_id(rows[0][0]), Revision(0, rows[0][1])) if rows else None

    def heads(self, thread: str) -> list[tuple[str, str]]:
        """(ns, head) of every chain of the thread that has one."""
        rows = self._ask("heads", (text_to_bytes(thread),))
        return [(bytes_to_text(ns), unpack_id(id)) for ns, id in rows]

    def threads(self, after: str | None, limit: int) -> list[str]:
        """Thread ids in byte order, from behind `after`."""
        # An empty id would not be behind the empty start; it is refused at every door.
        rows = self._ask("threads", (text_to_bytes(after or ""), min(limit, LAST)))
        return [bytes_to_text(name) for (name,) in rows]

    def checkpoint(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row, or None."""
        rows = self._ask("checkpoint", (text_to_bytes(thread), text_to_bytes(ns), pack_id(id)))
        return checkpoint_of(thread, ns, rows[0]) if rows else None

    def following(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row with the next greater id in the chain."""
        rows = self._ask("following", (text_to_bytes(thread), text_to_bytes(ns), pack_id(id)))
        return checkpoint_of(thread, ns, rows[0]) if rows else None

    def lineage(self, thread: str, ns: str, id: str) -> list[CheckpointRow]:
        """The checkpoint and its ancestors, newest first, up to and with the first whole one."""
        rows = self._ask("lineage", (text_to_bytes(thread), text_to_bytes(ns), pack_id(id)))
        found = [checkpoint_of(thread, ns, row) for row in rows]
        if found and not found[-1].whole:
            raise StorageError(
                f"checkpoint {id} of thread {thread!r} rests on {found[-1].parent}, which is missing from the database.",
                operation="read",
                where=self._where,
                hint="Restore a copy of the database that still has it.",
            )
        return found

    def checkpoints(
        self, thread: str | None, ns: str | None, before: str | None, limit: int | None
    ) -> list[CheckpointRow]:
        """Rows by id, greatest first (ties by thread, ns)."""
        space = None if ns is None else text_to_bytes(ns)
        end = None if before is None else pack_id(before)
        most = -1 if limit is None else min(limit, LAST)
        if thread is None:
            rows = self._ask("all_checkpoints", (space, end, most))
        elif space is None:
            rows = self._ask("thread_checkpoints", (text_to_bytes(thread), end, most))
        else:
            rows = self._ask("chain_checkpoints", (text_to_bytes(thread), space, end, most))
        return [checkpoint_of(bytes_to_text(row[0]), bytes_to_text(row[1]), row[2:]) for row in rows]

    def run(self, thread: str, id: str) -> RunRow | None:
        """The run's row, or None."""
        rows = self._ask("run", (text_to_bytes(thread), pack_id(id)))
        return RunRow(thread, id, *rows[0]) if rows else None

    def segments(self, thread: str, log: int, below: int) -> list[SegmentRow]:
        """The segments with `start < below`, in order."""
        if not -LAST <= log <= LAST:
            return []
        rows = self._ask("segments", (text_to_bytes(thread), log, max(0, min(below, _POSITIONS))))
        return [SegmentRow(thread, log, *row) for row in rows]

    def logs(self, thread: str) -> list[tuple[int, int]]:
        """(log, end) of every log of the thread."""
        return self._ask("logs", (text_to_bytes(thread),))

    def writes(self, thread: str, ns: str, checkpoint: str) -> list[WriteRow]:
        """The checkpoint's pending writes, ordered by (path, task, index)."""
        rows = self._ask("writes", (text_to_bytes(thread), text_to_bytes(ns), pack_id(checkpoint)))
        found = [write_of((thread, ns, checkpoint), row) for row in rows]
        found.sort(key=_order_of_writes)
        return found

    def writes_of(self, places: Sequence[Chained]) -> dict[Chained, list[WriteRow]]:
        """The pending writes of each of these checkpoints that has any."""
        found: dict[Chained, list[WriteRow]] = {}
        wanted = list(dict.fromkeys(places))
        rows = [
            (number, text_to_bytes(thread), text_to_bytes(ns), pack_id(id))
            for number, (thread, ns, id) in enumerate(wanted)
        ]
        for row in dict.fromkeys(self._ask_many("writes_of", rows)):  # an answer may come twice
            number: int = row[0]
            place = wanted[number]
            found.setdefault(place, []).append(write_of(place, row[1:]))
        for writes in found.values():
            writes.sort(key=_order_of_writes)
        return found

    def staged(self, thread: str, ns: str, checkpoint: str) -> list[StagedRow]:
        """The checkpoint's staged memory, ordered by (task, index)."""
        rows = self._ask("staged", (text_to_bytes(thread), text_to_bytes(ns), pack_id(checkpoint)))
        found = [
            StagedRow(
                thread,
                ns,
                checkpoint,
                unpack_task(task),
                index,
                decode_namespace(space),
                bytes_to_text(key),
                payload,
            )
            for task, index, space, key, payload in rows
        ]
        found.sort(key=lambda row: (row.task, row.index))
        return found


def _order_of_writes(row: WriteRow) -> tuple[str, str, int]:
    return row.path, row.task, row.index
