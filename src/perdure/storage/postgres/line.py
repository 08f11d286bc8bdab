"""The way to one database: connections that know our types, and the check that the server behind is the one of before.

A database that was restored, copied or promoted has lost commits, or has others under their numbers. It is recognised by what
the newest commits said of their cluster, database, timeline and tables; then the sequence of commits jumps so far ahead that no
later commit gets a number that a lost one may have had. So a revision from before the loss is no later one's (decision 0014).

Here: `Line`. Not here: the pool (`connections.py`), migrations (`migrating.py`).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Final

from perdure.errors import PerdureError, Unavailable
from perdure.storage.postgres.connections import Pool
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import is_lost, is_read_only, sqlstate_of, translated
from perdure.storage.postgres.foreseen import Foreseen
from perdure.storage.postgres.guesses import Guesses
from perdure.storage.postgres.horizon import Horizon
from perdure.storage.postgres.near import Near
from perdure.storage.postgres.opening import Connection, connect
from perdure.storage.postgres.place import Place
from perdure.storage.postgres.ready import Ready
from perdure.storage.postgres.statements import statements_of
from perdure.storage.postgres.talking import say
from perdure.storage.postgres.turns import keep_out

__all__ = ["JUMP", "Line"]

JUMP: Final = 1 << 30
"""Commits that may have been lost: a year of 30 a second. A version holds 43 bits of a seq, so there is room for 8,000 jumps."""

_NOT_ALLOWED: Final = "42501"
_PAUSE_SECONDS: Final = 0.02

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
        self.few = Guesses()
        self.history = 0
        """Grows where the server turns out to have another history than the one before: what it gave away may be given again."""
        self.wrote = False
        """Whether a commit was made: so where the server is read-only, that has come over it."""
        self._here: str = ""
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

    def take(self, seconds: float | None = None, *, parting: bool = False) -> Connection:
        """A connection in no transaction. To be given back.

        Args:
            seconds: how long to wait; None: `pool_timeout`.
            parting: it may still be ending the one before; see `Pool.take`.
        """
        until = time.monotonic() + (self.place.pool_timeout if seconds is None else seconds)
        while True:
            connection = self.pool.take(max(0.0, until - time.monotonic()), parting=parting)
            if connection in self._met or self._looked_at(connection, until):
                return connection
            time.sleep(_PAUSE_SECONDS)

    def _looked_at(self, connection: Connection, until: float) -> bool:
        """Whether a new connection may be used; False: it was lost meanwhile, and there is time for another."""
        sound = False
        try:
            if not self.pool.pooled:
                say(connection, _set_plans(local=False))
            if self._checked_origin(connection):
                self._met.add(connection)
            sound = True
        except psycopg.Error as error:
            if not is_lost(error) or time.monotonic() > until:
                raise translated(error, "connect", self.place.name) from error
        finally:
            if not sound:
                self.pool.give(connection, sound=False)
        return sound

    def give(self, connection: Connection, *, sound: bool = True) -> None:
        """It is free for others, or closed."""
        self.pool.give(connection, sound=sound)

    def renew(self) -> bool:
        """Connections are opened anew: the server behind those that are there is read-only. Whether it was not before."""
        self.pool.renew()
        return self.wrote

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

    def _checked_origin(self, connection: Connection) -> bool:
        """Whether it is the server of before, or what is another's is written down; False: this one is read-only."""
        _, here = self.here(connection)
        if here and here != self._here:
            self._here, self.history = here, self.history + 1
        known = say(connection, self.statements["origin"].text)
        if not here or known == [(here.encode(),)]:
            return True
        q = self.statements
        keep_out(connection, q, self.place.lock_seconds)
        try:
            known = say(connection, q["origin"].text)
            if known != [(here.encode(),)]:
                if known:
                    say(connection, q["jump"].text, (JUMP,))
                say(connection, q["set_origin"].text, (here.encode(),))
        except BaseException as error:
            say(connection, q["rollback"].text)
            if is_read_only(error):
                return False
            raise
        say(connection, q["commit"].text)
        return True
