"""Following the changes of a subtree: whole commits, in their order, none missed and none twice.

A watch has a place: everything up to that revision was handed out. It reads on from there in pages, each of a short
snapshot of its own, so however slow its reader is, nobody waits for it and nothing is held open. Between pages it waits
for a bell of this process (`bells.py`), or looks at the database's token after a while.
The contract is etcd's: https://etcd.io/docs/v3.6/learning/api_guarantees/#watch-apis

Here: `Watch` and what it gives. Not here: what of the past is kept (`Snapshot.complete_since`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

from perdure import clock
from perdure.errors import QueryError
from perdure.storage.aside import aside
from perdure.storage.bells import Wake, listening
from perdure.storage.contract import (
    EXPIRED,
    Backend,
    ItemRow,
    Namespace,
    Origin,
    Revision,
    Snapshot,
    compacted,
)
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import moment_of
from perdure.storage.moments import Moment, revision_of

__all__ = ["POLL_SECONDS", "Changes", "Event", "EventKind", "Watch", "Watching"]

EventKind: TypeAlias = Literal["put", "delete", "expire"]

POLL_SECONDS: Final = 0.05
_PAGE: Final = 200  # versions that one look fetches, or one commit if that has more
_MOST: Final = 12_800  # a page doubles up to here, while it is small
_PAGE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One write to memory.

    Attributes:
        kind: `"put"`, `"delete"`, or `"expire"`: its time was over.
        namespace: the path the item is filed under.
        key: unique in its namespace.
        value: the whole new value, a copy of its own; None where the item is gone.
        version: the item's mark, never reused; greater is later.
        revision: opaque mark of the commit; `store.at(revision)` is memory as this commit left it.
        at: when it was written, by the clock of whoever wrote.
        origin: who wrote: thread, checkpoint (that the writing step started from), node, actor; None is unknown.
    """

    kind: EventKind
    namespace: Namespace
    key: str
    value: dict[str, Any] | None
    version: int
    revision: str
    at: datetime
    origin: Origin


@dataclass(frozen=True, slots=True)
class Changes:
    """What one commit wrote below the watched prefix, the whole of it; or, without events, a mark of progress.

    Attributes:
        revision: opaque mark of the commit; of a mark of progress, the newest commit that was looked at. Whoever has
            dealt with these changes goes on from here: `store.watch(prefix, since=changes.revision)`.
        events: in the order of the writes; the same item can be written twice.
    """

    revision: str
    events: tuple[Event, ...]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    def __bool__(self) -> bool:
        """Whether there are events: False for a mark of progress."""
        return bool(self.events)


class Watching(NamedTuple):
    """What is to be watched, and how."""

    prefix: Namespace
    since: Moment | None
    poll_seconds: float
    progress_seconds: float | None
    cut: int = 0  # so many labels are left out of what is told: the scope's


