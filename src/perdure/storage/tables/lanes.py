"""Group commit where several groups may be under way at once, each on a connection of its own: nobody pays for a neighbour.

Usually one group is, as in `group.py`: a crowd that commits together costs about as much as one. There are exceptions.

- Commits that touch what another transaction has locked are put aside. They wait with a connection of their own, on the thread
  of their caller; the others of their group are committed.
- A leader that has not come back after `STALL_SECONDS` keeps its group and loses the lead: the next leads on another connection.
- Where no thread can be started: who sleeps looks after the queue as well, and who does not is told at once what is locked.
- Where all lanes are taken, who is put aside goes back to the queue, and is tried again and again until its time is over.

Commits that touch the same name keep their order: whoever touches what is under way elsewhere, or what somebody before it
in the queue touches who has to wait, waits as well. `Apart.names` is asked only where more than one group is under way.

Here: who goes, who waits, who has to wait. Not here: transactions. Knows no database.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence, Set
from typing import Final, Protocol, TypeVar

from perdure import clock
from perdure.storage.contract import Outcome
from perdure.storage.tables.entries import Entry, Lead, Told, Work, tell
from perdure.storage.tables.group import MOST_AT_ONCE, GroupQueue

__all__ = ["STALL_SECONDS", "Apart", "Lanes", "Locked"]

_M = TypeVar("_M")
_M_contra = TypeVar("_M_contra", contravariant=True)

log = logging.getLogger("perdure.storage")

STALL_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 0.05
_LOOKS_IN_VAIN: Final = 200
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.3
_NOBODY: Final[frozenset[bytes]] = frozenset()


class Locked(Exception):
    """The outcome of a member that is not decided yet: another transaction has locked what it touches.

    Args:
        said: what its caller is told if that goes on for too long.
    """

    def __init__(self, said: Exception) -> None:
        super().__init__(str(said))
        self.said = said


class Apart(Work[_M_contra], Protocol):
    """Work that several may do at once, on members that touch different names.

    Attributes:
        most: how many.
        patience: seconds that a member may wait for what is locked.
    """

    most: int
    patience: float

    def names(self, members: Sequence[_M_contra]) -> frozenset[bytes]:
        """What they touch."""
        ...

    def write_units(
        self, units: Sequence[Sequence[_M_contra]], outcomes: list[Outcome], *, wait: bool
    ) -> None:
        """As `write`, of members by callers.

        Args:
            units: the members of each caller. They are committed in order, or left from one of them on.
            outcomes: is filled in.
            wait: for what is locked, so all is decided; else an outcome may be `Locked`.
        """
        ...


class Lanes(GroupQueue[_M]):
    """The queue before several writers. Safe from any thread; nothing but `Apart.names` is called while its lock is held."""

    def __init__(self, work: Apart[_M], closed: Callable[[], Exception]) -> None:
        self._apart = work
        super().__init__(work, closed)

    def _fresh(self) -> None:
        super()._fresh()
        self._late = 0  # of those in the queue, how many were put aside
        self._watcher: threading.Thread | None = None
        self._unwatched = False  # it could not be started

    # -- callers -----------------------------------------------------------------------------------------------------

    def _commit_alone(self, lead: Lead[_M], members: Sequence[_M], outcomes: list[Outcome]) -> None:
        super()._commit_alone(lead, members, outcomes)
        if not any(map(_is_locked, outcomes)):
            return
        entry = Entry(members)
        try:
            with self._lock:
                self._away.discard(lead)
                if not self._put_aside(entry, outcomes):
                    self._queue.appendleft(entry)
                    entry.sleeps()
                    self._behind()
                self._over(lead)
            outcomes[:] = self._served(entry)
        except BaseException:  # a signal
            self._leave(entry)
            raise

    def lead_now(self) -> bool:
        """Somebody else does it: what waits for a server is not for an event loop's thread. True: nothing is queued."""
        with self._lock:
            if self._leading is None and self._ready():
                self._call()
        self._stand_in()
        return not self._queue

    # -- who goes ----------------------------------------------------------------------------------------------------

    def _ready(self) -> Sequence[Entry[_M]]:
        if not self._away and not self._late:
            return self._queue
        return self._going({name for lead in self._away for name in lead.names})

    def _going(self, busy: set[bytes]) -> list[Entry[_M]]:
        """Who does not have to wait for its time, for what is busy, or for somebody who came before and waits."""
        now = time.monotonic()
        going: list[Entry[_M]] = []
        for entry in self._queue:
            if entry.names is None:
                entry.names = self._apart.names(entry.members)
            if entry.due <= now and busy.isdisjoint(entry.names):
                going.append(entry)
            else:
                busy |= entry.names
        return going

    def _may_go(self, entry: Entry[_M]) -> bool:
        return (not self._away and not self._late) or entry in self._ready()

    def _take(self) -> list[Entry[_M]]:
        if not self._away and not self._late:
            return super()._take()
        taken: list[Entry[_M]] = []
        size = 0
        for entry in self._ready():
            if size >= MOST_AT_ONCE:
                break
            size += len(entry.members)
            taken.append(entry)
        here = set(map(id, taken))
        self._queue = deque(entry for entry in self._queue if id(entry) not in here)
        self._late = sum(entry.due > 0 for entry in self._queue)
        return taken

    def _write(self, lead: Lead[_M], outcomes: list[Outcome], *, wait: bool) -> bool:
        self._apart.write_units(lead.units, outcomes, wait=lead.waits)
        return True

    # -- who is put aside --------------------------------------------------------------------------------------------

    def _hand_out(
        self,
        lead: Lead[_M],
        entries: list[Entry[_M]],
        own: Entry[_M] | None,
        outcomes: list[Outcome],
        told: list[Told],
    ) -> None:
        if not any(map(_is_locked, outcomes)):
            super()._hand_out(lead, entries, own, outcomes, told)
            return
        back: list[Entry[_M]] = []
        behind: set[bytes] = set()  # names of those who go back: who comes behind them does not overtake
        start = 0
        with self._lock:
            self._away.discard(lead)
            for entry in entries:
                end = start + len(entry.members)
                of_entry = outcomes[start:end]
                if not any(map(_is_locked, of_entry)):
                    self._answer(entry, own, of_entry, told)
                elif entry.gone:
                    pass  # a signal took its caller, and nothing of the rest was made
                elif not self._put_aside(entry, of_entry, behind):
                    back.append(entry)
                    behind |= entry.names or frozenset()
                    if entry is own:
                        entry.sleeps()
                elif entry.outcomes is not None:
                    self._answer(entry, own, entry.outcomes, told)
                elif entry is not own:
                    entry.wake()
                start = end
            self._queue.extendleft(reversed(back))
            if back:
                self._behind()
            for entry in back:
                if self._unwatched and entry is not own:
                    entry.wake()  # to go on sleeping, but with an eye open

    def _put_aside(self, entry: Entry[_M], outcomes: Sequence[Outcome], behind: Set[bytes] = _NOBODY) -> bool:
        """It waits for what is locked, in a lane of its own, or has waited for too long. False: it is to be queued again.

        Args:
            entry: whose caller is there.
            outcomes: of its members.
            behind: what others touch who came before it and are queued again.
        """
        now = time.monotonic()
        first = next(at for at, outcome in enumerate(outcomes) if _is_locked(outcome))
        entry.before = [*entry.before, *outcomes[:first]]
        entry.members = entry.members[first:]
        entry.names = self._apart.names(entry.members)
        entry.since = entry.since or now
        entry.tries += 1
        left = [said.said if isinstance(said, Locked) else said for said in outcomes[first:]]
        if now - entry.since > self._apart.patience:
            entry.outcomes = left
            return True
        others = {*behind, *(name for lead in self._away for name in lead.names)}
        if not others.isdisjoint(entry.names):
            return False  # whoever is before it
        if len(self._away) < self._apart.most - 1:
            entry.lead = Lead((entry.members,), waits=True)
            entry.lead.names = entry.names
            self._away.add(entry.lead)
            if entry.done is not None and not self._waits(entry):
                self._away.discard(entry.lead)
                entry.lead, entry.outcomes = None, left
            return True
        self._behind()  # somebody has to see that its time has come
        if entry.done is not None and self._unwatched:
            entry.outcomes = left
            return True
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**entry.tries)
        entry.due = now + pause * (0.5 + random.random())  # noqa: S311 - jitter, not a secret
        self._late += 1
        return False

    def _waits(self, entry: Entry[_M]) -> bool:
        """On a thread of its own for what is locked, since nobody sleeps for it. False: none can be started."""
        return _started(threading.Thread(target=self._wait, args=(entry,), name="perdure-waits", daemon=True))

    def _wait(self, entry: Entry[_M]) -> None:
        try:
            self._served(entry)
            self._stand_in()
        except BaseException:  # nobody else looks after this thread
            log.exception("a callback of commit_soon failed")

    def _lead(self, lead: Lead[_M], own: Entry[_M] | None) -> None:
        if own is None or not lead.waits:
            super()._lead(lead, own)
            return
        outcomes: list[Outcome] = []
        told: list[Told] = []
        try:
            self._write(lead, outcomes, wait=True)
        finally:
            try:
                with self._lock:
                    if outcomes:
                        self._answer(own, own, outcomes, told)
                    own.lead = None
                    self._over(lead)
            finally:
                tell(told)

    # -- who does not come back --------------------------------------------------------------------------------------

    def _behind(self) -> None:
        if self._watcher is None:
            watcher = threading.Thread(target=self._watch, name="perdure-lanes", daemon=True)
            self._watcher = watcher
            self._unwatched = not _started(watcher)
            if self._unwatched:
                self._watcher = None

    def _sleep(self, waiter: threading.Lock) -> None:
        """Where there is no watcher, whoever sleeps looks."""
        while not waiter.acquire(timeout=_LOOK_SECONDS if self._unwatched else -1):
            with self._lock:
                self._look()
            self._stand_in()

    def _watch(self) -> None:
        """Looks whether whoever leads is held up, and whether somebody's time has come, as long as there is a queue."""
        in_vain = 0
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                in_vain = 0 if self._queue else in_vain + 1
                if in_vain > _LOOKS_IN_VAIN or (in_vain and self._closed):
                    self._watcher = None
                    return
                if self._queue:
                    self._look()
            self._stand_in()

    def _look(self) -> None:
        lead = self._leading
        if lead is None:
            self._pass_on()
            return
        held_up = lead.began > 0 and bool(lead.units) and clock.monotonic() - lead.began > STALL_SECONDS
        if not held_up or len(self._away) >= self._apart.most - 1:
            return
        lead.names = self._apart.names([member for unit in lead.units for member in unit])
        if not self._going({name for away in (lead, *self._away) for name in away.names}):
            return  # all who wait would wait for it anyhow
        self._away.add(lead)
        self._leading = None
        if lead.helper is self._helper:
            self._helper = None
        self._pass_on()


def _started(thread: threading.Thread) -> bool:
    """False: the system has no more threads, or the interpreter is about to end."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def _is_locked(outcome: Outcome) -> bool:
    return isinstance(outcome, Locked)
