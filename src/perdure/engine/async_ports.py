"""The async colour: waits on the loop that runs the caller.

Here: `AsyncPorts`, and that the commits of one turn of a loop are made together at its end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from perdure.engine.ports import Event, Pending
from perdure.engine.workers import PATIENCE, Workers, node_workers, storage_workers
from perdure.storage.contract import Backend, Commit, Outcome, Revision

__all__ = ["AsyncPorts"]

T = TypeVar("T")

# Who leads soon; the loop, as ids are used again.
_leading: dict[tuple[int, int], asyncio.AbstractEventLoop] = {}


class AsyncPorts:
    """Waits on the loop that runs the caller."""

    blocking = False
    __slots__ = ("_inbox", "_loop", "_waiter")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def start_thread(self, job: Callable[[], Event]) -> None:
        """In one of our worker threads; the event comes back through the loop."""
        workers = node_workers()
        workers.start(lambda: self._from_thread(job()))
        if workers.relieve():
            self._loop.call_later(PATIENCE, self._relieve, workers)

    def _relieve(self, workers: Workers) -> None:
        if workers.relieve():
            self._loop.call_later(PATIENCE, self._relieve, workers)

    def _from_thread(self, event: Event) -> None:
        try:
            self._loop.call_soon_threadsafe(self._post, event)
        except RuntimeError:
            return  # the loop is closed: nobody waits for this any more

    def start_async(self, key: Any, coro: Coroutine[Any, Any, Any]) -> Callable[[], object]:
        """As a task of the loop."""
        task = self._loop.create_task(coro)
        task.add_done_callback(lambda done: self._finished(key, done))
        return task.cancel

    def _finished(self, key: Any, done: asyncio.Task[Any]) -> None:
        if done.cancelled():
            self._post((key, asyncio.CancelledError()))
        else:
            error = done.exception()
            self._post((key, error if error is not None else done.result()))

    def post(self, event: Event) -> None:
        """From the loop's thread at once, from others through the loop."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._post(event)
        else:
            self._from_thread(event)

    def _post(self, event: Event) -> None:
        self._inbox.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next_event(self, patience: float | None = None) -> Event | None:
        """Suspends."""
        if not self._inbox:
            self._waiter = self._loop.create_future()
            timer = None if patience is None else self._loop.call_later(patience, _release, self._waiter)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return self._inbox.popleft() if self._inbox else None

    async def pause(self, seconds: float) -> None:
        """Suspends."""
        await asyncio.sleep(seconds)

    async def storage(self, work: Callable[[], T]) -> T:
        """On a storage thread: a database may keep us waiting."""
        return await self._in_thread(storage_workers(), work)

    async def user_code(self, work: Callable[[], T]) -> T:
        """In one of the threads that run nodes. Cancelled, the thread goes on to its end, unheard."""
        return await self._in_thread(node_workers(), work)

    async def _in_thread(self, workers: Workers, work: Callable[[], T]) -> T:
        future: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                self._tell(future, _fail, error)
            else:
                self._tell(future, _succeed, result)

        workers.start(job)
        if workers.relieve():
            self._loop.call_later(PATIENCE, self._relieve, workers)
        return await future

    def _tell(
        self, future: asyncio.Future[Any], how: Callable[[asyncio.Future[Any], Any], None], what: Any
    ) -> None:
        try:
            self._loop.call_soon_threadsafe(how, future, what)
        except RuntimeError:
            return  # the loop is closed: nobody waits for this any more

    async def commit(self, backend: Backend, commit: Commit) -> Revision:
        """Grouped with the other commits of this turn of the loop, where the backend groups."""
        pending = Pending(backend, commit)
        self.commit_soon(backend, commit, pending)
        answer = await self.settled(pending)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def commit_soon(self, backend: Backend, commit: Commit, pending: Pending) -> None:
        """Queued; the loop's thread commits the turn's queue at its end, where the backend groups."""
        enqueue = getattr(backend, "enqueue", None)
        if enqueue is None:
            backend.commit_soon(commit, pending.resolve)
        else:
            enqueue(commit, pending.resolve)
            _lead_soon(self._loop, backend)

    async def settled(self, pending: Pending) -> Outcome:
        """Suspends. Cancelled, the commit goes on its way all the same."""
        if not pending.done:
            future: asyncio.Future[None] = self._loop.create_future()
            pending.call(lambda: self._tell(future, _release_value, None))
            await future
        return pending.outcome


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _release_value(future: asyncio.Future[None], _: Any) -> None:
    _release(future)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _lead_soon(loop: asyncio.AbstractEventLoop, backend: Any) -> None:
    """Commits all that this turn of the loop queued, once, at its end: on the loop's thread while commits are short."""
    key = (id(loop), id(backend))
    if _leading.get(key) is loop:
        return
    _leading[key] = loop

    def lead() -> None:
        _leading.pop(key, None)
        backend.lead_now()

    loop.call_soon(lead)