class Watch:
    """The changes of a subtree, one `Changes` a commit, for `for` and for `async for`; it ends when it is closed.

    Safe from any thread: two readers of one watch share its changes, each goes to one of them. It holds nothing open
    and needs no closing; `with` and `close()` end it early, for a reader in another thread, too.

    Attributes:
        closed: whether it was ended.
    """

    def __init__(self, backend: Callable[[], Backend], codec: ItemCodec, asked: Watching) -> None:
        """From now on, or from `asked.since` on. Raises as `store.watch`."""
        self._backend = backend
        self._codec = codec
        self._prefix = asked.prefix
        self._cut = asked.cut
        self._poll = _seconds("poll_seconds", asked.poll_seconds)
        self._progress = (
            None if asked.progress_seconds is None else _seconds("progress_seconds", asked.progress_seconds)
        )
        self._reading = threading.Lock()  # one reads at a time; held while the database is asked
        self._lock = threading.Lock()  # for what follows; never held while anything is waited for
        self._ready: deque[tuple[Revision, list[ItemRow]]] = deque()
        self._page = _PAGE
        self._token: object = None  # the database's when all was read; None: there is more
        self._wakes: set[Wake] = set()
        self.closed = False
        with backend().read() as snapshot:
            since = asked.since
            self._covered: Revision = snapshot.revision() if since is None else revision_of(snapshot, since)
            self._checked: Revision = self._check(snapshot)  # the newest commit when nothing was missing
        self._given = self._covered
        self._told_at = clock.monotonic()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Watch of {self._prefix[self._cut :]!r} {state}, at {self.revision}>"

    @property
    def revision(self) -> str:
        """Everything up to here was handed out: where another watch can go on."""
        with self._lock:
            return str(self._given if self._ready else self._covered)

    # Reading.

    def next(self, timeout: float | None = None) -> Changes | None:
        """The next changes; None: there were none for `timeout` seconds (None: for ever), or the watch was closed.

        Raises:
            Compacted: the reader was so slow that changes it had not seen were pruned.
            StorageError: the store was closed, or the database refused.
        """
        until = _until(timeout)
        while True:
            backend = self._backend()
            self._fill(backend)
            found = self._taken()
            if found is not None:
                return found
            pause = self._pause(until)
            if pause is None:
                return None
            rung = threading.Event()
            with self._woken(backend, rung.set):
                if not self._moved(backend):
                    rung.wait(pause)

    async def anext(self, timeout: float | None = None) -> Changes | None:  # noqa: ASYNC109 - of the watch, as `next`
        """As `next`; the loop goes on meanwhile. Nothing is lost when it is cancelled."""
        until = _until(timeout)
        while True:
            backend = self._backend()
            if backend.inline:
                self._fill(backend)
            else:
                await aside(lambda: self._fill(backend))  # noqa: B023 - awaited in the same turn
            found = (
                self._taken()
            )  # on the loop's thread, with no pause behind it: a cancelled caller has taken nothing
            if found is not None:
                return found
            pause = self._pause(until)
            if pause is None:
                return None
            await self._apause(backend, pause)

    async def _apause(self, backend: Backend, seconds: float) -> None:
        loop, rung = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(rung.set)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

        with self._woken(backend, wake):
            moved = self._moved(backend) if backend.inline else await aside(lambda: self._moved(backend))
            if not moved:
                try:
                    async with asyncio.timeout(seconds):
                        await rung.wait()
                except TimeoutError:
                    return

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Changes:
        found = self.next()
        if found is None:
            raise StopIteration
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Changes:
        found = await self.anext()
        if found is None:
            raise StopAsyncIteration
        return found

    # Ending.

    def close(self) -> None:
        """No more changes are handed out; whoever waits for some goes on at once. Again: nothing."""
        with self._lock:
            self.closed = True
            wakes = list(self._wakes)
        for wake in wakes:
            wake()

    async def aclose(self) -> None:
        """As `close`."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    # The database.

    def _fill(self, backend: Backend) -> None:
        """If nothing is ready: the next page, if there is one."""
        with self._reading:
            if self._ready or self.closed:
                return
            token = (
                backend.change_token()
            )  # before the snapshot: what comes in between is looked for twice, not never
            if token == self._token:
                return
            with backend.read() as snapshot:
                newest = snapshot.revision()
                if newest != self._checked:
                    self._check(snapshot)
                rows = snapshot.changes(self._covered, self._page)
            whole = len(rows) < self._page
            if not whole and sum(len(row.value or b"") for row in rows) < _PAGE_BYTES:
                self._page = min(2 * self._page, _MOST)  # far behind: every page looks for what was pruned
            inside = [row for row in rows if row.namespace[: len(self._prefix)] == self._prefix]
            commits = [
                (revision, list(some)) for revision, some in groupby(inside, key=lambda row: row.revision)
            ]
            with self._lock:
                self._given = self._covered
                self._covered = newest if whole else rows[-1].revision
                self._token = token if whole else None
                self._checked = newest
                self._ready.extend(commits)

    def _check(self, snapshot: Snapshot) -> Revision:
        """The snapshot's revision. Raises Compacted if changes behind the place are missing from it."""
        oldest = snapshot.complete_since(self._prefix, self._covered)
        if oldest > self._covered:
            raise compacted(self._covered, oldest)
        return snapshot.revision()

    def _taken(self) -> Changes | None:
        """The first of what is ready, or a mark of progress if it is time for one."""
        with self._lock:
            if self.closed:
                return None
            if self._ready:
                revision, rows = self._ready[0]
                events = tuple(self._event(row) for row in rows)  # may raise: then it stays the first
                self._ready.popleft()
                self._given = revision
            elif self._progress is not None and self._due() <= 0:
                revision, events = self._covered, ()
            else:
                return None
            self._told_at = clock.monotonic()
            return Changes(str(revision), events)

    def _due(self) -> float:
        """Seconds until there should be a mark of progress, if nothing else comes."""
        return (self._progress or 0) - (clock.monotonic() - self._told_at)

    def _event(self, row: ItemRow) -> Event:
        value = None if row.value is None else self._codec.decode(row.namespace, row.key, row.value)
        return Event(
            "put" if value is not None else "expire" if row.origin == EXPIRED else "delete",
            row.namespace[self._cut :],
            row.key,
            value,
            row.version,
            str(row.revision),
            moment_of(row.updated_at),
            row.origin,
        )

    # Waiting.

    def _pause(self, until: float | None) -> float | None:
        """For how many seconds to wait for a bell; None: not at all, it is over."""
        if self.closed:
            return None
        pause = self._poll if self._progress is None else max(0.0, min(self._poll, self._due()))
        if until is None:
            return pause
        left = until - clock.monotonic()
        if left <= 0 and self._token is not None:  # with more to read there is no answer yet
            return None
        return max(0.0, min(pause, left))

    def _moved(self, backend: Backend) -> bool:
        """Whether it makes sense to look again."""
        return self.closed or self._token is None or backend.change_token() != self._token

    @contextmanager
    def _woken(self, backend: Backend, wake: Wake) -> Generator[None]:
        with listening(backend, wake):
            with self._lock:
                self._wakes.add(wake)
            try:
                yield
            finally:
                with self._lock:
                    self._wakes.discard(wake)


def _until(timeout: float | None) -> float | None:
    return None if timeout is None else clock.monotonic() + _seconds("timeout", timeout)


def _seconds(name: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise QueryError(f"{name}={given!r}: give a number of seconds, 0 or more.", part=name)
    return float(given)
