"""A replica that answers questions which may be asked of a moment ago, so that the primary has time for those that may not.

A replica shows what the primary had committed up to some place in its log. Which place that has to be is asked of the primary:
behind the last commit of this process (so whoever wrote reads what he wrote), and behind all that had been decided when a view of
the past was taken (decision 0016). A replica that is not there yet is waited for, once and shortly. Whatever it cannot answer, the
primary does.

Here: `Replica`, `Elsewhere`, and `ReplicaLine`, the way to replicas and to nobody else. Not here: which questions these are
(`contract/looking.py` has who asks), how far behind they are (`lagging.py`), URLs (`place.py`).
https://www.postgresql.org/docs/current/hot-standby.html
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from perdure.errors import Busy, StorageError, Unavailable
from perdure.storage.contract import Revision, Snapshot
from perdure.storage.postgres.connections import AllInUse
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import CANCELED, sqlstate_of, translated
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.place import Place
from perdure.storage.postgres.readings import Reading, patiently
from perdure.storage.postgres.snapshot import PostgresSnapshot
from perdure.storage.postgres.talking import Said, say, say_all

__all__ = ["Elsewhere", "NotOurs", "Replica", "ReplicaLine"]

T = TypeVar("T")
log = logging.getLogger("perdure.storage")

AGAIN_SECONDS: Final = 10.0
"""A replica that did not answer is left alone for so long; then one caller tries."""
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.02


class Elsewhere(Exception):
    """The primary is to be asked."""


class NotOurs(Unavailable):
    """The server is no replica of this database; nothing was written to it."""


class _Known(NamedTuple):
    """Whoever has replayed the log up to `place` sees the first `written` commits of this process; up to `end`, all seqs up to `decided`."""

    history: int = 0
    written: int = 0
    place: int = 0
    decided: int = 0
    end: int = 0


class Replica:
    """The replicas of one database. Safe from any thread; nothing is opened before the first question.

    Args:
        place: where they are.
        primary: whose replicas they are.
    """

    def __init__(self, place: Place, primary: Line) -> None:
        self._primary = primary
        self._line = ReplicaLine(place, primary)
        self._wait = place.read_wait
        self._own = place.read_your_writes
        self._written = 0
        self._fresh()

    def _fresh(self) -> None:
        self._lock = threading.Lock()
        self._known = _Known()
        self._away = False  # it did not answer when it was last asked
        self._again = 0.0  # when somebody may try
        self._late = False  # it was waited for in vain, and has not caught up since
        self._places: weakref.WeakKeyDictionary[Connection, int] = (
            weakref.WeakKeyDictionary()
        )  # what each has replayed at least

    @property
    def line(self) -> Line:
        """To the replicas."""
        return self._line

    def wrote(self) -> None:
        """A commit of this process was made, or may have been. To be called before anybody is told."""
        with self._lock:
            self._written += 1

    def look(self, question: Callable[[Snapshot], T], revision: Revision | None) -> T:
        """The answer of a snapshot that may be a little old.

        Args:
            question: may be asked in vain, and again of the primary.
            revision: of a view of the past; all up to there is seen.

        Raises:
            Elsewhere: the primary is to be asked: nobody answers here, or not soon enough, or not this question.
        """
        self._may_ask()
        needed, decided = self._needed(0 if revision is None else revision.seq)
        try:
            with _Moment(self._line, decided, lambda connection: self._reached(connection, needed)) as now:
                answer = question(now)
        except (Busy, AllInUse) as error:  # it goes on with the log rather than wait, or has many readers
            raise Elsewhere from error
        except (
            StorageError
        ) as error:  # nobody is there, or it lacks a table: the primary may, too, and says so
            if error.__cause__ is None or sqlstate_of(error.__cause__) != CANCELED:
                self._is_away(str(error))
            raise Elsewhere from error
        self._is_there()
        return answer

    # -- how far it has to be ------------------------------------------------------------------------------------------

    def _needed(self, seen: int) -> tuple[int, int]:
        """Up to which place of the log it has to have replayed, and which seqs are all decided and seen there."""
        written, history = self._written, self._primary.history
        with self._lock:
            if self._known.history != history:  # places in the log of before mean nothing
                self._known = _Known(history)
            known = self._known
        if (self._own and written > known.written) or seen > known.decided:
            decided = self._primary.horizon.decided  # before the place is asked for
            try:
                ((place, end),) = patiently(self._primary, self._primary.statements["written_up_to"].text)
            except StorageError as error:  # it cannot tell, whoever it is
                raise Elsewhere from error
            with self._lock:
                known = self._known
                if known.history == history:
                    known = self._known = _Known(
                        history,
                        max(known.written, written),
                        max(known.place, place),
                        max(known.decided, decided),
                        max(known.end, end),
                    )
                else:  # the place is of another history than what is known by now
                    raise Elsewhere
        if seen > known.decided:
            raise Elsewhere
        return max(known.place if self._own else 0, known.end if seen else 0), known.decided

    def _reached(self, connection: Connection, needed: int) -> bool:
        """Whether the server behind the connection has replayed that much; waits for it, but not long."""
        if self._places.get(connection, -1) >= needed:
            return True
        until, pause = time.monotonic() + (0.0 if self._late else self._wait), _FIRST_PAUSE
        while True:
            ((place,),) = say(connection, self._line.statements["replayed_up_to"].text)
            if place is not None and place >= needed:
                self._late = False
                if not self._line.pool.pooled:  # behind a pooler it may be another server the next time
                    self._places[connection] = place
                return True
            if time.monotonic() >= until:
                self._late = True
                return False
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    # -- whether it is there --------------------------------------------------------------------------------------------

    def _may_ask(self) -> None:
        if not self._away:
            return
        with self._lock:
            if time.monotonic() < self._again:
                raise Elsewhere
            self._again = time.monotonic() + AGAIN_SECONDS  # the others do not wait for what comes of it

    def _is_away(self, why: str) -> None:
        with self._lock:
            told, self._away = self._away, True
            self._again = time.monotonic() + AGAIN_SECONDS
        if not told:
            log.warning("a read replica does not answer, so the primary is asked: %s", why)

    def _is_there(self) -> None:
        if self._away:
            with self._lock:
                told, self._away = self._away, False
            if told:
                log.info("the read replica %s answers again", self._line.place.name)

    # -- ends, forks -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Its connections are closed."""
        self._line.pool.close()

    def before_fork(self) -> None:
        """Stands still until `after_fork`."""
        self._line.pool.before_fork()

    def after_fork(self, *, child: bool) -> None:
        """Goes on; the child from nothing."""
        self._line.pool.after_fork(child=child)
        if child:
            self._line.after_fork()
            self._fresh()


