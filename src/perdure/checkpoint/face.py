"""A saver over a database: what the public savers of every database have in common.

Here: the interface's methods as commits and snapshots of a `Backend`. Not here: how a database is opened (`memory.py`,
`sqlite/`), what a list is asked for (`asking.py`), how rows are read and made (`reading.py`, `writing.py`, `removal.py`,
`copying.py`). A graph that is given such a saver does not call these methods: it commits to the backend itself
(`__perdure_backend__`), its memory in the same commit.
"""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from perdure import clock
from perdure.checkpoint.asking import Query, query_of
from perdure.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_metadata,
)
from perdure.checkpoint.base.values import RunnableConfig
from perdure.checkpoint.copying import copy_commit
from perdure.checkpoint.pieces import SerdePieces
from perdure.checkpoint.places import config_of, place_of
from perdure.checkpoint.reading import Page, Reader, read_page, read_tuple
from perdure.checkpoint.removal import beyond, removal_commit
from perdure.checkpoint.serde.base import SerializerProtocol, UntypedSerializerProtocol
from perdure.checkpoint.writing import look_before, put_commit, writes_commit
from perdure.codec import DEFAULT, Codec
from perdure.codec.own import register_own
from perdure.engine.headcache import HEADS
from perdure.errors import StaleThread, StorageError
from perdure.storage import outcome
from perdure.storage.aside import aside
from perdure.storage.chains import Pieces
from perdure.storage.contract import (
    Backend,
    CheckpointRow,
    Commit,
    RemoveThread,
    Snapshot,
    asked,
    check_thread_id,
    commit_now,
    looked,
)

__all__ = ["BackendSaver", "SaverHandle", "ours", "own_pieces"]

T = TypeVar("T")

TRIES: Final = 100
_SHARING: Final = (
    4  # so many tries to go on in the parent's logs; then a put begins logs of its own and cannot fail
)
_VERSION_TEXT: Final = re.compile(r"(\d+)(\..*)?", re.DOTALL)
_BYPASSED: Final = (
    "get_next_version",
    *(prefix + name for name in ("get", "get_tuple", "list", "put", "put_writes") for prefix in ("", "a")),
)
"""What the engine does past the saver; who overrides one of them wants it called."""


@dataclass(frozen=True, slots=True)
class SaverHandle:
    """What the engine needs of a saver that is ours, so as to commit for it."""

    backend: Backend
    pieces: Pieces


