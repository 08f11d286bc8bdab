"""Snapshots: a connection of the pool, in one read-only transaction.

Here: when the transaction begins and ends, and how far it reaches (`horizon.py`). Not here: questions (`snapshot.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

from perdure import clock
from perdure.codec import encode_namespace, text_to_bytes
from perdure.storage.contract import ItemRow, Namespace, Snapshot
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import is_lost, translated
from perdure.storage.postgres.horizon import Reach
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.snapshot import PostgresSnapshot
from perdure.storage.postgres.talking import Said, part, say, say_all
from perdure.storage.tables.values import item_of

__all__ = ["MOST_SEEN", "Reading", "item_in", "patiently", "token_of"]

T = TypeVar("T")
log = logging.getLogger("perdure.storage")

MOST_SEEN: Final = 200
"""Commits beyond what is decided that a moment counts; more are rather waited for."""

SETTLE_SECONDS: Final = 10.0
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.02


class Reading:
    """The block of one snapshot.

    Args:
        line: to the database.
        at_once: its moment is that in which the block begins, and the server is asked for it then; else that of the first question.
    """

    __slots__ = (
        "_asked",
        "_at_once",
        "_begun",
        "_decided",
        "_seen",
        "_snapshot",
        "connection",
        "line",
        "statements",
    )

    def __init__(self, line: Line, *, at_once: bool = True) -> None:
        self.line = line
        self.statements = line.statements
        self._at_once = at_once
        self._begun = at_once
        self._asked = False
        self._seen: Sequence[int] | None = None
        self.connection: Connection

    def __enter__(self) -> Snapshot:
        self.connection = self.line.take(parting=True)
        if self._at_once:
            try:
                self._patiently(self._begin)
            except BaseException as error:
                self.line.give(self.connection, sound=False)
                if isinstance(error, psycopg.Error):
                    raise translated(error, "read", self.line.place.name) from error
                raise
        self._snapshot = PostgresSnapshot(self, self.line.place.name, self.line)
        return self._snapshot

    @property
    def decided(self) -> int:
        """All up to this seq are decided, and seen."""
        return self._decided if self._begun else self.line.horizon.decided

    def _patiently(self, first: Callable[[], T]) -> T:
        """What is said first, on another connection where one was lost."""
        for _ in range(_TRIES - 1):
            try:
                return first()
            except psycopg.Error as error:
                if not is_lost(error):
                    raise
            self.line.give(self.connection, sound=False)
            time.sleep(_PAUSE_SECONDS)
            self.connection = self.line.take()
        return first()

    def _beginning(self) -> list[Said]:
        """What a moment begins with. It sees all that is decided before it is sent."""
        self._decided = self.line.horizon.decided
        said: list[Said] = [(self.statements["begin_read"].text, ())]
        if self.line.limits:
            said.append((self.line.limits, ()))
        return said

    def _begin(self) -> None:
        """One moment from now on: a snapshot begins with its first question, so it is asked at once."""
        said = self._beginning()
        said.append((self.statements["newest_seqs"].text, (self._decided, MOST_SEEN)))
        self._seen = [seq for (seq,) in say_all(self.connection, said)[-1]]
        self._begun = True

    def ask(self, said: Sequence[Said]) -> list[list[Any]]:
        """The answers, in one round trip."""
        self._asked = True
        if self._begun:
            return say_all(self.connection, said)

        def first() -> list[list[Any]]:
            before = self._beginning()
            return say_all(self.connection, [*before, *said])[len(before) :]

        try:
            return self._patiently(first)
        finally:
            self._begun = True  # also where a question was refused: there is something to end

    def reach(self) -> Reach:
        """How far this moment sees all.

        Where commits are under way before some that are seen, and nothing was asked yet, the moment is moved behind them:
        so it reaches all that could be seen when it began.
        """
        if not self._begun:
            self._patiently(self._begin)
        if self._seen is None:
            asked = self.statements["newest_seqs"].text, (self._decided, MOST_SEEN)
            self._seen = [seq for (seq,) in say(self.connection, *asked)]
        horizon = self.line.horizon
        reached = horizon.reach(self._decided, self._seen, MOST_SEEN)
        if not reached[1]:
            return reached
        if self._asked:
            return self._reach_of_old(self._seen) or reached
        say(self.connection, self.statements["commit"].text)
        settled = horizon.settle(self.connection, SETTLE_SECONDS)
        self._begin()
        if not settled:
            log.warning("a commit has been under way for %s seconds; watches wait for it", SETTLE_SECONDS)
        return horizon.reach(self._decided, self._seen, MOST_SEEN)

    def _reach_of_old(self, seen: Sequence[int]) -> Reach | None:
        """How far a moment reaches that cannot be moved any more; None: who knows."""
        line, last = self.line, seen[-1]
        with line.beside(SETTLE_SECONDS) as connection:
            if not line.horizon.settle(connection, SETTLE_SECONDS):
                return None
            most = last - self._decided
            rows = say(connection, self.statements["newest_seqs"].text, (self._decided, most))
        return line.horizon.reach_of_old(self._decided, seen, MOST_SEEN, [seq for (seq,) in rows])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            self._snapshot.end()
        finally:
            self._part()

    def _part(self) -> None:
        """The moment is over, and nobody waits for the server to say so."""
        sound = False
        try:
            if self._begun:
                part(self.connection, self.statements["rollback"].text)
            sound = True
        except psycopg.Error:
            pass  # it is thrown away
        finally:
            self.line.give(self.connection, sound=sound)


def patiently(line: Line, text: bytes, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The answer of one statement outside of any transaction; asked again on another connection where one was lost."""
    for left in reversed(range(_TRIES)):
        connection = line.take(parting=True)
        sound = False
        try:
            rows = say(connection, text, values)
            sound = True
        except psycopg.Error as error:
            sound = not is_lost(error)
            if not left or sound:
                raise translated(error, "read", line.place.name) from error
        else:
            return rows
        finally:
            line.give(connection, sound=sound)
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def item_in(line: Line, namespace: Namespace, key: str) -> ItemRow | None:
    """The live item, by one statement, which is a snapshot by itself."""
    values = (encode_namespace(namespace), text_to_bytes(key), clock.micros())
    rows = patiently(line, line.statements["item"].text, values)
    return item_of(namespace, key, rows[0]) if rows else None


def token_of(line: Line) -> object:
    """What commits can be seen, in short."""
    while True:
        decided = line.horizon.decided
        rows = patiently(line, line.statements["newest_seqs"].text, (decided, MOST_SEEN))
        seen = [seq for (seq,) in rows]
        if len(seen) < MOST_SEEN:
            reached, _ = line.horizon.reach(decided, seen, MOST_SEEN)
            return reached, tuple(seq for seq in seen if seq > reached)
        connection = line.take()
        sound = False
        try:
            if not line.horizon.settle(connection, SETTLE_SECONDS):
                sound = True
                return decided, tuple(seen), clock.micros()  # too many to tell: as if something were new
            sound = True
        except psycopg.Error as error:
            raise translated(error, "read", line.place.name) from error
        finally:
            line.give(connection, sound=sound)
