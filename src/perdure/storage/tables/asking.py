"""Asking one moment of a database: what all answers are made with.

Here: `Asking`, what a snapshot of each backend provides. Not here: connections, SQL.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from perdure import clock
from perdure.storage.contract import Disagreement

__all__ = ["FEW_NAMESPACES", "LAST", "Asking", "bounded"]

LAST: Final = (1 << 63) - 1

FEW_NAMESPACES: Final = 200  # up to here a merge over them is faster than walking all versions


class Asking(ABC):
    """One snapshot, and its ways to ask. Blocks go by their names."""

    def __init__(self, where: str, source: object) -> None:
        self.source = source
        self._where = where
        self._now = clock.micros()

    @abstractmethod
    def _ask(self, name: str, values: Sequence[Any] = ()) -> list[Any]:
        """The answer of a block to these values."""

    @abstractmethod
    def _ask_many(self, name: str, rows: Sequence[tuple[Any, ...]], *more: int) -> list[Any]:
        """The answers of a block to many rows of values, and `more` behind them: in any order, one may come twice."""

    @abstractmethod
    def _newest(self) -> int:
        """The seq of the newest commit up to which the snapshot sees all."""

    def _own_disagreements(self) -> list[Disagreement]:
        """What the database finds wrong by itself."""
        return []

    def _ask_block(self, name: str, *values: Any) -> list[Any]:
        return self._ask(name, values)

    def _few(self, inside: tuple[bytes, bytes]) -> bool:
        """Whether a range has so few namespaces that one merges over them."""
        (spaces,) = self._ask("count_namespaces", (*inside, FEW_NAMESPACES + 1))[0]
        return spaces <= FEW_NAMESPACES


def bounded(at: int) -> int:
    """A time that fits into a column, of the same meaning."""
    return max(-LAST, min(at, LAST))
