"""The writer's transactions: again from the beginning where others were in the way, and never twice.

A commit whose outcome is unknown (the connection was lost while COMMIT was under way) is asked for by its id, behind the
same locks: who holds them knows that the lost transaction is over. So whoever repeats never doubles.

Here: `Transactions`, what the leader of `storage/tables/group.py` calls. Not here: what a transaction says
(`gathering.py`), what an error means (`faults.py`).
"""

from __future__ import annotations

import copy
import logging
import random
import threading
import time
from collections.abc import Sequence
from typing import Final

from perdure.errors import PerdureError, StorageError, Unavailable
from perdure.storage.contract import Outcome, Revision
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import UNIQUE_VIOLATION, is_lost, is_transient, sqlstate_of, translated
from perdure.storage.postgres.gathering import PostgresGathering
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.locks import MOST_NAMES, names_of
from perdure.storage.postgres.numbers import Numbers
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.remembered import NOT_SO, Remembered, Step
from perdure.storage.postgres.talking import say
from perdure.storage.tables.committing import commit_member
from perdure.storage.tables.known import Known
from perdure.storage.tables.rows import Prepared

__all__ = ["Transactions"]

log = logging.getLogger("perdure.storage")

PATIENCE_SECONDS: Final = 30.0
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 1.0


class Transactions:
    """The writing side of one database. `write`, `tidy` and `untidy` are the leader's `Work`.

    Args:
        line: to the database.
    """

    def __init__(self, line: Line) -> None:
        self.turn = threading.RLock()
        self._line = line
        self._kept = _Kept()

    def after_fork(self) -> None:
        """In the child: what is left of numbers is the parent's."""
        self._kept = _Kept()

    def untidy(self) -> bool:
        """Nothing is done between groups: the server does."""
        return False

    def tidy(self) -> bool:
        """See `untidy`."""
        return True

    def write(self, members: Sequence[Prepared], outcomes: list[Outcome], *, wait: bool) -> bool:
        """One transaction for all members, each left out, failed or committed; see `group.Work`."""
        if not wait:
            return False  # another process may hold a lock
        with self.turn:
            self._each(_parts(members), outcomes)
        return True

    def _each(self, parts: Sequence[Sequence[Prepared]], outcomes: list[Outcome]) -> None:
        for place, part in enumerate(parts):
            try:
                self._write(part, outcomes)
            except BaseException:  # a signal: nobody is told, or everybody
                if outcomes:
                    self._each(parts[place + 1 :], outcomes)
                raise

    def _write(self, members: Sequence[Prepared], outcomes: list[Outcome]) -> None:
        attempts = _Attempts(self._line, self._kept, members)
        before = len(outcomes)
        try:
            outcomes[before:] = attempts.made()
        except Exception as error:  # noqa: BLE001 - whatever a member did, it and its neighbours must get an answer
            if len(members) == 1 or attempts.unsure or isinstance(error, Unavailable):
                outcomes[before:] = self._all_failed(members, error)
            else:  # each alone: who is not to blame does not pay
                self._each([(member,) for member in members], outcomes)
        except BaseException:  # a signal in this thread, which is not the members' fault
            if (
                attempts.unsure or outcomes
            ):  # what was begun is brought to an end, so that nobody begins it again
                try:
                    outcomes[before:] = attempts.made()
                except Exception as error:  # noqa: BLE001 - see above
                    outcomes[before:] = self._all_failed(members, error)
            raise

    def _all_failed(self, members: Sequence[Prepared], error: Exception) -> list[Outcome]:
        said = self._line.said(error)
        return [said, *(copy.copy(said) for _ in members[1:])]


def _parts(members: Sequence[Prepared]) -> list[Sequence[Prepared]]:
    """Groups of so few names that they can be locked; those that may be under way alone, each by itself."""
    parts: list[list[Prepared]] = []
    names: set[bytes] = set()
    full = True
    for member in members:
        of_member = names_of(member)
        if full or member.rare or len(names | of_member) > MOST_NAMES:
            parts.append([])
            names = set()
        parts[-1].append(member)
        names |= of_member
        full = member.rare
    return list(parts)


class _Kept:
    """What this process keeps between groups. All of it is of one history of the database."""

    def __init__(self) -> None:
        self._history = 0
        self._begin()

    def _begin(self) -> None:
        self.numbers = Numbers()
        self.indexes: dict[bytes, int] = {}
        self.remembered = Remembered()

    def of(self, history: int) -> None:
        """Forgets all where the database lost commits: what they took may be given to others."""
        if history != self._history:
            self._history = history
            self._begin()


