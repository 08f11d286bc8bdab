"""Asking one moment of a Postgres database: a connection inside a read-only transaction of one snapshot.

Here: `PostgresAsking`, below all answers. Not here: when the transaction begins and ends (`readings.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from perdure.errors import Unavailable
from perdure.storage.contract import Revision
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import closed, translated
from perdure.storage.postgres.parameters import columns_of
from perdure.storage.tables.asking import Asking

if TYPE_CHECKING:
    from perdure.storage.postgres.readings import Reading

__all__ = ["Asked", "PostgresAsking"]

_AGAIN: Final = frozenset({"floor", "terms", "count_namespaces"})

Asked = tuple[str, Sequence[Any]]
"""A block's name, and its values."""


class PostgresAsking(Asking):
    """One snapshot, and its ways to ask.

    Args:
        reading: whose transaction it is.
        where: the database's name.
        source: stands for the backend.
    """

    def __init__(self, reading: Reading, where: str, source: object) -> None:
        super().__init__(where, source)
        self._reading: Reading | None = reading
        self._reached: int | None = None
        self._more = False  # commits are seen beyond that
        self._early: set[str] = set()  # blocks that are asked before they are wanted: none takes columns
        self._soon: dict[tuple[str, tuple[Any, ...]], None] = {}  # what is asked beside the next question
        self._told: dict[tuple[str, tuple[Any, ...]], list[Any]] = {}  # what was asked before it is wanted

    def end(self) -> None:
        """Later questions are errors."""
        self._reading = None

    def _open(self) -> Reading:
        if self._reading is None:
            raise closed("read", f"this snapshot of {self._where}")
        return self._reading

    def _ask(self, name: str, values: Sequence[Any] = ()) -> list[Any]:
        told = self._answer_of(name, values) if name in self._early else None
        if told is not None:
            return told
        others = [one for one in self._soon if one != (name, values)]
        self._soon = {}
        answer, *answers = self._ask_all([(name, values), *others])
        self._told.update(zip(others, answers, strict=True))
        if name in _AGAIN:
            self._told[name, tuple(values)] = answer
        return answer

    def _answer_of(self, name: str, values: Sequence[Any]) -> list[Any] | None:
        """What was answered before it was asked; None: nothing yet. Kept no longer, but for what is small and asked again."""
        told = self._told.get if name in _AGAIN else self._told.pop
        return told((name, tuple(values)), None)

    def _foresee(self, name: str, values: tuple[Any, ...]) -> None:
        """The block will be asked with these values: it goes with the next question."""
        self._early.add(name)
        if (name, values) not in self._told:
            self._soon[name, values] = None

    def _ask_all(self, asked: Sequence[Asked]) -> list[list[Any]]:
        """The answers of several blocks, each to its values, in one round trip."""
        reading = self._open()
        q = reading.statements
        try:
            return reading.ask([(q[name].text, values) for name, values in asked])
        except psycopg.Error as error:
            raise translated(error, "read", self._where) from error

    def _ask_many(self, name: str, rows: Sequence[tuple[Any, ...]], *more: int) -> list[Any]:
        if not rows:
            return []
        return self._ask(name, [*self._columns(name, rows), *more])

    def _columns(self, name: str, rows: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """Rows of values as a block takes them."""
        return columns_of(self._open().statements[name].kinds, rows)

    # -- how far it sees ---------------------------------------------------------------------------------------------

    def _newest(self) -> int:
        """The greatest seq up to which all commits are decided and seen."""
        if self._reached is None:
            reading = self._open()
            try:
                self._reached, self._more = reading.reach()
            except BaseException as error:
                self.end()  # its moment may be gone
                if isinstance(error, psycopg.Error):
                    raise translated(error, "read", self._where) from error
                raise
        return self._reached

    def _sees(self, revision: Revision) -> None:
        """Passes a revision whose past is all seen.

        Raises:
            Unavailable: an earlier commit is still under way. Look again.
        """
        if revision.seq > self._newest() and self._more:
            raise Unavailable(
                f"{self._where}: a commit before revision {revision} is still under way, so what memory was then is not"
                " decided yet. Nothing was written.",
                operation="read",
                where=self._where,
                hint="Read again in a moment. If this lasts, look for a stalled writer in pg_stat_activity.",
            )
