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


class Numbers:
    """The numbers that are left. Used by whoever leads, one at a time."""

    def __init__(self) -> None:
        self._left: dict[int, list[int]] = {kind: [] for kind in BLOCKS}

    def missing(self, kind: int, wanted: int) -> int:
        """How many times the sequence has to be asked, so that so many numbers are here."""
        return max(0, -(-(wanted - len(self._left[kind])) // _AT_ONCE))

    def add(self, kind: int, first: int) -> None:
        """What the sequence said."""
        self._left[kind][:0] = range(first + _AT_ONCE - 1, first - 1, -1)

    def take(self, kind: int) -> int:
        """One of them."""
        return self._left[kind].pop()
