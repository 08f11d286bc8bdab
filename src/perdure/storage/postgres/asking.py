"""Asking one moment of a Postgres database: a connection inside a read-only transaction of one snapshot.

Here: `PostgresAsking`, below all answers. Not here: when the transaction begins and ends (`readings.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perdure.errors import Unavailable
from perdure.storage.contract import Revision
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import closed, translated
from perdure.storage.postgres.parameters import columns_of
from perdure.storage.postgres.talking import say
from perdure.storage.tables.asking import Asking

if TYPE_CHECKING:
    from perdure.storage.postgres.readings import Reading

__all__ = ["PostgresAsking"]


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

    def end(self) -> None:
        """Later questions are errors."""
        self._reading = None

    def _open(self) -> Reading:
        if self._reading is None:
            raise closed("read", f"this snapshot of {self._where}")
        return self._reading

    def _ask(self, name: str, values: Sequence[Any] = ()) -> list[Any]:
        reading = self._open()
        reading.asked = True
        try:
            return say(reading.connection, reading.statements[name].text, values)
        except psycopg.Error as error:
            raise translated(error, "read", self._where) from error

    def _ask_many(self, name: str, rows: Sequence[tuple[Any, ...]], *more: int) -> list[Any]:
        if not rows:
            return []
        block = self._open().statements[name]
        return self._ask(name, [*columns_of(block.kinds, rows), *more])

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
