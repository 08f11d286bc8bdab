"""One transaction of several commits, tried until each of them is decided: again where others were in the way, and never twice.

A commit whose outcome is unknown (the connection was lost while COMMIT was under way) is asked for by its id, behind the
same locks: who holds them knows that the lost transaction is over. So whoever repeats never doubles.

What another transaction has locked is waited for briefly, since nearly all are over in a moment. Then the names that are free
are taken without waiting, and their commits are made; the others are left, for whoever can wait with a connection of its own
(`storage/tables/lanes.py`).

Here: `Attempts`. Not here: which commits are in one transaction (`transactions.py`), what it says (`gathering.py`), what an error
means (`faults.py`).
"""

from __future__ import annotations

import copy
import logging
import random
import time
from collections.abc import Sequence
from typing import Final

from perdure.errors import PerdureError, StorageError, Unavailable
from perdure.storage.contract import Outcome, Revision
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import (
    UNIQUE_VIOLATION,
    is_locked,
    is_lost,
    is_read_only,
    is_transient,
    sqlstate_of,
    translated,
)
from perdure.storage.postgres.gathering import PostgresGathering
from perdure.storage.postgres.learning import unknown_indexes
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.locks import keys_of, names_of
from perdure.storage.postgres.numbers import Numbers
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.remembered import NOT_SO, Remembered, Step
from perdure.storage.postgres.talking import say
from perdure.storage.postgres.turns import BRIEF_SECONDS, LAST_SECONDS, Turns, in_milliseconds
from perdure.storage.tables.committing import commit_member
from perdure.storage.tables.known import Known
from perdure.storage.tables.lanes import Locked
from perdure.storage.tables.rows import Prepared

__all__ = ["Attempts", "Kept", "Left"]

log = logging.getLogger("perdure.storage")

PATIENCE_SECONDS: Final = 30.0
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 1.0


class Kept:
    """What is kept between groups. All of it is of one history of the database. Used by one group at a time."""

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


class Left:
    """Commits that are not made since another transaction has locked what they touch, and who has to wait behind them."""

    def __init__(self) -> None:
        self._units: set[int] = set()
        self._names: set[bytes] = set()
        self.said: StorageError | None = None

    def holds(self, unit: int, member: Prepared) -> bool:
        """Whether it has to wait: for one of its own caller, or one that touches the same."""
        if self.said is None:
            return False
        return unit in self._units or not self._names.isdisjoint(names_of(member))

    def add(self, unit: int, member: Prepared, said: StorageError) -> Locked:
        """This one is left, too; its outcome."""
        self.said = self.said or said
        self._units.add(unit)
        self._names |= names_of(member)
        return Locked(copy.copy(said))


