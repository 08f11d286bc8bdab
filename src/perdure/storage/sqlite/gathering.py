"""What a group of commits has gathered, and the transaction it goes to: table after table, many rows at once.

Rows are kept as their values, one after the other: hundreds of thousands of tuples would be looked through again and
again by Python's garbage collector.
Here: `Gathering`, rows by statement and the questions that may come between. Not here: which rows (`thread_rows.py`,
`item_changes.py`, `removing.py`), the story of a commit (`writer.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from perdure.storage.sqlite.connections import C, Connection
from perdure.storage.sqlite.embedding_rows import VectorRows
from perdure.storage.sqlite.filing import Filing
from perdure.storage.sqlite.known import Known
from perdure.storage.sqlite.statements import AT_ONCE, EMBEDDING, FILING, IN_ORDER, MANY, SET_ITEM, WIDTH, Q

__all__ = ["Gathering"]

_ASKED_AT_ONCE: Final = 64
_BEGIN = C["begin_write"]


class Gathering:
    """One group within one transaction.

    `begun` False: there is no transaction yet. It begins with the first statement that needs one; what was read before is
    proved by `add_commit`, which fails if anybody else made the commit of that number.
    """

    __slots__ = (
        "begun",
        "db",
        "filed",
        "filing",
        "forgot",
        "known",
        "rows",
        "set_items",
        "touched",
        "vectors",
    )

    def __init__(self, connection: Connection, known: Known, *, begun: bool = True) -> None:
        self.db = connection
        self.known = known
        self.begun = begun
        self.rows: dict[str, list[Any]] = {}  # statement -> the values of its rows
        self.touched: set[bytes] = set()  # threads with rows that are not written yet
        self.set_items: dict[int, tuple[Any, ...]] = {}  # id -> the values of `set_item`
        self.filing = Filing(known)
        self.vectors = VectorRows()
        self.filed: dict[int, bool] = {}  # items filed, and whether they had terms before
        self.forgot = False  # whether a removal made what was known doubtful

    def begin(self) -> None:
        """Within a transaction from now on."""
        if not self.begun:
            self.db.execute(_BEGIN)
            self.begun = True

    # -- questions ---------------------------------------------------------------------------------------------------

    def ask(self, name: str, *values: bytes | int) -> list[tuple[Any, ...]]:
        """The answer of a block of `Q`, now."""
        self.begin()
        return self.db.execute(Q[name], values).fetchall()

    def ask_all(self, name: str, rows: list[tuple[Any, ...]]) -> None:
        """Runs a block of `Q` for many rows of values, now."""
        self.db.executemany(Q[name], rows)

    def ask_many(self, name: str, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Answers about many rows of values, in few questions. Padded, so that few texts of the block are ever compiled."""
        self.begin()
        found: list[tuple[Any, ...]] = []
        wanted = list(rows)
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            part = wanted[start : start + _ASKED_AT_ONCE]
            size = next(size for size in (1, 2, 8, _ASKED_AT_ONCE) if size >= len(part))
            padded = part + [part[-1]] * (size - len(part))
            text = Q.repeated(name, size)
            found += self.db.execute(text, [value for row in padded for value in row]).fetchall()
        return found

    # -- rows --------------------------------------------------------------------------------------------------------

    def add(self, statement: str, row: tuple[Any, ...]) -> None:
        """The statement is to be run with these values, in its place."""
        values = self.rows.get(statement)
        if values is None:
            self.rows[statement] = list(row)
        else:
            values += row

    def flush(self) -> None:
        """Writes what was gathered, in the order of effects."""
        self.begin()
        self.settle_items()
        for statement in IN_ORDER:
            values = self.rows.get(statement)
            if values:
                self._run(statement, values)
        self.rows = {}
        self.touched = set()

    def _run(self, statement: str, values: list[Any]) -> None:
        width, done = WIDTH[statement], 0
        if len(values) == width:
            self.db.execute(statement, values)
            return
        many = MANY.get(statement)
        if many is not None:
            size = AT_ONCE * width
            for done in range(size, len(values) + 1, size):
                self.db.execute(many, values[done - size : done])
        rest = iter(values[done:] if done else values)
        self.db.executemany(statement, list(zip(*[rest] * width, strict=True)))

    def settle_items(self) -> None:
        """The net effect on items, how they are filed and their vectors is rows like any other from now on."""
        if self.set_items:
            self.rows[SET_ITEM] = list(chain.from_iterable(self.set_items.values()))
            self.set_items = {}
        gathered = self.filing.rows(self.filed)
        self.filed = {}
        for statement, values in zip((*FILING, *EMBEDDING), (*gathered, *self.vectors.rows()), strict=True):
            if values:
                self.rows[statement] = values
