"""Numbers for new threads, chains, logs and namespaces: a sequence gives 32 at once, which are this process's own.

So a commit that meets a new name asks nobody, nearly always. What a process leaves unused is nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from perdure.storage.tables.gathering import CHAIN, LOG, NAMESPACE, THREAD

__all__ = ["BLOCKS", "Numbers"]

BLOCKS: Final[Mapping[int, str]] = {
    THREAD: "thread_numbers",
    CHAIN: "chain_numbers",
    LOG: "log_numbers",
    NAMESPACE: "namespace_numbers",
}
_AT_ONCE: Final = 32
LAST_OF_31_BITS: Final = (1 << 31) - 1
"""Of logs and namespaces: their numbers stand before 32 bits of others. The sequences end there, in the middle of a block."""


class NoNumbers(Exception):
    """A sequence is at its end. Of a group, whoever needs a number fails, and nobody else."""

    sqlstate = "2200H"


class Numbers:
    """The numbers that are left. Used by whoever leads, one at a time."""

    def __init__(self) -> None:
        self._left: dict[int, list[int]] = {kind: [] for kind in BLOCKS}

    def missing(self, kind: int, wanted: int) -> int:
        """How many times the sequence has to be asked, so that so many numbers are here."""
        return max(0, -(-(wanted - len(self._left[kind])) // _AT_ONCE))

    def add(self, kind: int, first: int | None) -> None:
        """What the sequence said; None: it is at its end."""
        if first is None:
            return
        last = first + _AT_ONCE - 1
        if kind in (LOG, NAMESPACE):
            last = min(last, LAST_OF_31_BITS)
        self._left[kind][:0] = range(last, first - 1, -1)

    def take(self, kind: int) -> int:
        """One of them.

        Raises:
            NoNumbers: all are given.
        """
        if not self._left[kind]:
            raise NoNumbers("all numbers of 31 bits are given")
        return self._left[kind].pop()