class Attempts:
    """Commits of one transaction.

    Args:
        line: to the database.
        kept: what this lane keeps.
        part: the commits, each with the number of its caller.
        left: those that were left before; None: what is locked is waited for, as long as lock_timeout lets it.

    Attributes:
        unsure: it may have been committed, or was: `made` asks before it begins again.
        hurries: a signal came, so what is locked is waited for no longer than a second.
    """

    def __init__(
        self, line: Line, kept: Kept, part: Sequence[tuple[int, Prepared]], left: Left | None
    ) -> None:
        self._line = line
        self._kept = kept
        self._part = part
        self._left = left
        self._found: dict[int, Outcome] = {}  # by place: those that are not of the transaction
        self._open = list(range(len(part)))
        self._outcomes: Sequence[Outcome] = ()  # of the last attempt that may have been committed
        self._splits: StorageError | None = None  # some are locked: take those that are free
        self._waited: str | None = None  # for a lock, in the last attempt, as `_wait` says
        self._pause = _FIRST_PAUSE
        alone = left is None and keys_of(self._members(), line.place.schema, ()) is None
        self._turns = Turns(line.place.lock_seconds) if alone else None
        self.unsure = self.hurries = False
        if left is not None and left.said is not None:
            for place, (unit, member) in enumerate(part):
                if left.holds(unit, member):
                    self._leave(place, left.said)

    def _members(self) -> list[Prepared]:
        part = self._part
        return [part[place][1] for place in self._open]

    def made(self) -> list[Outcome]:
        """One outcome a member."""
        began = time.monotonic()
        while True:
            try:
                return self._all(self._once())
            except psycopg.Error as error:
                pause = self._after_locked(error) if is_locked(error) else self._after(error, began)
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
            time.sleep(pause)

    def failed(self, error: Exception) -> list[Outcome]:
        """One outcome a member: the error, unless it was left."""
        said = self._line.said(error)
        return self._all([copy.copy(said) for _ in self._open])

    def interrupted(self) -> Unavailable:
        """What the neighbours of a caller are told whom signals took while he committed for all."""
        known = "Whether it was written is unknown." if self.unsure else "Nothing was written."
        return Unavailable(
            f"{self._line.place.name}: a signal ended the commit that this one was part of. {known}",
            written=None if self.unsure else False,
            operation="commit",
            where=self._line.place.name,
        )

    def _all(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        if not self._found:
            return list(outcomes)
        found = {**self._found, **dict(zip(self._open, outcomes, strict=True))}
        return [found[place] for place in range(len(self._part))]

    # -- after an error ------------------------------------------------------------------------------------------------

    def _after(self, error: psycopg.Error, began: float) -> float:
        """How many seconds to wait before it is tried again; raises what the caller is told where it is not."""
        place = self._line.place
        if sqlstate_of(error) == UNIQUE_VIOLATION:
            raise self._taken(error) from error
        limit = PATIENCE_SECONDS
        again = is_lost(error) or is_transient(error)
        if is_read_only(error):  # perhaps only this one is, and the one that took over is not
            again = self._line.renew()
            limit = min(limit, place.pool_timeout)
        pause = self._pause
        if not again or time.monotonic() + pause > began + limit:
            raise translated(error, "commit", place.name, written=None if self.unsure else False) from error
        self._pause = min(_LONGEST_PAUSE, pause * 2)
        return pause * (0.5 + random.random())  # noqa: S311 - jitter, not a secret

    def _after_locked(self, error: psycopg.Error) -> float:
        """As `_after`."""
        written = None if self.unsure else False
        said = translated(error, "commit", self._line.place.name, written=written)
        if self.unsure:
            raise said from error
        if self._turns is not None:
            pause = self._turns.again()
            if pause is None:
                raise said from error
            return pause
        if (
            self._waited is None
        ):  # all were had that are not left: it is something that all share, perhaps a table
            raise said from error
        if len(self._open) > 1:
            self._splits = said
        elif self._left is None:
            raise said from error
        else:
            self._leave(self._open[0], said)
        return 0.0

    def _leave(self, place: int, said: StorageError) -> None:
        self._open.remove(place)
        unit, member = self._part[place]
        self._found[place] = copy.copy(said) if self._left is None else self._left.add(unit, member, said)

    def _taken(self, error: psycopg.Error) -> StorageError:
        """A row that is there already is no race: the names of a commit are locked."""
        return StorageError(
            f"{self._line.place.name} has a row already that this commit adds ({error.diag.message_detail}): two writers"
            " of one log, which is a bug. Nothing was written.",
            operation="commit",
            where=self._line.place.name,
        )

    # -- an attempt ----------------------------------------------------------------------------------------------------

    def _once(self) -> Sequence[Outcome]:
        if not self._open:
            return ()
        connection = self._line.take(parting=True)
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

    def _wait(self) -> str | None:
        """How long this attempt waits for a lock, as `PostgresGathering` takes it."""
        longest = in_milliseconds(min(LAST_SECONDS, self._line.place.lock_seconds)) if self.hurries else ""
        if self.unsure:  # the names of the lost transaction have to be had, to know what became of it
            return longest
        if self._splits is not None:
            return None
        if self._turns is not None:
            return in_milliseconds(self._turns.wait)
        if self._left is None:
            return longest
        return in_milliseconds(min(BRIEF_SECONDS, self._line.place.lock_seconds))

    def _transaction(self, connection: Connection) -> Sequence[Outcome]:
        line, kept, members = self._line, self._kept, self._members()
        wait = self._waited = self._wait()
        if len(members) == 1 and not self.unsure and wait is not None and kept.remembered.covers(members[0]):
            seq = self._at_once(connection, members[0], wait)
            if seq is not None:
                return [Revision(0, seq)]
        known = Known()
        known.indexes = dict(kept.indexes)
        group = PostgresGathering(connection, line.statements, kept.numbers, known, wait)
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
            members = self._free(group)
            outcomes = _gathered(group, members, seqs)
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
        line.wrote = True
        kept.indexes.update(known.indexes)
        kept.remembered.learn(known, members)
        return outcomes

    def _free(self, group: PostgresGathering) -> list[Prepared]:
        """The members of this transaction: those whose names could be had. The others are left for good."""
        said, self._splits = self._splits, None
        if group.taken and said is not None:
            schema, indexes = self._line.place.schema, group.known.indexes
            for place in list(self._open):
                unit, member = self._part[place]
                keys = keys_of((member,), schema, unknown_indexes((member,), indexes)) or ()
                behind = self._left is not None and self._left.holds(unit, member)
                if behind or not group.taken.isdisjoint(keys):
                    self._leave(place, said)
        return self._members()

    def _at_once(self, connection: Connection, member: Prepared, wait: str) -> int | None:
        """The seq of a commit whose threads are remembered; None: they are not as remembered, so they must be asked for."""
        line, remembered = self._line, self._kept.remembered
        step = Step(connection, line.statements, self._kept.numbers, remembered, member, wait)
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
        line.wrote = True
        return seq


def _gathered(group: PostgresGathering, members: Sequence[Prepared], seqs: Sequence[int]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    left = list(reversed(seqs))
    for member in members:
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
