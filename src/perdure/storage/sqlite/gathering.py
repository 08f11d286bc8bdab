"""The transaction that a group's rows go to: table after table, many rows at once, and the questions that may come between.

Here: `SqliteGathering`. Not here: what is gathered (`storage/tables/gathering.py`), the transactions of groups
(`transactions.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final

from perdure.storage.sqlite.connections import C, Connection
from perdure.storage.sqlite.learning import learn
from perdure.storage.sqlite.statements import AT_ONCE, MANY, ROW, WIDTH, Q
from perdure.storage.tables.gathering import INDEX, Gathering
from perdure.storage.tables.known import Known
from perdure.storage.tables.rows import Prepared
from perdure.storage.tables.statements import IN_ORDER

__all__ = ["SqliteGathering"]

_ASKED_AT_ONCE: Final = 64
_BEGIN = C["begin_write"]


class SqliteGathering(Gathering):
    """One group within one transaction.

    `begun` False: there is no transaction yet. It begins with the first statement that needs one; what was read before is
    proved by `add_commit`, which fails if anybody else made the commit of that number.
    """

    __slots__ = ("begun", "db")

    def __init__(self, connection: Connection, known: Known, *, begun: bool = True) -> None:
        super().__init__(known)
        self.db = connection
        self.begun = begun

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

    def learn(self, members: Sequence[Prepared]) -> None:
        """All that the members touch is known from now on."""
        learn(self, members)

    def next_number(self, kind: int) -> int:
        """One more than the greatest: nobody else writes."""
        numbers = self._greatest()
        numbers[kind] += 1
        return numbers[kind]

    def greatest_index(self) -> int:
        """The greatest number of an index."""
        return self._greatest()[INDEX]

    def _greatest(self) -> list[int]:
        known = self.known
        if known.last is None:
            known.last = list(self.ask("greatest_numbers")[0])
        return known.last

    @contextmanager
    def overwriting(self) -> Generator[None]:
        """What is deleted within is overwritten with zeros."""
        self.ask("secure_delete")
        yield
        self.ask("plain_delete")

    # -- rows --------------------------------------------------------------------------------------------------------

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
            self.db.execute(ROW[statement], values)
            return
        many = MANY.get(statement)
        if many is not None:
            size = AT_ONCE * width
            for done in range(size, len(values) + 1, size):
                self.db.execute(many, values[done - size : done])
        rest = iter(values[done:] if done else values)
        self.db.executemany(ROW[statement], list(zip(*[rest] * width, strict=True)))
