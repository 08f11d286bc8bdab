"""How a colour waits. The engine is written once and suspends only here.

The blocking ports finish in place (a wait blocks, it never suspends), so the coroutine is driven by `send(None)` and no
event loop runs in the caller's thread. The async ports suspend on the caller's loop. Both hand a streamed item to the
driver by yielding an `Item`.

Here: the two kinds of ports, the worker threads, the drivers. Not here: what is waited for.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

from perdure.storage import outcome
from perdure.storage.contract import Backend, Commit, Outcome, Revision

T = TypeVar("T")
Event = tuple[Any, Any]  # (task run or None for a live item, outcome or item)

_PATIENCE = 0.0005  # seconds a queued job waits before another worker thread is started


class Item:
    """A streamed item on its way to the driver; awaiting it hands it over."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Item, None, None]:
        yield self


class Workers:
    """Daemonic threads for user code, started when needed and reused. Their number is no limit.

    A job that no thread takes at once is waited for a moment (most jobs are short), then threads are added, doubling.
    """

    def __init__(self, name: str, idle_seconds: float = 10.0) -> None:
        self._name = name
        self._idle_seconds = idle_seconds
        self._jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0

    def start(self, job: Callable[[], object]) -> None:
        """The job runs soon, in a thread. It must not raise."""
        self._jobs.put(job)
        if self._idle == 0 and self._threads == 0:
            self.add(1)

    def relieve(self) -> bool:
        """Starts threads for jobs that nobody has taken; False if there are none. Called by whoever waits for results."""
        waiting = self._jobs.qsize()
        if waiting and self._idle == 0:
            self.add(min(waiting, max(2, self._threads)))
        return waiting > 0

    def add(self, number: int) -> None:
        """Starts threads."""
        with self._lock:
            self._threads += number
        for _ in range(number):
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                with self._lock:
                    self._idle += 1
                try:
                    job = self._jobs.get(timeout=self._idle_seconds)
                except queue.Empty:
                    with self._lock:
                        self._idle -= 1
                        self._threads -= 1
                    return
                with self._lock:
                    self._idle -= 1
            job()
            del job


_node_workers: Workers | None = None
_storage_workers: Workers | None = None


def node_workers() -> Workers:
    """The threads that run nodes."""
    global _node_workers
    if _node_workers is None:
        _node_workers = Workers("perdure-node")
    return _node_workers


def storage_workers() -> Workers:
    """The threads that wait for databases: never those that run nodes."""
    global _storage_workers
    if _storage_workers is None:
        _storage_workers = Workers("perdure-storage")
    return _storage_workers


def forget_threads() -> None:
    """After a fork there are none: those of the parent did not come along."""
    global _node_workers, _storage_workers
    _node_workers = _storage_workers = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_threads)


class Pending:
    """A commit on its way."""

    __slots__ = ("_backend", "_commit", "_done", "_outcome", "_waiters")

    def __init__(self, backend: Backend, commit: Commit) -> None:
        self._backend = backend
        self._commit = commit
        self._outcome: Outcome | None = None
        self._done = False
        self._waiters: list[Callable[[], object]] = []

    @property
    def done(self) -> bool:
        """Whether the backend has answered."""
        return self._done

    @property
    def outcome(self) -> Outcome:
        """The backend's answer; where that is that it does not know, the database is asked once more."""
        assert self._outcome is not None  # noqa: S101 - done
        self._outcome = outcome.known(self._backend, self._commit, self._outcome)
        return self._outcome

    def resolve(self, outcome: Outcome) -> None:
        """The backend's answer; called once, from any thread."""
        self._outcome = outcome
        self._done = True
        waiters = self._waiters
        while waiters:
            waiters.pop()()

    def call(self, waiter: Callable[[], object]) -> None:
        """`waiter` is called when the outcome is known, at once if it is; perhaps twice."""
        self._waiters.append(waiter)
        if self._done:
            waiter()


class Ports(Protocol):
    """What the engine waits for."""

    blocking: bool

    def start_thread(self, job: Callable[[], Event]) -> None:
        """Runs `job` in a worker thread; its event comes out of `next_event`."""
        ...

    def start_async(self, key: Any, coro: Coroutine[Any, Any, Any]) -> Callable[[], object]:
        """Runs the coroutine beside the run; its result comes as the event (key, result). Returns its cancel()."""
        ...

    def post(self, event: Event) -> None:
        """Puts an event into the inbox, from any thread."""
        ...

    async def next_event(self, patience: float | None = None) -> Event | None:
        """The next event; None after `patience` seconds without one."""
        ...

    async def pause(self, seconds: float) -> None:
        """Waits."""
        ...

    async def storage(self, work: Callable[[], T]) -> T:
        """The result of blocking work on a database."""
        ...

    async def user_code(self, work: Callable[[], T]) -> T:
        """The result of sync code of a user's, which may take its time."""
        ...

    async def commit(self, backend: Backend, commit: Commit) -> Revision:
        """The revision, once durable; raises what the backend raises."""
        ...

    def commit_soon(self, backend: Backend, commit: Commit, pending: Pending) -> None:
        """Puts the commit on its way."""
        ...

    async def settled(self, pending: Pending) -> Outcome:
        """The outcome, once known."""
        ...


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
                return box.get(timeout=_PATIENCE if patience is None else min(patience, _PATIENCE))
            except queue.Empty:
                waited += _PATIENCE
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
            self._loop.call_later(_PATIENCE, self._relieve, workers)

    def _relieve(self, workers: Workers) -> None:
        if workers.relieve():
            self._loop.call_later(_PATIENCE, self._relieve, workers)

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
            self._loop.call_later(_PATIENCE, self._relieve, workers)
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


_leading: dict[
    tuple[int, int], asyncio.AbstractEventLoop
] = {}  # who leads soon; the loop, as ids are used again


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


# -- drivers -------------------------------------------------------------------------------------------------------


def drive(coro: Coroutine[Any, None, T]) -> T:
    """The result of a coroutine whose ports finish in place. Streamed items are dropped."""
    try:
        while True:
            coro.send(None)
    except StopIteration as stop:
        return stop.value


@coroutine
def in_context(context: contextvars.Context, coro: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Awaits `coro`, every step of which runs in `context`, in the task of the caller: no task of its own is made."""
    run = context.run
    try:
        waiting = run(coro.send, None)
        while True:
            try:
                sent = yield waiting
            except GeneratorExit:
                run(coro.close)
                raise
            except BaseException as error:  # noqa: BLE001 - the coroutine decides
                waiting = run(coro.throw, error)
            else:
                waiting = run(coro.send, sent)
    except StopIteration as stop:
        return stop.value


class forward:
    """Awaits what another coroutine yielded to its loop."""

    __slots__ = ("waiting",)

    def __init__(self, waiting: Any) -> None:
        self.waiting = waiting

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self.waiting)
