"""How a colour waits. The engine is written once and suspends only here.

The blocking ports finish in place (a wait blocks, it never suspends), so the coroutine is driven by `send(None)` and no
event loop runs in the caller's thread. The async ports suspend on the caller's loop. Both hand a streamed item to the
driver by yielding an `Item`.

Here: what the engine waits for, as a protocol, and a commit on its way. Not here: the two kinds of ports
(`blocking_ports.py`, `async_ports.py`), the worker threads (`workers.py`), the drivers (`driving.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias, TypeVar

from perdure.storage import outcome
from perdure.storage.contract import Backend, Commit, Outcome, Revision

__all__ = ["Event", "Pending", "Ports"]

T = TypeVar("T")
Event: TypeAlias = tuple[Any, Any]
"""(task run or None for a live item, outcome or item)"""


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
