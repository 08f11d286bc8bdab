"""A store that commits: what the public stores of every database have in common.

Here: writes as commits of their own, `update` as compare and set, finding the running task's store, closing.
Not here: how a database is opened (`memory.py`, `sqlite/`), reading and checking (`storage/item_store.py`).
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from perdure import clock
from perdure.current import CURRENT
from perdure.errors import StorageError, VersionConflict
from perdure.storage import forgetting, outcome
from perdure.storage.aside import aside
from perdure.storage.contract import (
    Backend,
    Commit,
    ItemIs,
    ItemRow,
    Namespace,
    Outcome,
    PromptBackend,
    PutItem,
    Revision,
    Snapshot,
    asked,
    commit_now,
    looked,
)
from perdure.storage.forgetting import Forgetting, Forgotten
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_store import Change, FaceHandle, ItemStore
from perdure.storage.preselect import declared_paths
from perdure.storage.refreshing import before_use, pay, was_read
from perdure.storage.reverting import Reverted, Reverting, undoing
from perdure.storage.scoped import ScopedStore
from perdure.storage.staging import ANY, Operation
from perdure.storage.upkeep import KeepHistory, keep, wrote
from perdure.storage.vectors.catching_up import CatchingUp
from perdure.storage.watching import Watch, Watching
from perdure.store.base import Item, TTLConfig
from perdure.store.encoding import codec_of
from perdure.store.runs import runs_in

__all__ = ["BackendStore", "Opening", "codec_of"]

T = TypeVar("T")
S = TypeVar("S", bound="BackendStore")


TRIES: Final = 1000
"""How often `update` begins again when somebody else was first."""
_jitter = random.SystemRandom()  # not the user's generator, and no two processes draw alike
_BYPASSED: Final = tuple(
    prefix + name
    for name in ("batch", "get", "search", "put", "delete", "list_namespaces", "update")
    for prefix in ("", "a")
)
"""What the engine does past the store when it commits a step; who overrides one of them wants it called."""


class BackendStore(ItemStore):
    """A store over one backend. Outside a task, what was written is durable on return.

    Inside a task of a graph that was compiled with a store of the same database, everything is asked of that task's
    view instead, so that a store held in a global variable is staged like the one that the node was handed. `direct`
    is the way out.

    Args:
        backend: where the items are; None if that is not known yet.
        codec: the encoding of their values.
        let_go: called once by `close`.
        keep_history: which versions of its items are kept; None: as was said before, 30 days if nobody did.
        ttl: how long its items live, checked; None: for ever, and a `ttl` of a put is refused.
        indexes: paths that are declared when the backend is open.
    """

    def __init__(
        self,
        backend: Backend | None,
        codec: ItemCodec | None = None,
        *,
        let_go: Callable[[], object] | None = None,
        keep_history: KeepHistory | None = None,
        ttl: TTLConfig | None = None,
        indexes: Sequence[str] = (),
    ) -> None:
        """Over an open backend."""
        super().__init__(codec or codec_of(None))
        self.ttl_config = ttl
        self.supports_ttl = ttl is not None
        self._keep_history: KeepHistory | None = keep_history
        self._indexes = declared_paths(indexes)
        self._opened: Backend | None = None
        self._prompt: PromptBackend | None = None
        self._catching_up: CatchingUp | None = None
        if backend is not None:
            self._open(backend)
        self._let_go = let_go
        self._closed = False

    def __repr__(self) -> str:
        opened = self._opened
        state = (
            "closed"
            if self._closed
            else "not opened"
            if opened is None
            else "closed"
            if opened.closed
            else "open"
        )
        return f"<{type(self).__name__}{'' if opened is None else f' {opened.identity}'} {state}>"

    @property
    def __perdure_backend__(self) -> FaceHandle | None:
        """What the engine commits with. None for a subclass with methods of its own, which must be called instead."""
        return FaceHandle(self._backend(), self._codec) if _is_ours(type(self)) else None

    @property
    def direct(self) -> ItemStore:
        """This store, past any running task: its writes are durable and visible at once, whatever becomes of the task.

        They are not undone when the task fails, and made again when it is run again.
        """
        return _Direct(self)

    def close(self) -> None:
        """Lets go of the database. Again: nothing. Later calls raise StorageError."""
        if not self._closed:
            if self._catching_up is not None:
                self._catching_up.stop()
            if self._opened is not None and not self._opened.closed:
                pay(self._opened)
            self._closed = True
            if self._codec.embedder is not None:
                self._codec.embedder.close()
            if self._let_go is not None:
                self._let_go()

    async def aclose(self) -> None:
        """As `close`, from an event loop."""
        if self._catching_up is not None:
            await aside(self._catching_up.stop)  # may wait for the model
        if self._codec.embedder is not None and not self._closed:
            await self._codec.embedder.aclose()
        if self._opened is None or self._opened.inline:
            self.close()
        else:
            await aside(self.close)

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
        await self.aclose()

    # The hooks of ItemStore.

    def _backend(self) -> Backend:
        if self._closed or self._opened is None:
            raise StorageError(
                f"{self!r} was used; nothing was read or written.", hint="Open it again before using it."
            )
        return self._opened

    def _open(self, backend: Backend) -> None:
        """The items are there from now on."""
        self._opened = backend
        self._prompt = backend if isinstance(backend, PromptBackend) else None
        if self._keep_history is not None:
            keep(backend, self._keep_history)
        if self._indexes:
            backend.declare_paths(self._indexes)
        if self._codec.embedder is not None and self._codec.embedder.catches_up:
            self._catching_up = CatchingUp(self._codec, backend)
            self._catching_up.begin()

    def _here(self) -> ItemStore:
        task = CURRENT.get()
        if task is None or self._opened is None:
            return self
        store: object = task.store
        if isinstance(store, ScopedStore):
            store = store.root  # this is the whole store, whatever the graph was given
        if store is self or not isinstance(store, ItemStore):
            return self
        handle: object = getattr(store, "__perdure_backend__", None)
        if isinstance(handle, FaceHandle) and handle.backend.identity == self._opened.identity:
            return store
        return self

    def _read(self) -> AbstractContextManager[Snapshot]:
        backend = self._backend()
        before_use(backend)
        return backend.read()

    def _look(self, question: Callable[[Snapshot], T]) -> T:
        return self._look_back(question)

    def _look_now(self, question: Callable[[Snapshot], T]) -> T:
        backend = self._backend()
        before_use(backend)
        return asked(backend, question)

    def _of_committed(self, question: Callable[[Snapshot], T]) -> T:
        return self._look_now(question)

    def _look_back(self, question: Callable[[Snapshot], T], revision: Revision | None = None) -> T:
        backend = self._backend()
        before_use(backend)
        return looked(backend, question, revision)

    def _read_promptly(self) -> AbstractContextManager[Snapshot] | None:
        if self._prompt is None:
            return None
        before_use(self._backend())
        return self._prompt.read_promptly()

    def _row(self, namespace: Namespace, key: str) -> ItemRow | None:
        backend = self._backend()
        before_use(backend)
        return backend.item(namespace, key)  # nothing is staged outside of tasks

    def _was_read(self, items: Iterable[Item]) -> None:
        if self.supports_ttl:
            was_read(self._backend(), items)

    def _write(self, operations: list[Operation]) -> None:
        backend = self._backend()
        before_use(backend)
        self._codec.embed(self._codec.lacking(operations))
        outcome.commit(backend, _commit(operations))
        wrote(backend, operations)

    async def _awrite(self, operations: list[Operation]) -> None:
        backend = self._backend()
        before_use(backend)
        await self._codec.aembed(self._codec.lacking(operations))
        await _committed(backend, _commit(operations))
        wrote(backend, operations)

    def _update(self, namespace: Namespace, key: str, fn: Change, ttl: int | None) -> Item | None:
        change = self._on_bytes(namespace, key, fn)
        for attempt in range(TRIES):
            row = self._row(namespace, key)
            value = change(None if row is None else row.value)  # user code: outside the snapshot
            if row is None and value is None:
                return None
            guard = None if row is None else row.version
            operation = Operation(namespace, key, value, clock.micros(), guard)
            operation.paths = None if row is None else row.paths
            operation.ttl, operation.keeps = ttl, True
            self._codec.filed_of(operation)
            self._codec.embed(self._codec.lacking([operation]))
            try:
                backend = self._backend()
                revision = outcome.commit(backend, _commit([operation]))
                wrote(backend, [operation])
            except VersionConflict:
                if attempt + 1 == TRIES:
                    raise
                _wait(attempt)
            else:
                return None if value is None else self._written(namespace, key, value, revision)
        raise AssertionError("the last attempt returns or raises")

    def _revert(self, asked: Reverting) -> Reverted:
        for attempt in range(TRIES):
            with self._read() as snapshot:
                plan = undoing(self._codec, snapshot, asked, runs_in(snapshot, self._codec.cipher))
            if not plan.puts:
                return plan.report(None)
            plan.embed(self._codec)
            try:
                backend = self._backend()
                revision = outcome.commit(backend, plan.commit())
                wrote(backend, plan.puts)
            except VersionConflict:
                if attempt + 1 == TRIES:
                    raise
                _wait(attempt)
            else:
                return plan.report(revision)
        raise AssertionError("the last attempt returns or raises")

    def _watch(self, asked: Watching) -> Watch:
        return Watch(self._backend, self._codec, asked)

    def _forget(self, asked: Forgetting) -> Forgotten:
        receipt = forgetting.forget(self._backend(), asked)
        if self._codec.embedder is not None:
            self._codec.embedder.forget()  # vectors of texts that it remembers
        return receipt

    def _settle(self) -> None:
        pay(self._backend())

    def _whole(self, what: str) -> Backend:
        del what
        return self._backend()

    def _written(self, namespace: Namespace, key: str, value: bytes, revision: Revision) -> Item:
        """The item as this commit left it; without its version if it was replaced since."""
        found = self._get(namespace, key)
        if found is not None and found.revision == str(revision):
            return found
        now = clock.now()
        decoded = self._codec.decode(namespace, key, value)
        return Item(
            value=decoded,
            key=key,
            namespace=namespace,
            created_at=now,
            updated_at=now,
            revision=str(revision),
        )


class Opening(Generic[S]):
    """A store that is opened when a `with` or `async with` block is entered, and closed when it ends."""

    def __init__(self, make: Callable[[], S]) -> None:
        """With what opens it."""
        self._make = make
        self._store: S | None = None

    def __enter__(self) -> S:
        self._store = self._make()
        return self._store

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._store is not None:
            self._store.close()

    async def __aenter__(self) -> S:
        self._store = await aside(self._make)
        return self._store

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._store is not None:
            await self._store.aclose()


class _Direct(BackendStore):
    """A store's backend without looking for a task; open as long as the store is."""

    def __init__(self, store: BackendStore) -> None:
        super().__init__(None, store._codec, ttl=store.ttl_config)
        self._opened = store._opened
        self._store = store

    def _backend(self) -> Backend:
        return self._store._backend()

    def _here(self) -> ItemStore:
        return self

    def close(self) -> None:
        """Nothing: it is the store's to close."""

    async def aclose(self) -> None:
        """Nothing, as `close`."""