class _Attempts:
    """One group, tried until it is decided.

    Attributes:
        unsure: it may have been committed, or was: `made` asks before it begins again.
    """

    def __init__(self, line: Line, kept: _Kept, members: Sequence[Prepared]) -> None:
        self._line = line
        self._kept = kept
        self._members = members
        self._outcomes: Sequence[Outcome] = ()  # of the last attempt that may have been committed
        self.unsure = False

    def made(self) -> list[Outcome]:
        """One outcome a member."""
        until = time.monotonic() + PATIENCE_SECONDS
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._once()
            except psycopg.Error as error:
                written = None if self.unsure else False
                if sqlstate_of(error) == UNIQUE_VIOLATION:
                    raise self._taken(error) from error
                known = translated(error, "commit", self._line.place.name, written=written)
                if not (is_lost(error) or is_transient(error)) or time.monotonic() + pause > until:
                    raise known from error
            except PerdureError as error:
                if not self.unsure:
                    raise
                raise Unavailable(
                    f"{error} Whether the commit before was written is unknown.",
                    written=None,
                    operation="commit",
                    where=self._line.place.name,
                    hint=error.hint if isinstance(error, StorageError) else None,
                ) from error
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _taken(self, error: psycopg.Error) -> StorageError:
        """A row that is there already is no race: the names of a commit are locked."""
        return StorageError(
            f"{self._line.place.name} has a row already that this commit adds ({error.diag.message_detail}): two writers"
            " of one log, which is a bug. Nothing was written.",
            operation="commit",
            where=self._line.place.name,
        )

    def _once(self) -> list[Outcome]:
        connection = self._line.take()
        sound = False
        try:
            self._kept.of(self._line.history)
            made = self._transaction(connection)
            sound = True
        except psycopg.Error as error:
            sound = not is_lost(error) and _rolled_back(connection)
            raise
        else:
            return made
        finally:
            self._line.give(connection, sound=sound)

    def _transaction(self, connection: Connection) -> list[Outcome]:
        line, kept, members = self._line, self._kept, self._members
        if len(members) == 1 and not self.unsure and kept.remembered.covers(members[0]):
            seq = self._at_once(connection, members[0])
            if seq is not None:
                return [Revision(0, seq)]
        known = Known()
        known.indexes = dict(kept.indexes)
        group = PostgresGathering(connection, line.statements, kept.numbers, known)
        asked = [member.id for member in members] if self.unsure else ()
        seqs, made = group.begin(members, line.limits, asked)
        if made:
            say(connection, line.statements["rollback"].text)
            line.horizon.void(seqs)
            return [
                Revision(0, made[member.id]) if member.id in made else outcome
                for member, outcome in zip(members, self._outcomes, strict=True)
            ]
        self.unsure = False
        try:
            outcomes = self._gathered(group, seqs)
        except BaseException:
            line.horizon.void(seqs)  # nothing of it will be committed
            raise
        used = {outcome.seq for outcome in outcomes if isinstance(outcome, Revision)}
        if not used:
            line.horizon.void(seqs)
            say(connection, line.statements["rollback"].text)
            return outcomes
        self._outcomes, self.unsure = outcomes, True
        try:
            group.commit()
        except psycopg.Error as error:
            if not is_lost(error):
                self.unsure = False
                line.horizon.void(seqs)
            raise
        # From here on it is made, and nobody was told: who is interrupted now has to ask.
        line.horizon.void(seq for seq in seqs if seq not in used)
        kept.indexes.update(known.indexes)
        kept.remembered.learn(known, members)
        return outcomes

    def _at_once(self, connection: Connection, member: Prepared) -> int | None:
        """The seq of a commit whose threads are remembered; None: they are not as remembered, so they must be asked for."""
        line, remembered = self._line, self._kept.remembered
        step = Step(connection, line.statements, self._kept.numbers, remembered, member)
        try:
            if not step.gathered():
                remembered.forget(member)
                return None
            untold: list[Outcome] = [Unavailable("not told")]
            self._outcomes, self.unsure = untold, True
            seq = step.commit_at_once(line.limits)
        except psycopg.Error as error:
            remembered.forget(member)
            if is_lost(error):
                raise
            self.unsure = False
            if sqlstate_of(error) != NOT_SO:
                raise
            say(connection, line.statements["rollback"].text)
            return None
        except BaseException:
            remembered.forget(member)
            raise
        return seq

    def _gathered(self, group: PostgresGathering, seqs: Sequence[int]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        left = list(reversed(seqs))
        for member in self._members:
            if group.forgot:
                group.learn((member,))
            group.known.seq = left[-1] - 1
            try:
                outcomes.append(commit_member(group, member))
            except PerdureError as error:
                outcomes.append(error)
            else:
                left.pop()
                group.touched |= member.threads
                group.touched.update([chain[0] for chain in member.chains])
        return outcomes


def _rolled_back(connection: Connection) -> bool:
    """Whether the connection is in no transaction any more."""
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        log.warning("a transaction could not be rolled back; its connection is closed", exc_info=True)
        return False
    return True
