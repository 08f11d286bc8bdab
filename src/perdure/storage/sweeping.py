"""Items whose time is over go: in small commits, each a deletion by the actor `ttl`, by hand or by a thread now and then.

Here: one sweep, and the thread that repeats it. Not here: what hides expired items until then (the backends).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from perdure.errors import PerdureError
from perdure.storage import outcome
from perdure.storage.contract import Backend, Revision, SweepItem, commit_now
from perdure.storage.refreshing import before_use, pay
from perdure.storage.upkeep import wrote

__all__ = ["BATCH", "INTERVAL", "Sweeper", "sweep"]

BATCH: Final = 500
"""Items that one commit sweeps."""
INTERVAL: Final = 5
"""Minutes between two sweeps, if nobody says."""

log = logging.getLogger("perdure.storage")


def sweep(backend: Backend, stopped: Callable[[], bool] = lambda: False) -> int:
    """How many items went because their time was over. Each batch stands, whatever becomes of the next.

    `stopped` is asked after each batch.
    """
    pay(backend)  # what was read in time lives
    swept = 0
    while True:
        before_use(backend)
        with backend.read() as snapshot:
            over = snapshot.lapsed((), snapshot.now(), BATCH)
        if not over:
            break
        sweeps = [SweepItem(row.namespace, row.key) for row in over]
        gone = _gone(backend, outcome.commit(backend, commit_now(lives=sweeps)))
        swept += gone
        wrote(backend, sweeps)
        if len(over) < BATCH or not gone or stopped():
            break
    return swept


def _gone(backend: Backend, revision: Revision) -> int:
    """How many items that commit swept: others may have been written, read or swept meanwhile."""
    with backend.read() as snapshot:
        changes = snapshot.changes(Revision(revision.epoch, revision.seq - 1), 1)
    return sum(row.revision == revision for row in changes)


class Sweeper:
    """A thread that sweeps at once, and again after each pause, until it is stopped. Safe from any thread.

    Args:
        sweep: sweeps once; asked to end early by the function that it is given.
    """

    def __init__(self, sweep: Callable[[Callable[[], bool]], object]) -> None:
        """Not started."""
        self._sweep = sweep
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._done: Future[None] = Future()

    def start(self, seconds: float) -> Future[None]:
        """Done when the thread has ended; the same again while it runs."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return self._done
            self._stop, self._done = threading.Event(), Future()
            self._thread = threading.Thread(
                target=self._run,
                args=(self._stop, self._done, seconds),
                name="perdure-ttl-sweeper",
                daemon=True,
            )
            self._done.set_running_or_notify_cancel()
            self._thread.start()
            return self._done

    def stop(self, timeout: float | None = None) -> bool:
        """Whether it has ended, or none ran; waits so many seconds at most, None: until it has."""
        with self._lock:
            self._stop.set()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self, stop: threading.Event, done: Future[None], seconds: float) -> None:
        try:
            while True:
                try:
                    self._sweep(stop.is_set)
                except PerdureError as error:
                    if not stop.is_set():
                        log.warning("sweeping expired items failed and will be tried again: %s", error)
                if stop.wait(seconds):
                    break
        finally:
            done.set_result(None)