def _commit(operations: list[Operation]) -> Commit:
    return commit_now(
        versions=[ItemIs(op.namespace, op.key, op.guard) for op in operations if op.guard is not ANY],
        items=[
            PutItem(
                op.namespace,
                op.key,
                op.value,
                op.origin,
                op.filed,
                op.paths,
                op.embedded,
                op.ttl,
                keeps=op.keeps,
            )
            for op in operations
        ],
    )


async def _committed(backend: Backend, commit: Commit) -> Revision:
    """The revision, once durable. A caller that is cancelled goes at once; the commit goes on its way."""
    loop = asyncio.get_running_loop()
    outcomes: list[Outcome] = []
    told = loop.create_future()
    here = threading.get_ident()

    def done(answer: Outcome) -> None:
        outcomes.append(answer)
        if threading.get_ident() == here:
            _wake(told)
            return
        try:
            loop.call_soon_threadsafe(_wake, told)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    backend.commit_soon(commit, done)
    if not outcomes:
        await told
    answer = outcome.known(backend, commit, outcomes[0])
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _wake(told: asyncio.Future[Any]) -> None:
    if not told.done():
        told.set_result(None)


def _wait(attempt: int) -> None:
    """The first repetitions at once, then longer and longer, each time another while."""
    if attempt >= 2:
        threading.Event().wait(min(0.05, 0.0002 * 2 ** min(attempt, 9)) * _jitter.random())


@cache
def _is_ours(kind: type[BackendStore]) -> bool:
    return all(getattr(kind, name) is getattr(ItemStore, name) for name in _BYPASSED)
