"""Group commit by leader and follower: many callers, one transaction, one sync of the disk.

The interpreter's lock is given back at every statement, so a commit made by a thread of its own would wait for busy
threads again and again. Instead whoever comes and finds nobody at work leads: it commits, on its own thread, all that is
queued. Others queue and sleep; when the leader is done it wakes them, and hands the lead to one of them if more came.
An event loop leads through `lead_now`, while commits are short; else a small thread does it.

Here: who leads, who waits, who is told. Not here: rows (`writer.py`), connections (`backend.py`). Knows no database.
Method: one writer that takes along all who wait, as in LevelDB's and bbolt's batches; "flat combining", Hendler et
al., SPAA 2010.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from perdure import clock
from perdure.storage.contract import Outcome

_M = TypeVar("_M")
_M_contra = TypeVar("_M_contra", contravariant=True)

_Told: TypeAlias = tuple[Callable[[Outcome], Any], Outcome]

log = logging.getLogger("perdure.storage")

_MOST_AT_ONCE: Final = 1000  # members of a group: bounds how long one transaction is
_SHORT_SECONDS: Final = 0.001
_IDLE_SECONDS: Final = 10.0


class Work(Protocol[_M_contra]):
    """What the leader calls: never two at once, from any thread."""

    def write(self, members: Sequence[_M_contra], outcomes: list[Outcome], *, wait: bool) -> bool:
        """Fills in one outcome a member. False, and nothing done: `wait` is False and it would have to wait.

        May raise only what is no error of a member (KeyboardInterrupt); then `outcomes` is empty or complete.
        """
        ...

    def tidy(self) -> bool:
        """Does what may be done between groups."""
        ...

    def untidy(self) -> bool:
        """Whether `tidy` has something to do."""
        ...


class _Entry(Generic[_M]):
    """Commits of one caller, who sleeps on `waiter`, or is told through `done`."""

    __slots__ = ("done", "leads", "members", "outcomes", "waiter")

    def __init__(self, members: Sequence[_M], done: Callable[[Outcome], Any] | None = None) -> None:
        self.members = members
        self.done = done
        self.outcomes: list[Outcome] | None = None
        self.waiter: threading.Lock | None = None
        self.leads = False


class GroupQueue(Generic[_M]):
    """The queue before one writer. Safe from any thread; nothing is called while its lock is held."""

    def __init__(self, work: Work[_M], closed: Callable[[], Exception]) -> None:
        self._work = work
        self._closed_error = closed
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._queue: deque[_Entry[_M]] = deque()
        self._leading = False
        self._closed = False
        self._recent: deque[float] = deque(maxlen=9)
        self._helper_wanted = False
        self._helper: threading.Thread | None = None
        self._call_helper = threading.Condition(self._lock)

    @property
    def waiting(self) -> int:
        """How many callers are queued."""
        return len(self._queue)

    def after_fork(self) -> None:
        """In the child: nobody waits, nobody leads; the parent keeps what was queued."""
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._call_helper = threading.Condition(self._lock)
        self._queue = deque()
        self._leading = self._helper_wanted = False
        self._helper = None

    # -- callers -----------------------------------------------------------------------------------------------------

    def commit(self, members: Sequence[_M]) -> list[Outcome]:
        """One outcome a member; sleeps or leads until they are known."""
        outcomes: list[Outcome] = []
        alone = False
        try:
            with self._lock:
                self._check_open()
                if not self._leading and not self._queue:
                    self._leading = alone = True
            if alone:
                self._commit_alone(members, outcomes)
                return outcomes
        finally:
            if alone:
                with self._lock:
                    if self._queue or self._closed:
                        self._pass_on()
                    else:  # without a call, in which a signal could come before the lead is free
                        self._leading = False
        return self._commit_queued(_Entry(members))

    def _commit_alone(self, members: Sequence[_M], outcomes: list[Outcome]) -> None:
        """Nobody is at work and nobody waits: what most commits meet, so it goes straight to the work."""
        began = clock.monotonic()
        self._work.write(members, outcomes, wait=True)
        self._recent.append(clock.monotonic() - began)
        if self._work.untidy():
            self._work.tidy()

    def _commit_queued(self, entry: _Entry[_M]) -> list[Outcome]:
        try:
            with self._lock:
                self._check_open()
                if self._leading:
                    entry.waiter = threading.Lock()
                    entry.waiter.acquire()
                self._queue.append(entry)
                if not self._leading:
                    self._leading = entry.leads = True
            if entry.waiter is not None:
                entry.waiter.acquire()
            if entry.outcomes is None:  # from the start, or handed over: it is our turn to lead
                self._lead(entry)
        except BaseException:  # a signal: leave the queue, and let nobody wait for us
            with self._lock:
                if entry in self._queue:
                    self._queue.remove(entry)
                if entry.leads:
                    entry.leads = False
                    self._pass_on()
            raise
        assert entry.outcomes is not None  # noqa: S101 - a leader takes its own entry along, or raises
        return entry.outcomes

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed_error()

    def enqueue(self, member: _M, done: Callable[[Outcome], Any]) -> None:
        """Queues; somebody must call `lead_now`, or commit, afterwards."""
        with self._lock:
            self._check_open()
            self._queue.append(_Entry((member,), done))

    def commit_soon(self, member: _M, done: Callable[[Outcome], Any]) -> None:
        """Queues, and calls the helper if nobody leads."""
        with self._lock:
            self._check_open()
            self._queue.append(_Entry((member,), done))
            if not self._leading:
                self._call()

    def lead_now(self) -> bool:
        """Commits all that is queued on this thread, if that is quick; False: somebody else does it."""
        told: list[_Told] = []
        leads = ready = served = False
        try:
            with self._lock:
                if not self._queue:
                    return True
                if self._leading:
                    return False
                if self._recent and sorted(self._recent)[len(self._recent) // 2] > _SHORT_SECONDS:
                    self._call()
                    return False
                self._leading = leads = True
            ready = self._group(None, told, wait=False)
        finally:
            try:
                if leads:
                    with self._lock:
                        served = ready and not self._queue
                        if not ready or self._work.untidy():
                            self._call()  # what may be done between groups is not for an event loop's thread
                        else:
                            self._pass_on()
            finally:
                _tell(told)
        return served

    def close(self) -> None:
        """Nobody may come any more; returns when all who came are served."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while self._leading or self._queue:
                if self._leading:
                    self._idle.wait()
                else:
                    self._call()

    # -- the leader --------------------------------------------------------------------------------------------------

    def _lead(self, own: _Entry[_M] | None) -> None:
        """Commits a group that has `own` in it, then hands the lead on. Callbacks come last: they may commit, too."""
        told: list[_Told] = []
        try:
            while True:
                self._group(own, told, wait=True)
                if own is None or own.outcomes is not None:
                    break
            if self._work.untidy():
                self._work.tidy()
        finally:
            try:
                with self._lock:
                    if own is not None:
                        own.leads = False
                    self._pass_on()
            finally:
                _tell(told)

    def _pass_on(self) -> None:
        """The lead goes to a sleeping caller, else to the helper, else to nobody. Called with the lock held."""
        if not self._queue:
            self._rest()
            return
        for entry in self._queue:
            if entry.waiter is not None:
                entry.leads = True
                entry.waiter.release()
                return
        self._call()

    def _rest(self) -> None:
        self._leading = False
        if self._closed:
            self._idle.notify_all()  # `close` waits for this, and nobody else

    def _group(self, own: _Entry[_M] | None, told: list[_Told], *, wait: bool) -> bool:
        """One transaction for what is queued; False, and everything still queued: it would have had to wait."""
        entries: list[_Entry[_M]] = []
        outcomes: list[Outcome] = []
        try:
            with self._lock:
                size = 0
                while self._queue and size < _MOST_AT_ONCE:
                    entries.append(self._queue.popleft())
                    size += len(entries[-1].members)
            if not entries:
                return True
            members = (
                entries[0].members
                if len(entries) == 1
                else [member for entry in entries for member in entry.members]
            )
            began = clock.monotonic()
            ready = self._work.write(members, outcomes, wait=wait)
        except BaseException:
            self._give_back(entries, own, outcomes, told)
            raise
        if not ready:
            with self._lock:
                self._queue.extendleft(reversed(entries))
            return False
        self._recent.append(clock.monotonic() - began)
        self._hand_out(entries, own, outcomes, told)
        return True

    def _give_back(
        self, entries: list[_Entry[_M]], own: _Entry[_M] | None, outcomes: list[Outcome], told: list[_Told]
    ) -> None:
        """After a signal in the middle: those that were committed are told, the others wait for the next leader."""
        if outcomes:
            self._hand_out(entries, own, outcomes, told)
            return
        with self._lock:
            self._queue.extendleft(entry for entry in reversed(entries) if entry is not own)

    def _hand_out(
        self, entries: list[_Entry[_M]], own: _Entry[_M] | None, outcomes: list[Outcome], told: list[_Told]
    ) -> None:
        if len(entries) == 1:
            entries[0].outcomes = outcomes
            self._answer(entries[0], own, told)
            return
        start = 0
        for entry in entries:
            entry.outcomes = outcomes[start : start + len(entry.members)]
            start += len(entry.members)
            self._answer(entry, own, told)

    @staticmethod
    def _answer(entry: _Entry[_M], own: _Entry[_M] | None, told: list[_Told]) -> None:
        assert entry.outcomes is not None  # noqa: S101 - the caller has set it
        if entry.waiter is not None and entry is not own:
            entry.waiter.release()
        if entry.done is not None:
            told.append((entry.done, entry.outcomes[0]))

    # -- the helper --------------------------------------------------------------------------------------------------

    def _call(self) -> None:
        """The helper leads from now on. Called with the lock held."""
        self._leading = self._helper_wanted = True
        if self._helper is None:
            self._helper = threading.Thread(target=self._help, name="perdure-commits", daemon=True)
            self._helper.start()
        else:
            self._call_helper.notify()

    def _help(self) -> None:
        while True:
            with self._lock:
                if not self._helper_wanted and not self._call_helper.wait_for(
                    lambda: self._helper_wanted, _IDLE_SECONDS
                ):
                    self._helper = None
                    return
                self._helper_wanted = False
            try:
                self._lead(None)
            except BaseException:  # this thread serves all callers, whatever one callback raised
                log.exception("a callback of commit_soon failed")


def _tell(told: list[_Told]) -> None:
    for done, outcome in told:
        try:
            done(outcome)
        except Exception:  # one caller's mistake must not keep the others from being told
            log.exception("a callback of commit_soon failed")
