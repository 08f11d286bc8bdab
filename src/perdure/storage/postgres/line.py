"""The way to one database: connections that know our types, and the check that the server behind is the one of before.

A database that was restored, copied or promoted has lost commits, or has others under their numbers. It is recognised by what
the newest commits said of their cluster, database, timeline and tables; then the sequence of commits jumps so far ahead that no
later commit gets a number that a lost one may have had. So a revision from before the loss is no later one's (decision 0014).

Here: `Line`. Not here: the pool (`connections.py`), migrations (`migrating.py`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Final

from perdure.errors import PerdureError, Unavailable
from perdure.storage.postgres.connections import Pool
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import sqlstate_of, translated
from perdure.storage.postgres.foreseen import Foreseen
from perdure.storage.postgres.horizon import Horizon
from perdure.storage.postgres.locks import key_of_all
from perdure.storage.postgres.near import Near
from perdure.storage.postgres.opening import Connection, connect
from perdure.storage.postgres.place import Place
from perdure.storage.postgres.ready import Ready
from perdure.storage.postgres.statements import statements_of
from perdure.storage.postgres.talking import say

__all__ = ["JUMP", "Line"]

JUMP: Final = 1 << 30
"""Commits that may have been lost: a year of 30 a second. A version holds 43 bits of a seq, so there is room for 8,000 jumps."""

_NOT_ALLOWED: Final = "42501"

# Every statement of ours seeks, and says where it does not. So it is planned once a connection, whatever its values are
# (planning took three times as long as doing), and by indexes, whatever the server knows of tables that have just grown: what
# it took for small when the statement was planned is not read through, or kept beside, for one row of it.
# What is compiled costs more than it gains. https://www.postgresql.org/docs/current/runtime-config-query.html
_PLANS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "enable_material": "off",
    "jit": "off",
}


def _set_plans(*, local: bool) -> bytes:
    how = "true" if local else "false"
    calls = ", ".join(f"set_config('{name}', '{value}', {how})" for name, value in _PLANS.items())
    return f"SELECT {calls}".encode()


class Line:
    """The connections of one backend."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.pool = Pool(place)
        self.statements = statements_of(place.schema)
        self.horizon = Horizon(self.statements)
        self.ready = Ready()
        self.near = Near()
        self.index_numbers: dict[tuple[int, str], int] = {}  # by history and name
        self.foreseen = Foreseen()
        self.history = 0
        """Grows where the server turns out to have another history than the one before: what it gave away may be given again."""
        self._here = ""
        self._met: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._one_more = threading.Lock()

    @property
    def limits(self) -> bytes | None:
        """What a transaction is to be told behind its BEGIN, if anything."""
        if not self.pool.pooled:
            return None
        plans, told = _set_plans(local=True), self.pool.settle
        return plans if told is None else b"%s, %s" % (plans, told.removeprefix("SELECT ").encode())

    def after_fork(self) -> None:
        """In the child: whoever held a lock is not here."""
        self.horizon.after_fork()
        self.foreseen = Foreseen()
        self._one_more = threading.Lock()

    def take(self, seconds: float | None = None) -> Connection:
        """A connection in no transaction. To be given back.

        Args:
            seconds: how long to wait; None: `pool_timeout`.
        """
        connection = self.pool.take(seconds)
        if connection not in self._met:
            sound = False
            try:
                if not self.pool.pooled:
                    say(connection, _set_plans(local=False))
                self._check_origin(connection)
                self._met.add(connection)
                sound = True
            except psycopg.Error as error:
                raise translated(error, "connect", self.place.name) from error
            finally:
                if not sound:
                    self.pool.give(connection, sound=False)
        return connection

    def give(self, connection: Connection, *, sound: bool = True) -> None:
        """It is free for others, or closed."""
        self.pool.give(connection, sound=sound)

    @contextmanager
    def beside(self, seconds: float) -> Generator[Connection]:
        """A connection for who holds one already. Where all are in use, perhaps by others who want a second one too, it is one more.

        Args:
            seconds: how long to wait while another has the one that is one more.
        """
        try:
            connection = self.take(0.0)
        except Unavailable:
            if not self._one_more.acquire(timeout=seconds):
                raise
            try:
                with closing(connect(self.place, pooled=self.pool.pooled).connection) as connection:
                    yield connection
            finally:
                self._one_more.release()
            return
        sound = False
        try:
            yield connection
            sound = True
        finally:
            self.give(connection, sound=sound)

    def said(self, error: Exception) -> PerdureError:
        """The error as ours."""
        if isinstance(error, PerdureError):
            return error
        made = translated(error, "commit", self.place.name)
        made.__cause__ = error
        return made

    def here(self, connection: Connection) -> tuple[str, str]:
        """What tells this database from all others, and what tells its history from that of a copy.

        The latter is empty where nobody may know: on a replica, or where the server shows it to its owner only.
        """
        try:
            ((cluster, database, timeline, tables),) = say(connection, self.statements["here"].text)
        except psycopg.Error as error:
            if sqlstate_of(error) != _NOT_ALLOWED:
                raise
            return self.place.name, ""
        here = f"{cluster}.{database}"
        return here, f"{here}.{timeline}.{tables}" if timeline else ""

    def _check_origin(self, connection: Connection) -> None:
        _, here = self.here(connection)
        if here and here != self._here:
            self._here, self.history = here, self.history + 1
        known = say(connection, self.statements["origin"].text)
        if not here or known == [(here.encode(),)]:
            return
        q = self.statements
        say(connection, q["begin_write"].text)
        try:
            say(connection, q["lock_way"].text, (key_of_all(self.place.schema),))
            known = say(connection, q["origin"].text)
            if known != [(here.encode(),)]:
                if known:
                    say(connection, q["jump"].text, (JUMP,))
                say(connection, q["set_origin"].text, (here.encode(),))
        except BaseException:
            say(connection, q["rollback"].text)
            raise
        say(connection, q["commit"].text)
