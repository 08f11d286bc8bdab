"""What was stored without its vectors, because the model failed, is embedded later: by a thread, until nothing is owed.

It begins when something was put off, or when a store is opened and its database remembers such items, from whatever process.
It ends when there are none. While the model fails it waits, each time longer; a batch that fails is made smaller, and an
item that fails by itself is passed over until the others are done, so no text that the model refuses stands in the way. Two
processes that do the same do it twice, and no harm: vectors are filed for the version that they were made of.

Here: `CatchingUp`. Not here: one batch (`reembedding.py`), who tells that something was put off (`owing.py`).
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

from perdure.storage.contract import Backend, ItemRow
from perdure.storage.item_codec import ItemCodec
from perdure.storage.owing import stop_telling, tell
from perdure.storage.vectors.reembedding import embed_rows

__all__ = ["BATCH", "CLOSING", "FIRST", "LONGEST", "CatchingUp"]

BATCH: Final = 128
"""Items that are embedded at once, at most."""
FIRST: Final = 1.0
"""Seconds to wait after the first failure; each further one doubles them."""
LONGEST: Final = 300.0
"""Seconds between two attempts, at most."""
CLOSING: Final = 2.0
"""Seconds that closing waits for a request to the model. A later answer is thrown away."""
_IDLE: Final = 2  # looks that found nothing before it ends: a commit in flight may come a moment later

log = logging.getLogger("perdure.storage")
_spread = random.Random()  # noqa: S311 - two processes do not ask at the same moment, no secret
_all: WeakSet[CatchingUp] = WeakSet()

Wait = Callable[[threading.Event, float], bool]


class CatchingUp:
    """For one store. Safe from any thread.

    Args:
        codec: how the store embeds.
        backend: where its items are.
        wait: waits for the event so many seconds, and tells whether it is set; tests know when that is.

    Attributes:
        in_flight: items that the model is being asked for now.
    """

    def __init__(self, codec: ItemCodec, backend: Backend, *, wait: Wait = threading.Event.wait) -> None:
        """Not begun."""
        self._codec = codec
        self._backend = backend
        self._wait = wait
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._more = False  # something was put off since the thread looked last
        self._stop = threading.Event()
        self.in_flight = 0
        _all.add(self)

    def __repr__(self) -> str:
        thread = self._thread
        state = "stopped" if self._stop.is_set() else "at work" if thread and thread.is_alive() else "idle"
        return f"<CatchingUp of {self._backend.identity} {state}, {self.in_flight} items in flight>"

    def begin(self) -> None:
        """What is owed already is embedded from now on, and what will be put off. Costs one look."""
        tell(self._backend, self._told)
        with self._backend.read() as snapshot:
            owed = snapshot.owed(0, 1)
        if owed:
            self._start(at_once=True)

    def stop(self, timeout: float = CLOSING) -> bool:
        """Whether nothing of it runs any more; waits so many seconds at most, the first time. Nothing is written from now on."""
        stop_telling(self._backend, self._told)
        again = self._stop.is_set()
        self._stop.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        if not again:
            thread.join(timeout)
        return not thread.is_alive()

    def _told(self) -> None:
        self._start(at_once=False)

    def _start(self, *, at_once: bool) -> None:
        with self._lock:
            self._more = True
            if self._stop.is_set() or self._thread is not None:
                return
            self._thread = threading.Thread(
                target=self._run, args=(at_once,), name="perdure-catching-up", daemon=True
            )
            self._thread.start()

    def _run(self, at_once: bool) -> None:
        try:
            self._catch_up(0.0 if at_once else FIRST)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _catch_up(self, pause: float) -> None:
        size, after, idle, failures = BATCH, 0, 0, 0
        while not (pause and self._wait(self._stop, pause * _spread.uniform(0.8, 1.2))):
            if self._over():
                return
            self._more = False
            rows: list[ItemRow] = []
            try:
                with self._backend.read() as snapshot:
                    rows = snapshot.owed(after, size)
                self._embed(rows)
            except Exception as error:  # noqa: BLE001 - a decoder or a model of the user's may raise anything
                if self._over():
                    return
                failures += 1
                pause = _backoff(failures)
                if len(rows) > 1:
                    size = max(1, len(rows) // 4)
                elif rows:
                    after = rows[-1].version
                why = error.__cause__ or error
                log.warning("embedding what was put off failed, again in some %d s: %s", pause, why)
                continue
            if rows:
                pause, idle, failures, size = 0.0, 0, 0, min(BATCH, 2 * size)
            elif after:  # the others are done: those that were passed over are tried again
                after, pause = 0, _backoff(failures + 1)
            else:
                pause, idle = FIRST, idle + 1
                if idle >= _IDLE and self._ended():
                    return

    def _over(self) -> bool:
        return self._stop.is_set() or self._backend.closed

    def _ended(self) -> bool:
        """Whether the thread may go: nothing was put off since it looked."""
        with self._lock:
            if self._more:
                return False
            self._thread = None
            return True

    def _embed(self, rows: list[ItemRow]) -> None:
        if not rows:
            return
        self.in_flight = len(rows)
        try:
            embed_rows(self._codec, self._backend, rows, clear=True, unless=self._over)
        finally:
            self.in_flight = 0


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(LONGEST, FIRST * 2.0 ** min(failures - 1, 20))


def _after_fork() -> None:
    """The thread is the parent's."""
    for one in list(_all):
        one._lock = threading.Lock()  # pyright: ignore[reportPrivateUsage]
        one._thread = None  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
