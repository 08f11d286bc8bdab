"""Group commit by leader and follower: many callers, one transaction, one sync of the disk.

The interpreter's lock is given back at every statement, so a commit made by a thread of its own would wait for busy
threads again and again. Instead whoever comes and finds nobody at work leads: it commits, on its own thread, all that is
queued. Others queue and sleep; when the leader is done it wakes them, and hands the lead to one of them if more came.
An event loop leads through `lead_now`, while commits are short; else a small thread does it, or, where no thread can be started,
whoever has just been here.

Here: who leads, who waits, who is told, where one at a time does the work. Not here: work that several may do at once
(`lanes.py`), rows (`writer.py`), connections (`backend.py`). Knows no database.
Method: one writer that takes along all who wait, as in LevelDB's and bbolt's batches; "flat combining", Hendler et
al., SPAA 2010.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from perdure import clock
from perdure.storage.contract import Outcome
from perdure.storage.tables.entries import Entry, Lead, Told, Work, tell

__all__ = ["MOST_AT_ONCE", "GroupQueue", "Work"]

_M = TypeVar("_M")

log = logging.getLogger("perdure.storage")

MOST_AT_ONCE: Final = 1000  # members of a group: bounds how long one transaction is
_SHORT_SECONDS: Final = 0.001
_IDLE_SECONDS: Final = 10.0


class GroupQueue(Generic[_M]):
    """The queue before one writer. Safe from any thread; nothing is called while its lock is held."""

    def __init__(self, work: Work[_M], closed: Callable[[], Exception]) -> None:
        self._work = work
        self._closed_error = closed
        self._closed = False
        self._recent: deque[float] = deque(maxlen=9)
        self._fresh()

    def _fresh(self) -> None:
        """Nobody waits, nobody leads."""
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._call_helper = threading.Condition(self._lock)
        self._queue: deque[Entry[_M]] = deque()
        self._leading: Lead[_M] | None = None
        self._away: set[Lead[_M]] = set()  # groups under way that have not the lead; see `lanes.py`
        self._helper_leads: Lead[_M] | None = None  # what the helper is called for
        self._helper: threading.Thread | None = None
        self._stranded: Lead[_M] | None = None  # what a helper could not be started for

    @property
    def waiting(self) -> int:
        """How many callers are queued."""
        return len(self._queue)

    def after_fork(self) -> None:
        """In the child: the parent keeps what was queued."""
        self._fresh()

    # -- callers -----------------------------------------------------------------------------------------------------

    def commit(self, members: Sequence[_M]) -> list[Outcome]:
        """One outcome a member; sleeps or leads until they are known."""
        try:
            return self._commit(members)
        finally:
            if self._stranded is not None:
                self._stand_in()

    def _commit(self, members: Sequence[_M]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        lead: Lead[_M] | None = None
        try:
            with self._lock:
                self._check_open()
                if self._leading is None and not self._queue and not self._away:
                    self._leading = lead = Lead((members,))
            if lead is not None:
                self._commit_alone(lead, members, outcomes)
                return outcomes
        finally:
            if lead is not None:
                with self._lock:
                    if self._leading is not lead or self._queue or self._closed:
                        self._over(lead)
                    else:  # without a call, in which a signal could come before the lead is free
                        self._leading = None
        return self._commit_queued(Entry(members))

    def _commit_alone(self, lead: Lead[_M], members: Sequence[_M], outcomes: list[Outcome]) -> None:
        """Nobody is at work and nobody waits: what most commits meet, so it goes straight to the work."""
        lead.began = clock.monotonic()
        self._write(lead, outcomes, wait=True)
        self._recent.append(clock.monotonic() - lead.began)
        if self._work.untidy():
            self._work.tidy()

    def _commit_queued(self, entry: Entry[_M]) -> list[Outcome]:
        try:
            with self._lock:
                self._check_open()
                self._queue.append(entry)
                if self._leading is None and self._may_go(entry):
                    self._leading = entry.lead = Lead()
                else:
                    entry.sleeps()
                    self._behind()
            return self._served(entry)
        except BaseException:  # a signal
            self._leave(entry)
            raise

    def _served(self, entry: Entry[_M]) -> list[Outcome]:
        """Sleeps, and leads when it is our turn, until the outcomes are known."""
        while entry.outcomes is None:
            if entry.waiter is not None and not (entry.lead and entry.lead.waits):
                self._sleep(entry.waiter)
            if entry.outcomes is None and entry.lead is not None:
                self._lead(entry.lead, entry)
        return entry.outcomes

    def _sleep(self, waiter: threading.Lock) -> None:
        """Until this caller is told, or leads."""
        waiter.acquire()

    def _leave(self, entry: Entry[_M]) -> None:
        """Nobody waits for this caller any more."""
        with self._lock:
            entry.gone = True
            if entry in self._queue:
                self._queue.remove(entry)
            lead, entry.lead = entry.lead, None
            if lead is not None:
                self._over(lead)

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed_error()

    def enqueue(self, member: _M, done: Callable[[Outcome], Any]) -> None:
        """Queues; somebody must call `lead_now`, or commit, afterwards."""
        with self._lock:
            self._check_open()
            self._queue.append(Entry((member,), done))

    def commit_soon(self, member: _M, done: Callable[[Outcome], Any]) -> None:
        """Queues, and calls the helper if nobody leads."""
        with self._lock:
            self._check_open()
            entry = Entry((member,), done)
            self._queue.append(entry)
            if self._leading is None and self._may_go(entry):
                self._call()
            else:
                self._behind()
        self._stand_in()

    def lead_now(self) -> bool:
        """Commits all that is queued on this thread, if that is quick; False: somebody else does it."""
        try:
            return self._lead_now()
        finally:
            self._stand_in()

    def _lead_now(self) -> bool:
        told: list[Told] = []
        lead: Lead[_M] | None = None
        ready = served = False
        try:
            with self._lock:
                if not self._queue:
                    return True
                if self._leading is not None:
                    return False
                if self._recent and sorted(self._recent)[len(self._recent) // 2] > _SHORT_SECONDS:
                    self._call()
                    return False
                self._leading = lead = Lead()
            ready = self._group(lead, None, told, wait=False)
        finally:
            try:
                if lead is not None:
                    with self._lock:
                        served = ready and not self._queue
                        if not ready or self._work.untidy():
                            self._call()  # what may be done between groups is not for an event loop's thread
                        else:
                            self._over(lead)
            finally:
                tell(told)
        return served

    def close(self) -> None:
        """Nobody may come any more; returns when all who came are served."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        while True:
            self._stand_in()
            with self._lock:
                if self._leading is None and not self._queue and not self._away:
                    return
                if self._leading is None and self._ready():
                    self._call()
                if self._stranded is None:
                    self._idle.wait()

    # -- the leader --------------------------------------------------------------------------------------------------

    def _lead(self, lead: Lead[_M], own: Entry[_M] | None) -> None:
        """Commits a group, `own` among it if there is room, then hands the lead on. Callbacks come last: they may commit, too."""
        told: list[Told] = []
        try:
            self._group(lead, own, told, wait=True)
            if self._work.untidy():
                self._work.tidy()
        finally:
            try:
                with self._lock:
                    if own is not None:
                        if own.lead is lead:
                            own.lead = None
                        if own.outcomes is None and own.lead is None:
                            own.sleeps()
                    self._over(lead)
            finally:
                tell(told)

    def _over(self, lead: Lead[_M]) -> None:
        """This one is done, and somebody leads if there is something to do. Called with the lock held."""
        if self._leading is lead:
            self._leading = None
        else:
            self._away.discard(lead)
        if self._leading is None:
            self._pass_on()

    def _pass_on(self) -> None:
        """The lead goes to a sleeping caller, else to the helper, else to nobody. Called with the lock held."""
        ready = self._ready()
        if not ready:
            if self._closed:
                self._idle.notify_all()  # `close` waits for this, and nobody else
            return
        for entry in ready:
            if entry.waiter is not None:
                self._leading = entry.lead = Lead()
                entry.wake()
                return
        self._call()

    def _ready(self) -> Sequence[Entry[_M]]:
        """Those in the queue who may be committed now. Called with the lock held."""
        return self._queue

    def _may_go(self, entry: Entry[_M]) -> bool:
        """Whether this one, who came last, is one of them. Called with the lock held."""
        return True

    def _behind(self) -> None:
        """Somebody waits behind others. Called with the lock held."""

    def _take(self) -> list[Entry[_M]]:
        """A group of them, who leave the queue. Called with the lock held."""
        entries: list[Entry[_M]] = []
        size = 0
        while self._queue and size < MOST_AT_ONCE:
            entries.append(self._queue.popleft())
            size += len(entries[-1].members)
        return entries

    def _write(self, lead: Lead[_M], outcomes: list[Outcome], *, wait: bool) -> bool:
        units = lead.units
        members = units[0] if len(units) == 1 else [member for unit in units for member in unit]
        return self._work.write(members, outcomes, wait=wait)

    def _group(self, lead: Lead[_M], own: Entry[_M] | None, told: list[Told], *, wait: bool) -> bool:
        """One transaction for what is queued; False, and everything still queued: it would have had to wait."""
        entries: list[Entry[_M]] = []
        outcomes: list[Outcome] = []
        try:
            with self._lock:
                entries = self._take()
                lead.began = clock.monotonic()
                lead.units = [entry.members for entry in entries]
            if not entries:
                return True
            ready = self._write(lead, outcomes, wait=wait)
        except BaseException:
            self._give_back(lead, entries, own, outcomes, told)
            raise
        if not ready:
            with self._lock:
                self._queue.extendleft(entry for entry in reversed(entries) if not entry.gone)
            return False
        self._recent.append(clock.monotonic() - lead.began)
        self._hand_out(lead, entries, own, outcomes, told)
        return True

    def _give_back(
        self,
        lead: Lead[_M],
        entries: list[Entry[_M]],
        own: Entry[_M] | None,
        outcomes: list[Outcome],
        told: list[Told],
    ) -> None:
        """After a signal in the middle: those that were committed are told, the others wait for the next leader."""
        if outcomes:
            self._hand_out(lead, entries, own, outcomes, told)
            return
        with self._lock:
            self._queue.extendleft(
                entry for entry in reversed(entries) if entry is not own and not entry.gone
            )

    def _hand_out(
        self,
        lead: Lead[_M],
        entries: list[Entry[_M]],
        own: Entry[_M] | None,
        outcomes: list[Outcome],
        told: list[Told],
    ) -> None:
        if len(entries) == 1:
            self._answer(entries[0], own, outcomes, told)
            return
        start = 0
        for entry in entries:
            end = start + len(entry.members)
            self._answer(entry, own, outcomes[start:end], told)
            start = end

    @staticmethod
    def _answer(entry: Entry[_M], own: Entry[_M] | None, outcomes: list[Outcome], told: list[Told]) -> None:
        entry.outcomes = [*entry.before, *outcomes] if entry.before else outcomes
        if entry is not own:
            entry.wake()
        if entry.done is not None:
            told.append((entry.done, entry.outcomes[0]))

    # -- the helper --------------------------------------------------------------------------------------------------

    def _call(self) -> None:
        """The helper leads from now on. Called with the lock held."""
        self._leading = self._helper_leads = Lead()
        if self._helper is not None:
            self._call_helper.notify_all()
            return
        helper = threading.Thread(target=self._help, name="perdure-commits", daemon=True)
        self._helper = helper
        try:
            helper.start()
        except RuntimeError:  # the system has no more, or the interpreter is about to end
            self._helper = self._helper_leads = None
            self._stranded = self._leading

    def _stand_in(self) -> None:
        """In the place of a helper that could not be started."""
        while True:
            with self._lock:
                lead, self._stranded = self._stranded, None
            if lead is None:
                return
            self._lead(lead, None)

    def _help(self) -> None:
        me = threading.current_thread()
        while True:
            with self._lock:
                self._call_helper.wait_for(
                    lambda: self._helper is not me or self._helper_leads is not None, _IDLE_SECONDS
                )
                if self._helper is not me:  # another was called while this one was held up
                    return
                lead, self._helper_leads = self._helper_leads, None
                if lead is None:
                    self._helper = None
                    return
                lead.helper = me
            try:
                self._lead(lead, None)
                self._stand_in()  # of one that was called while this one was held up
            except BaseException:  # this thread serves all callers, whatever one callback raised
                log.exception("a callback of commit_soon failed")
