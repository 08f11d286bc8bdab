"""The few connections that a process keeps: fair, bounded, living ones, safe across forks.

Here: the pool. Not here: URLs (`place.py`), opening (`opening.py`), transactions, what an error means (`faults.py`).
"""

from __future__ import annotations

import os
import random
import select
import threading
import time
from collections import deque
from typing import Final, NamedTuple

from perdure.errors import Unavailable
from perdure.storage.postgres.driver import pq, psycopg
from perdure.storage.postgres.faults import closed
from perdure.storage.postgres.opening import Connection, Opened, connect
from perdure.storage.postgres.place import Place, place_of
from perdure.storage.postgres.talking import parted

__all__ = ["AllInUse", "Connection", "Opened", "Place", "Pool", "connect", "place_of"]

CHECK_AFTER: Final = 30.0  # seconds of idling after which a connection is asked whether it lives
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


class _Idle(NamedTuple):
    """A connection that nobody uses, and since when."""

    connection: Connection
    since: float


class _Waiter:
    """A caller that waits for a connection, or for leave to open one."""

    __slots__ = ("connection", "event", "served")

    def __init__(self) -> None:
        self.event = threading.Event()
        self.served = False
        self.connection: Connection | None = None


class AllInUse(Unavailable):
    """This process has all the connections that it may have; nothing is wrong with the server."""


