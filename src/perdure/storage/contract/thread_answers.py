"""What a snapshot answers about threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from perdure.storage.contract.marks import Chained, Revision
from perdure.storage.contract.threads import CheckpointRow, RunRow, SegmentRow, StagedRow, WriteRow

__all__ = ["ThreadAnswers"]


class ThreadAnswers(Protocol):
    """Chains of checkpoints, what their values hang on, and what unfinished steps have left."""

    def head(self, thread: str, ns: str) -> str | None:
        """The greatest checkpoint id of the chain. One seek."""
        ...

    def standing(self, thread: str, ns: str) -> tuple[str, Revision] | None:
        """The head and its revision. One seek."""
        ...

    def heads(self, thread: str) -> list[tuple[str, str]]:
        """(ns, head) of every chain of the thread, by ns."""
        ...

    def threads(self, after: str | None, limit: int) -> list[str]:
        """Thread ids in byte order of their UTF-8, from behind `after`."""
        ...

    def checkpoint(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row, or None."""
        ...

    def following(self, thread: str, ns: str, id: str) -> CheckpointRow | None:
        """The row with the next greater id in the chain, or None. One seek."""
        ...

    def lineage(self, thread: str, ns: str, id: str) -> list[CheckpointRow]:
        """The checkpoint and its ancestors within the namespace, newest first, up to and with the first `whole` one.

        Empty when `id` is unknown. Raises StorageError when an ancestor that is needed is missing.
        """
        ...

    def checkpoints(
        self, thread: str | None, ns: str | None, before: str | None, limit: int | None
    ) -> list[CheckpointRow]:
        """Rows by id, greatest first (ties by thread, ns); `before` is exclusive; None: any thread, any namespace."""
        ...

    def run(self, thread: str, id: str) -> RunRow | None:
        """The run's row, or None."""
        ...

    def segments(self, thread: str, log: int, below: int) -> list[SegmentRow]:
        """The segments with `start < below`, in order. One range."""
        ...

    def logs(self, thread: str) -> list[tuple[int, int]]:
        """(log, end) of every log of the thread: what pruning and copying need."""
        ...

    def writes(self, thread: str, ns: str, checkpoint: str) -> list[WriteRow]:
        """The checkpoint's pending writes, ordered by (path, task, index)."""
        ...

    def writes_of(self, places: Sequence[Chained]) -> dict[Chained, list[WriteRow]]:
        """The pending writes of each of these checkpoints that has any, as `writes` gives them; one question for all."""
        ...

    def staged(self, thread: str, ns: str, checkpoint: str) -> list[StagedRow]:
        """The checkpoint's staged memory, ordered by (task, index)."""
        ...
