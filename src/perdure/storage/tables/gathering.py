"""What a group of commits has gathered: rows by statement, and what is known meanwhile.

Rows are kept as their values, one after the other: hundreds of thousands of tuples would be looked through again and
again by Python's garbage collector.
Here: `Gathering`, what each backend completes with its ways to ask and to write. Not here: which rows (`thread_rows.py`,
`item_changes.py`, `removing.py`), the story of a commit (`committing.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

from perdure.storage.tables.embedding_rows import VectorRows
from perdure.storage.tables.filing import Filing
from perdure.storage.tables.known import Known
from perdure.storage.tables.rows import Prepared
from perdure.storage.tables.statements import EMBEDDING, FILING, SET_ITEM

__all__ = ["CHAIN", "INDEX", "LOG", "NAMESPACE", "THREAD", "Gathering"]

THREAD, CHAIN, LOG, NAMESPACE, INDEX = range(5)
"""What has numbers."""


class Gathering(ABC):
    """One group within one transaction."""

    __slots__ = (
        "filed",
        "filing",
        "forgot",
        "known",
        "rows",
        "set_items",
        "touched",
        "vectors",
    )

    def __init__(self, known: Known) -> None:
        self.known = known
        self.rows: dict[str, list[Any]] = {}  # statement -> the values of its rows
        self.touched: set[bytes] = set()  # threads with rows that are not written yet
        self.set_items: dict[int, tuple[Any, ...]] = {}  # id -> the values of `set_item`
        self.filing = Filing(known)
        self.vectors = VectorRows()
        self.filed: dict[int, bool] = {}  # items filed, and whether they had terms before
        self.forgot = False  # whether a removal made what was known doubtful

    # -- questions ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def ask(self, name: str, *values: bytes | int) -> list[tuple[Any, ...]]:
        """The answer of a block, now."""

    @abstractmethod
    def ask_all(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        """Runs a block for many rows of values, now."""

    @abstractmethod
    def ask_many(self, name: str, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Answers about many rows of values, in few questions; an answer may come twice."""

    @abstractmethod
    def learn(self, members: Sequence[Prepared]) -> None:
        """All that the members touch is known from now on."""

    @abstractmethod
    def next_number(self, kind: int) -> int:
        """A number for a thread, a chain ... that has none: nobody else gets it."""

    @abstractmethod
    def greatest_index(self) -> int:
        """The greatest number of an index."""

    def overwriting(self) -> AbstractContextManager[object]:
        """Within, what is deleted leaves nothing in free space, where the database can see to it."""
        return nullcontext()

    # -- rows --------------------------------------------------------------------------------------------------------

    def add(self, statement: str, row: tuple[Any, ...]) -> None:
        """The statement is to be run with these values, in its place."""
        values = self.rows.get(statement)
        if values is None:
            self.rows[statement] = list(row)
        else:
            values += row

    @abstractmethod
    def flush(self) -> None:
        """Writes what was gathered, in the order of effects."""

    def settle_items(self) -> None:
        """The net effect on items, how they are filed and their vectors is rows like any other from now on."""
        if self.set_items:
            self.rows[SET_ITEM] = list(chain.from_iterable(self.set_items.values()))
            self.set_items = {}
        if not (self.filed or self.filing.changed or self.vectors.changed):
            return
        gathered = self.filing.rows(self.filed)
        self.filed = {}
        for statement, values in zip((*FILING, *EMBEDDING), (*gathered, *self.vectors.rows()), strict=True):
            if values:
                self.rows[statement] = values