class Pool:
    """The connections of this process to one database. Safe from any thread; none is opened before it is asked for.

    Callers are served in the order in which they came. A connection that died while nobody used it is noticed when it is
    taken, and replaced; after one was given back as unsound, the others are asked whether they live before they are used
    again. Where a server was reached before, one that is away is waited for, up to the caller's time. Idle connections
    above `pool_min` are closed after `pool_idle` seconds.

    A fork: the child opens its own. What it inherited is cut off from the server on its side only, so nothing that the
    parent does with it is disturbed. The owner calls `before_fork` and `after_fork` (`storage/process.py`).

    Args:
        place: which database.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._pooled = place.prepare == "off"
        self._closed = False
        self._known = False  # a server was reached once
        self._fresh()

    def _fresh(self) -> None:
        self._lock = threading.Lock()
        self._mine: set[Connection] = set()  # all that are open
        self._stale: set[Connection] = set()  # of these, what is closed when it is given back
        self._idle: list[_Idle] = []  # the one used last is at the end
        self._count = 0  # open, or being opened
        self._waiting: deque[_Waiter] = deque()
        self._suspect = float("-inf")  # what has idled since before then is asked whether it lives
        self._ending = threading.Event()
        self._reaper: threading.Thread | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        used, idle = self._count - len(self._idle), len(self._idle)
        return f"<Pool {self.place.name} {state}, {used} in use, {idle} idle, {len(self._waiting)} waiting>"

    def __len__(self) -> int:
        """How many are open."""
        return self._count

    @property
    def pooled(self) -> bool:
        """Whether a pooler is between (known after the first connection): no state may be kept in a session."""
        return self._pooled

    @property
    def settle(self) -> str | None:
        """What tells a transaction its limits, where the session could not be told; else None.

        A statement without parameters, to be sent behind BEGIN; it ends with the transaction.
        """
        if not self._pooled or not self.place.limits:
            return None
        calls = (f"set_config('{name}', '{value}', true)" for name, value in self.place.limits)
        return f"SELECT {', '.join(calls)}"

    # -- taking and giving -------------------------------------------------------------------------------------------

    def take(self, seconds: float | None = None, *, parting: bool = False) -> Connection:
        """A living connection, in no transaction. To be given back.

        Args:
            seconds: how long to wait; None: `pool_timeout`.
            parting: it may still be ending the one before: it will be used by `say` and `say_all` only.

        Raises:
            Unavailable: all are in use and none was given back in time, or no server answers.
            StorageError: the pool is closed, or the server refuses.
        """
        until = time.monotonic() + (self.place.pool_timeout if seconds is None else seconds)
        while True:
            with self._lock:
                if self._closed:
                    raise closed("connect", self.place.name)
                idle = self._idle.pop() if self._idle else None
                waiter = None
                if idle is None and self._count < self.place.pool_max:
                    self._count += 1
                elif idle is None:
                    waiter = _Waiter()
                    self._waiting.append(waiter)
            if waiter is not None:
                self._wait(waiter, until)
                idle = None if waiter.connection is None else _Idle(waiter.connection, time.monotonic())
            if idle is None:
                return self._opened(until)
            try:
                if self._lives(idle, parting=parting):
                    return idle.connection
            except BaseException:
                self.give(idle.connection, sound=False)
                raise
            self.give(idle.connection, sound=False)

    def give(self, connection: Connection, *, sound: bool = True) -> None:
        """The connection is free for others, or closed.

        Args:
            connection: as `take` gave it. One that was taken before this process was forked off is left alone.
            sound: False closes it. So does a transaction that is still open on it, which is rolled back by that.
        """
        pg = connection.pgconn
        sound = (
            sound
            and pg.status == pq.ConnStatus.OK
            and (
                connection.parting
                or (
                    pg.transaction_status == pq.TransactionStatus.IDLE
                    and pg.pipeline_status == pq.PipelineStatus.OFF
                )
            )
        )
        with self._lock:
            if connection not in self._mine:
                return
            keep = sound and not self._closed and connection not in self._stale
            if keep:
                self._pass_on(connection)
            else:
                self._mine.discard(connection)
                self._stale.discard(connection)
                if not sound:
                    self._suspect = time.monotonic()
        if not keep:
            try:
                connection.close()
            finally:
                with self._lock:
                    self._pass_on(None)

    def renew(self) -> None:
        """Nobody is given a connection from before this call any more: the server behind it is no longer the right one."""
        with self._lock:
            self._stale = set(self._mine)
            idle, self._idle = self._idle, []
        for one in idle:
            self.give(one.connection)

    def _pass_on(self, connection: Connection | None) -> None:
        """To whoever waits longest, or back; None is leave to open one. Under the lock."""
        if self._waiting:
            waiter = self._waiting.popleft()
            waiter.served, waiter.connection = True, connection
            waiter.event.set()
        elif connection is None:
            self._count -= 1
        else:
            self._idle.append(_Idle(connection, time.monotonic()))
            if self._reaper is None and self._count > self.place.pool_min:
                self._reaper = threading.Thread(target=self._reap, name="perdure-pool", daemon=True)
                try:
                    self._reaper.start()
                except RuntimeError:  # the system has no more: the next time
                    self._reaper = None

    def _wait(self, waiter: _Waiter, until: float) -> None:
        """Until the waiter is served."""
        try:
            waiter.event.wait(max(0.0, until - time.monotonic()))
        except BaseException:
            with self._lock:
                if waiter.served:
                    self._pass_on(waiter.connection)
                else:
                    self._waiting.remove(waiter)
            raise
        with self._lock:
            if not waiter.served:
                self._waiting.remove(waiter)
        if waiter.served:
            return
        if self._closed:
            raise closed("connect", self.place.name)
        size = self.place.pool_max
        raise AllInUse(
            f"{self.place.name}: all {size} connections of this process are in use (pool_max={size}), and none was given"
            f" back within pool_timeout={self.place.pool_timeout:g} seconds. Nothing was written.",
            operation="connect",
            where=self.place.name,
            hint="Raise pool_max= in the URL, or look for reads that are held open.",
        )

    # -- opening and looking -----------------------------------------------------------------------------------------

    def _opened(self, until: float) -> Connection:
        """A new connection in the place that was counted for it."""
        pause = _FIRST_PAUSE
        try:
            while True:
                try:
                    connection, pooled = connect(self.place, pooled=self._pooled)
                    break
                except Unavailable:
                    if not self._known or time.monotonic() + pause > until:
                        raise
                time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
                pause = min(_LONGEST_PAUSE, pause * 2)
        except BaseException:
            with self._lock:
                self._pass_on(None)
            raise
        with self._lock:
            self._known, self._pooled = True, self._pooled or pooled
            self._mine.add(connection)
            ended = self._closed
        if ended:
            self.give(connection)
            raise closed("connect", self.place.name)
        return connection

    def _lives(self, idle: _Idle, *, parting: bool) -> bool:
        """Whether it can be used. Asks the server only where there is a reason to doubt it."""
        pg = idle.connection.pgconn
        if pg.status != pq.ConnStatus.OK:
            return False
        doubt = idle.since <= self._suspect or time.monotonic() - idle.since > CHECK_AFTER
        try:
            if not parted(idle.connection, wait=doubt or not parting):
                return True  # it was used a moment ago
        except psycopg.Error:
            return False
        # To whoever asks nothing the server says nothing but goodbye.
        if not doubt and not _readable(pg.socket):
            return True
        try:
            idle.connection.execute("SELECT 1").close()
        except psycopg.Error:
            return False
        return True

    # -- ends --------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Closes what idles too long; ends when nothing is left that could."""
        while True:
            ripe: list[_Idle] = []
            with self._lock:
                before = time.monotonic() - self.place.pool_idle
                while self._idle and self._count > self.place.pool_min and self._idle[0].since <= before:
                    ripe.append(self._idle.pop(0))
                    self._count -= 1
                for one in ripe:
                    self._mine.discard(one.connection)
                if self._closed or not self._idle or self._count <= self.place.pool_min:
                    self._reaper = None
                    pause = None
                else:
                    pause = self._idle[0].since - before
            for one in ripe:
                one.connection.close()
            if pause is None:
                return
            self._ending.wait(pause)

    def close(self) -> None:
        """Closes the idle ones; those in use are closed when they are given back. Whoever waits gets an error."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for waiter in self._waiting:
                waiter.event.set()
        self._ending.set()
        for one in idle:
            self.give(one.connection)

    def before_fork(self) -> None:
        """Stands still until `after_fork`."""
        self._lock.acquire()

    def after_fork(self, *, child: bool) -> None:
        """Goes on; the child from nothing."""
        if not child:
            self._lock.release()
            return
        for connection in self._mine:
            _cut_off(connection)
        self._fresh()


_inherited: Final[list[Connection]] = []  # never freed before the process ends


def _cut_off(connection: Connection) -> None:
    """Of a connection that a fork copied: this side's descriptor leads nowhere, so nothing can be said on it.

    Closing it would say goodbye to the server in the parent's name. Left open, it would keep the server from noticing
    that the parent has died. Its number stays taken, so it is not reused under the driver's hands.
    """
    connection.inherited = True
    _inherited.append(connection)
    nowhere = os.open(os.devnull, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    try:
        os.dup2(nowhere, connection.pgconn.socket, inheritable=False)
    except (OSError, psycopg.Error):  # it was closed already
        pass
    finally:
        os.close(nowhere)


def _readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLERR | select.POLLHUP)
    return bool(poll.poll(0))