class BackendSaver(BaseCheckpointSaver[Any]):
    """A saver over one backend. Safe from any thread and any event loop, in both colours; durable on return.

    Takes any checkpoint, not only a graph's own. `put` is not fenced: it moves the thread's head, and a run that is at
    work on the thread then ends with `StaleThread`.

    Args:
        backend: where the threads are; None: a subclass opens it before anything is asked.
        pieces: the encoding of the values; by default Perdure's own codec.
        serde: a serializer for the values instead.
        let_go: called once by `close`.
    """

    def __init__(
        self,
        backend: Backend | None,
        pieces: Pieces | None = None,
        *,
        serde: SerializerProtocol | UntypedSerializerProtocol | None = None,
        let_go: Callable[[], object] | None = None,
    ) -> None:
        """Over an open backend."""
        super().__init__(serde=serde)
        self._opened: Backend | None = backend
        self._pieces: Pieces = SerdePieces(self.serde) if serde is not None else pieces or own_pieces()
        self._let_go = let_go
        self._closed = False

    def __repr__(self) -> str:
        if self._opened is None:
            return f"<{type(self).__name__} not open yet>"
        state = "closed" if self._closed or self._opened.closed else "open"
        return f"<{type(self).__name__} {self._opened.identity} {state}>"

    @property
    def __perdure_backend__(self) -> SaverHandle | None:
        """What the engine commits with. None for a subclass with methods of its own, which must be called instead."""
        return SaverHandle(self._backend(), self._pieces) if _is_ours(type(self)) else None

    def with_allowlist(self, extra_allowlist: Collection[Any]) -> Self:
        """A saver over the same data that may also build these types."""
        made = copy.copy(self)
        made._let_go = None  # the database is this one's to close
        if isinstance(self._pieces, SerdePieces):
            extended = getattr(self.serde, "with_msgpack_allowlist", None)
            if extended is not None:
                made.serde = extended(extra_allowlist)
                made._pieces = SerdePieces(made.serde)
            return made
        codec = self._pieces
        if isinstance(codec, Codec):
            registry = codec.registry.child()
            registry.add_types(each for each in extra_allowlist if isinstance(each, type))
            made._pieces = Codec(registry, cipher=codec.cipher)
        return made

    def close(self) -> None:
        """Lets go of the database. Again: nothing. Later calls raise StorageError."""
        if not self._closed:
            self._closed = True
            if self._let_go is not None:
                self._let_go()

    async def aclose(self) -> None:
        """As `close`, from an event loop."""
        await self._aside(self.close)

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

    # ---- versions

    def get_next_version(self, current: Any, channel: None) -> Any:
        """The version after `current`: whole numbers from 1; a thread with versions as text goes on with text."""
        if current is None:
            return 1
        if not isinstance(current, str):
            return current + 1
        found = _VERSION_TEXT.fullmatch(current)
        if found is None:
            return cast("int", super().get_next_version(current, channel))
        return f"{int(found[1]) + 1:032d}.{clock.random_id():019d}"

    # ---- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config addresses, or the newest of its namespace; None.

        Raises:
            ValueError: the config has no `thread_id`.
            EncodingError: it holds a value of a type that is not registered here.
        """
        place = place_of(config)
        return asked(self._backend(), lambda snapshot: read_tuple(snapshot, self._pieces, place))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first; read page by page, so what is put meanwhile changes no page and holds nothing up.

        Checkpoints of one list may share items of their lists: copy what you change.

        Raises:
            ValueError: an argument cannot be right, at the call: a negative limit, `before` without a checkpoint, a key of
                the filter with other characters than letters, digits, `_`, `.` and `-`.
        """
        return self._listed(query_of(config, filter, before, limit))

    def _listed(self, query: Query | None) -> Iterator[CheckpointTuple]:
        while query is not None:
            page = self._page(query)
            yield from page.tuples
            query = page.rest

    def _page(self, query: Query) -> Page:
        return looked(self._backend(), lambda snapshot: read_page(snapshot, self._pieces, query))

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> dict[str, Any]:
        """Saves any checkpoint; the config that addresses it.

        Channels in `new_versions` get the values given; others stay as the parent has them, if it has them in that
        very version. A version whose value is neither given nor the parent's is kept without one: the channel is absent
        from `channel_values`. An id that is there already is replaced.

        Raises:
            ValueError: the config has no `thread_id`, or the checkpoint no `id`.
            EncodingError: a value cannot be saved; the message names its path. Nothing was written.
        """
        place = place_of(config)
        if not checkpoint.get("id"):
            raise ValueError(
                "The checkpoint has no id; make one with empty_checkpoint(). Nothing was written."
            )
        merged = get_checkpoint_metadata(config, metadata)
        for attempt in range(TRIES):
            alone = attempt >= _SHARING
            with self._backend().read() as snapshot:
                before = look_before(snapshot, self._pieces, place, checkpoint, new_versions, alone=alone)
            commit = put_commit(before, self._pieces, place, checkpoint, merged, new_versions, alone=alone)
            try:
                outcome.commit(self._backend(), commit)
            except StaleThread:  # another put was first
                continue
            if before.replaces:
                HEADS.take(self._backend(), place.thread, place.ns)
            return config_of(place.thread, place.ns, str(checkpoint["id"]))
        raise AssertionError("a put that shares no log expects no head")

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Saves what a task of an unfinished step wrote.

        Raises:
            ValueError: the config has no `thread_id`, or no `checkpoint_id`.
            EncodingError: a value cannot be saved; the message names its path. Nothing was written.
        """
        place = place_of(config)
        if place.checkpoint is None:
            raise ValueError(
                "The config has no checkpoint_id: writes belong to a checkpoint. Pass the config that put() gave. Nothing "
                "was written."
            )
        if writes:
            outcome.commit(self._backend(), writes_commit(self._pieces, place, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Everything of the thread goes, in all namespaces; not the memory that it wrote. An unknown one: nothing."""
        thread = check_thread_id(str(thread_id))
        self._changed(thread, commit_now(removals=[RemoveThread(thread)]))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Checkpoints of these runs go, with their writes, in all threads and namespaces; others stay readable."""
        wanted = {str(id) for id in run_ids}
        if not wanted:
            return
        after: str | None = None
        while threads := self._threads(after):
            for thread in threads:
                self._remove(thread, lambda reader: lambda row: reader.metadata(row).get("run_id") in wanted)
            after = threads[-1]

    def prune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: str = "keep_latest",
        keep: int = 1,
        before: datetime | None = None,
    ) -> None:
        """Old checkpoints of these threads go.

        Args:
            thread_ids: unknown ones are passed over.
            strategy: `"keep_latest"`: the newest of each namespace stays, with its writes; `"delete"`: nothing does.
            keep: with `"keep_latest"`: so many of each namespace stay.
            before: with `"keep_latest"`: those that were made at that time or later stay, too.

        Raises:
            ValueError: another strategy, or `keep` is not 1 or more.
        """
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(
                f"prune() knows the strategies 'keep_latest' and 'delete', not {strategy!r}. Nothing was done."
            )
        if keep < 1:
            raise ValueError(f"prune(keep={keep!r}): at least 1, or strategy='delete'. Nothing was done.")
        for id in thread_ids:
            if strategy == "delete":
                self.delete_thread(id)
            else:
                self._remove(str(id), lambda _: beyond(keep, before))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """The target gets everything of the source: checkpoints with their ids, pending writes, staged memory.

        Raises:
            ValueError: the target has checkpoints already. Nothing was copied.
        """
        source, target = check_thread_id(str(source_thread_id)), check_thread_id(str(target_thread_id))
        if source == target:
            return
        with self._backend().read() as snapshot:
            commit = copy_commit(snapshot, self._pieces, source, target)
            taken = bool(snapshot.heads(target))
        if commit is None:
            return
        if not taken:
            try:
                self._changed(target, commit)
            except StaleThread:
                taken = True
        if taken:
            raise ValueError(
                f"Thread {target!r} has checkpoints already, so {source!r} was not copied to it. Copy to a new thread, or "
                "delete_thread() first."
            )

    # ---- the same, asynchronous

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await self._aside(lambda: self.get_tuple(config))

    def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        return self._alisted(query_of(config, filter, before, limit))

    async def _alisted(self, query: Query | None) -> AsyncIterator[CheckpointTuple]:
        while query is not None:
            page = await self._apage(query)
            for found in page.tuples:
                yield found
            query = page.rest

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> dict[str, Any]:
        """As `put`."""
        return await self._aside(lambda: self.put(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        await self._aside(lambda: self.put_writes(config, writes, task_id, task_path))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._aside(lambda: self.delete_thread(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self._aside(lambda: self.delete_for_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await self._aside(lambda: self.copy_thread(source_thread_id, target_thread_id))

    async def aprune(
        self,
        thread_ids: Sequence[str],
        *,
        strategy: str = "keep_latest",
        keep: int = 1,
        before: datetime | None = None,
    ) -> None:
        """As `prune`."""
        await self._aside(lambda: self.prune(thread_ids, strategy=strategy, keep=keep, before=before))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        return await self._aside(lambda: self.get_delta_channel_history(config=config, channels=channels))

    # ---- within

    def _backend(self) -> Backend:
        if self._closed or self._opened is None:
            raise StorageError(
                f"This {type(self).__name__} is closed; nothing was written.",
                operation="use",
                where=None if self._opened is None else self._opened.identity,
                hint="Open it again before using it.",
            )
        return self._opened

    async def _aside(self, work: Callable[[], T]) -> T:
        return work() if self._opened is not None and self._opened.inline else await aside(work)

    async def _apage(self, query: Query) -> Page:
        return await self._aside(lambda: self._page(query))

    def _threads(self, after: str | None) -> list[str]:
        with self._backend().read() as snapshot:
            return snapshot.threads(after, 256)

    def _remove(self, thread: str, goes: Callable[[Reader], Callable[[CheckpointRow], bool]]) -> None:
        for attempt in range(TRIES):
            with self._backend().read() as snapshot:
                commit = self._removal(snapshot, thread, goes)
            if commit is None:
                return
            try:
                self._changed(thread, commit)
            except StaleThread:  # the thread moved on: look again
                if attempt == TRIES - 1:
                    raise
            else:
                return

    def _removal(
        self, snapshot: Snapshot, thread: str, goes: Callable[[Reader], Callable[[CheckpointRow], bool]]
    ) -> Commit | None:
        return removal_commit(snapshot, self._pieces, thread, goes(Reader(snapshot, self._pieces)))

    def _changed(self, thread: str, commit: Commit) -> None:
        """Commits what changes a thread's past, and forgets what this process keeps of it."""
        backend = self._backend()
        with backend.read() as snapshot:
            spaces = {ns for ns, _ in snapshot.heads(thread)}
        outcome.commit(backend, commit)
        for ns in spaces:
            HEADS.take(backend, thread, ns)


def own_pieces() -> Codec:
    """Perdure's codec with a registry of its own, which learns what graphs' schemas name."""
    registry = DEFAULT.child()
    register_own(registry)
    return Codec(registry)


def ours(saver: object) -> BackendSaver | None:
    """The saver, if it is one of ours whose every step may be committed past it; None."""
    return saver if isinstance(saver, BackendSaver) and _is_ours(type(saver)) else None


@cache
def _is_ours(kind: type[BackendSaver]) -> bool:
    return all(str(getattr(kind, name).__module__).startswith("perdure.") for name in _BYPASSED)