class ReplicaLine(Line):
    """The connections to replicas of one database, and to nobody else."""

    def __init__(self, place: Place, primary: Line) -> None:
        super().__init__(place)
        self._primary = primary
        self._same: str | None = None

    def _checked_origin(self, connection: Connection) -> bool:
        """The server is a replica of this very database. Nothing is written to it, whatever it is.

        Raises:
            NotOurs: it is not, or not any more.
        """
        if self._same is None:
            primary = self._primary.take()
            sound = False
            try:
                self._same, _ = self._primary.here(primary)
                sound = True
            finally:
                self._primary.give(primary, sound=sound)
        there, _ = self.here(connection)
        names = (
            self.place.name,
            self._primary.place.name,
        )  # said where the role may not ask which cluster it is
        ((replica,),) = say(connection, self.statements["is_replica"].text)
        if not replica or (there != self._same and there not in names and self._same not in names):
            what = "a replica of another database" if replica else "no replica, or is none any more"
            raise NotOurs(
                f"{self.place.name} is {what}.",
                operation="connect",
                where=self.place.name,
                hint="Check read_host= of the URL, or read=.",
            )
        return True


class _Moment(Reading):
    """One moment of a replica, from when it has caught up."""

    __slots__ = ("_all_decided", "_catch_up")

    def __init__(self, line: Line, decided: int, catch_up: Callable[[Connection], bool]) -> None:
        super().__init__(line)
        self._all_decided = decided
        self._catch_up = catch_up

    def _begin(self) -> None:
        said: list[Said] = [(self.statements["begin_read"].text, ())]
        if self.line.limits:
            said.append((self.line.limits, ()))
        say_all(self.connection, said)

    def __enter__(self) -> Snapshot:
        self.connection = self.line.take(self.line.place.read_wait, parting=True)
        try:
            there = self._catch_up(self.connection)  # before the moment
            if there:
                self._begin()
        except BaseException as error:
            self.line.give(self.connection, sound=False)
            if isinstance(error, psycopg.Error):
                raise translated(error, "read", self.line.place.name) from error
            raise
        if not there:
            self.line.give(self.connection)
            raise Elsewhere
        self._snapshot = _ReplicaSnapshot(self, self.line.place.name, self.line, self._all_decided)
        return self._snapshot


class _ReplicaSnapshot(PostgresSnapshot):
    """One moment of a replica: which commits are under way, only the primary knows."""

    def __init__(self, reading: Reading, where: str, source: object, decided: int) -> None:
        super().__init__(reading, where, source)
        self._all_decided = decided

    def _newest(self) -> int:
        raise Elsewhere

    def _sees(self, revision: Revision) -> None:
        if revision.seq > self._all_decided:
            raise Elsewhere
