"""The writer's transactions: which commits share one, and what becomes of the others if it fails.

Several may be under way at once, each in a lane: what a lane remembers of threads is proved before it is written to
(`remembered.py`), so lanes need not know of each other.

Here: `Transactions`, what the leaders of `storage/tables/lanes.py` call. Not here: one transaction (`attempts.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from perdure.errors import Unavailable
from perdure.storage.contract import Outcome
from perdure.storage.postgres.attempts import Attempts, Kept, Left
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.locks import MOST_NAMES, names_of
from perdure.storage.tables.rows import Prepared

__all__ = ["Transactions"]

_MOST_LANES: Final = 8

_Part: TypeAlias = Sequence[tuple[int, Prepared]]
"""Commits of one transaction, each with the number of its caller."""


class _Lane:
    """One of the groups that may be under way at once."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.kept = Kept()


class Transactions:
    """The writing side of one database: the leaders' `Apart`.

    Args:
        line: to the database.
    """

    def __init__(self, line: Line) -> None:
        self.patience = line.place.lock_seconds
        self.most = min(_MOST_LANES, (line.place.pool_max + 1) // 2)  # the other connections are for reads
        self._line = line
        self._lanes = [_Lane() for _ in range(self.most)]

    def after_fork(self) -> None:
        """In the child: lanes of its own. What is under way, and what is left of numbers, is the parent's."""
        self._lanes = [_Lane() for _ in range(self.most)]

    def untidy(self) -> bool:
        """Nothing is done between groups: the server does."""
        return False

    def tidy(self) -> bool:
        """See `untidy`."""
        return True

    def names(self, members: Sequence[Prepared]) -> frozenset[bytes]:
        """What they touch."""
        found: set[bytes] = set()
        return frozenset(found.union(*map(names_of, members)))

    def write(self, members: Sequence[Prepared], outcomes: list[Outcome], *, wait: bool) -> bool:
        """As `write_units`, where each is of a caller of its own, and all is decided; see `entries.Work`."""
        if wait:
            self.write_units([(member,) for member in members], outcomes, wait=True)
        return wait  # another process may hold a lock

    def write_units(
        self, units: Sequence[Sequence[Prepared]], outcomes: list[Outcome], *, wait: bool
    ) -> None:
        """Transactions for all members, each left out, failed or committed; see `lanes.Apart`."""
        pairs = [(number, member) for number, unit in enumerate(units) for member in unit]
        with self._lane() as kept:
            self._each(_parts(pairs), outcomes, kept, None if wait else Left())

    @contextmanager
    def _lane(self) -> Generator[Kept]:
        """The first that is free: there are as many as groups may be under way."""
        for lane in self._lanes:
            if lane.turn.acquire(blocking=False):
                break
        else:  # not by way of `Lanes`
            lane = self._lanes[0]
            lane.turn.acquire()
        try:
            yield lane.kept
        finally:
            lane.turn.release()

    def _each(self, parts: Sequence[_Part], outcomes: list[Outcome], kept: Kept, left: Left | None) -> None:
        for place, part in enumerate(parts):
            try:
                self._write(part, outcomes, kept, left)
            except BaseException:  # a signal: nobody is told, or everybody
                if outcomes:
                    self._each(parts[place + 1 :], outcomes, kept, left)
                raise

    def _write(self, part: _Part, outcomes: list[Outcome], kept: Kept, left: Left | None) -> None:
        attempts = Attempts(self._line, kept, part, left)
        before = len(outcomes)
        try:
            outcomes[before:] = attempts.made()
        except Exception as error:  # noqa: BLE001 - whatever a member did, it and its neighbours must get an answer
            if len(part) == 1 or attempts.unsure or isinstance(error, Unavailable):
                outcomes[before:] = attempts.failed(error)
            else:  # each alone: who is not to blame does not pay
                self._each([(pair,) for pair in part], outcomes, kept, left)
        except BaseException:  # a signal in this thread, which is not the members' fault
            if (
                attempts.unsure or outcomes
            ):  # what was begun is brought to an end, so that nobody begins it again
                attempts.hurries = True
                try:
                    outcomes[before:] = attempts.made()
                except Exception as error:  # noqa: BLE001 - see above
                    outcomes[before:] = attempts.failed(error)
                except BaseException:  # one more signal: the neighbours are told what is known
                    outcomes[before:] = attempts.failed(attempts.interrupted())
                    raise
            raise


def _parts(pairs: _Part) -> list[_Part]:
    """Groups of so few names that they can be locked; those that may be under way alone, each by itself."""
    if len(pairs) == 1:
        return [pairs]
    parts: list[list[tuple[int, Prepared]]] = []
    names: set[bytes] = set()
    full = True
    for pair in pairs:
        member = pair[1]
        of_member = names_of(member)
        if full or member.rare or len(names | of_member) > MOST_NAMES:
            parts.append([])
            names = set()
        parts[-1].append(pair)
        names |= of_member
        full = member.rare
    return list(parts)
