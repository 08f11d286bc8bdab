"""The blocking colour: waits in place, on the caller's thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from perdure.engine.ports import Event, Pending
from perdure.engine.workers import PATIENCE, node_workers
from perdure.storage import outcome
from perdure.storage.contract import Backend, Commit, Outcome, Revision

__all__ = ["BlockingPorts"]

T = TypeVar("T")


class BlockingPorts:
    """Waits in place, on the caller's thread."""

    blocking = True
    __slots__ = ("_inbox",)

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Event] | None = None

    def _box(self) -> queue.SimpleQueue[Event]:
        if self._inbox is None:
            self._inbox = queue.SimpleQueue()
        return self._inbox

    def start_thread(self, job: Callable[[], Event]) -> None:
        """In one of our worker threads."""
        box = self._box()
        node_workers().start(lambda: box.put(job()))

    def start_async(self, key: Any, coro: Coroutine[Any, Any, Any]) -> Callable[[], object]:
        """Never: async nodes in a blocking run are refused before."""
        coro.close()
        raise RuntimeError("an async node cannot run in a blocking run")

    def post(self, event: Event) -> None:
        """Into the inbox."""
        self._box().put(event)

    async def next_event(self, patience: float | None = None) -> Event | None:
        """Blocks; a signal (Ctrl-C) ends the wait."""
        box, workers = self._box(), node_workers()
        waited = 0.0
        while True:
            try:
                return box.get(timeout=PATIENCE if patience is None else min(patience, PATIENCE))
            except queue.Empty:
                waited += PATIENCE
            if patience is not None and waited >= patience:
                return None
            if not workers.relieve() and patience is None:
                return box.get()

    async def pause(self, seconds: float) -> None:
        """Blocks."""
        threading.Event().wait(seconds)

    async def storage(self, work: Callable[[], T]) -> T:
        """On this thread."""
        return work()

    async def user_code(self, work: Callable[[], T]) -> T:
        """On this thread."""
        return work()

    async def commit(self, backend: Backend, commit: Commit) -> Revision:
        """On this thread, which may lead a group."""
        return outcome.commit(backend, commit)

    def commit_soon(self, backend: Backend, commit: Commit, pending: Pending) -> None:
        """Another thread commits it, unless the backend does it at once."""
        backend.commit_soon(commit, pending.resolve)

    async def settled(self, pending: Pending) -> Outcome:
        """Blocks."""
        if not pending.done:
            event = threading.Event()
            pending.call(event.set)
            event.wait()
        return pending.outcome
