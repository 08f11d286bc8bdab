"""What every saver offers. Derive from it to keep checkpoints anywhere: a graph runs on a saver of anybody's.

A saver implements `get_tuple`, `list`, `put`, `put_writes` (and `delete_thread`), or their async twins, or both. What is
not given in one colour is done by the other where that is possible: an async method runs the blocking one in a thread.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NoReturn, Self, cast

from typing_extensions import TypeVar

from perdure.checkpoint.base.metadata import RunnableConfig
from perdure.checkpoint.base.values import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
)
from perdure.constants import ERROR, INTERRUPT, RESUME, SCHEDULED

__all__ = ["WRITES_IDX_MAP", "BaseCheckpointSaver"]

V = TypeVar("V", int, float, str, default=int)
R = TypeVar("R")

WRITES_IDX_MAP: Final[dict[str, int]] = {ERROR: -1, SCHEDULED: -2, INTERRUPT: -3, RESUME: -4}
"""The fixed index of special writes: of these, the last one of a task stands; of ordinary ones the first."""


class BaseCheckpointSaver(Generic[V]):
    """Keeps checkpoints of threads. `V` is the type of channel versions.

    Attributes:
        serde: turns values into bytes, for savers that need it; by default a `JsonPlusSerializer`.
    """

    def __init__(self, *, serde: Any = None) -> None:
        """With a serializer, or the default one."""
        if serde is not None:
            self.serde = serde

    @property
    def serde(self) -> Any:
        """The serializer."""
        found = self.__dict__.get("_serde")
        if found is None:
            from perdure.checkpoint.serde.jsonplus import (
                JsonPlusSerializer,
            )  # fetched by the first saver that needs it

            found = self.__dict__["_serde"] = JsonPlusSerializer()
        return found

    @serde.setter
    def serde(self, serde: Any) -> None:
        from perdure.checkpoint.serde.base import maybe_add_typed_methods  # a higher room, as above

        self.__dict__["_serde"] = maybe_add_typed_methods(serde)

    @property
    def config_specs(self) -> list[Any]:
        """Further fields of `configurable` that this saver reads; none."""
        return []

    # ---- reading

    def get(self, config: RunnableConfig) -> Checkpoint | None:
        """The checkpoint that the config addresses, without what belongs to it."""
        found = self.get_tuple(config)
        return None if found is None else found.checkpoint

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint with the config's `checkpoint_id`, or the newest of its namespace; None if there is none."""
        self._not_given("get_tuple")

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first.

        Args:
            config: which thread and namespace; without a namespace all of the thread, None: all threads.
            filter: only those whose metadata have these values.
            before: only those older than the checkpoint of this config.
            limit: at most so many.
        """
        self._not_given("list")

    # ---- writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> dict[str, Any]:
        """Saves a checkpoint; the config that addresses it.

        Args:
            config: where; its `checkpoint_id` is the parent.
            checkpoint: the state.
            metadata: what is known about it; scalars of the config are added.
            new_versions: the channels whose value changed since the parent. Others may be kept from there.
        """
        self._not_given("put")

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Saves what a task of an unfinished step wrote.

        Args:
            config: the checkpoint that the step starts from.
            writes: channel and value, in order. See `WRITES_IDX_MAP` for what happens to the same ones again.
            task_id: whose they are.
            task_path: by this, then task and index, they are read back.
        """
        self._not_given("put_writes")

    def delete_thread(self, thread_id: str) -> None:
        """Everything of the thread goes, in all namespaces. An unknown thread: nothing."""
        self._not_given("delete_thread")

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Checkpoints whose metadata name one of these runs go, with their writes, in all threads and namespaces."""
        self._not_given("delete_for_runs")

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """The target gets all checkpoints and writes of the source, which stays as it is."""
        self._not_given("copy_thread")

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Old checkpoints go.

        Args:
            thread_ids: in these threads.
            strategy: `"keep_latest"`: the newest of each namespace stays, with its writes; `"delete"`: none.
        """
        self._not_given("prune")

    # ---- helpers

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """For each channel, what was last stored of it before this checkpoint, and the writes since, oldest first."""
        walk = _Walk(channels)
        at = self.get_tuple(config)
        while at is not None and walk.open and at.parent_config is not None:
            at = self.get_tuple(at.parent_config)
            walk.meet(at)
        return walk.found()

    def get_next_version(self, current: V | None, channel: None) -> V:
        """The version after `current`: whole numbers from 1. Savers with versions of another kind override it.

        Raises:
            NotImplementedError: the current version is text.
        """
        if isinstance(current, str):
            raise NotImplementedError(
                f"{type(self).__name__} counts versions as numbers, and the thread has the version {current!r}. A saver whose "
                "versions are text overrides get_next_version."
            )
        return cast("V", 1 if current is None else current + 1)

    def with_allowlist(self, extra_allowlist: Collection[Any]) -> Self:
        """A saver over the same data that may also build these types, given as classes or `(module, name)` tuples."""
        serde = self.serde
        extended = getattr(serde, "with_msgpack_allowlist", None)
        made = copy.copy(self)
        if extended is not None:
            made.serde = extended(extra_allowlist)
        return made

    # ---- the same, asynchronous

    async def aget(self, config: RunnableConfig) -> Checkpoint | None:
        """As `get`."""
        found = await self.aget_tuple(config)
        return None if found is None else found.checkpoint

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await _in_thread(lambda: self.get_tuple(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        found = await _in_thread(lambda: [*self.list(config, filter=filter, before=before, limit=limit)])
        for each in found:
            yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> dict[str, Any]:
        """As `put`."""
        return await _in_thread(lambda: self.put(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        path = (task_path,) if task_path else ()  # savers of long ago do not take it
        await _in_thread(lambda: self.put_writes(config, writes, task_id, *path))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await _in_thread(lambda: self.delete_thread(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await _in_thread(lambda: self.delete_for_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await _in_thread(lambda: self.copy_thread(source_thread_id, target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await _in_thread(lambda: self.prune(thread_ids, strategy=strategy))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        walk = _Walk(channels)
        at = await self.aget_tuple(config)
        while at is not None and walk.open and at.parent_config is not None:
            at = await self.aget_tuple(at.parent_config)
            walk.meet(at)
        return walk.found()

    def _not_given(self, method: str) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__} does not implement {method}().")


class _Walk:
    """From a checkpoint's parent to its ancestors, until each channel has met a stored value. Pure."""

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = list(dict.fromkeys(channels))
        self.open = set(self._channels)
        self._writes: dict[str, list[list[PendingWrite]]] = {name: [] for name in self._channels}
        self._seeds: dict[str, Any] = {}

    def meet(self, ancestor: CheckpointTuple | None) -> None:
        """Takes what the next ancestor holds; None: it was removed."""
        if ancestor is None:
            return
        values = ancestor.checkpoint["channel_values"]
        for name in sorted(self.open):
            self._writes[name].append([write for write in ancestor.pending_writes or () if write[1] == name])
            if name in values:
                self._seeds[name] = values[name]
                self.open.discard(name)

    def found(self) -> dict[str, DeltaChannelHistory]:
        """The answer, oldest writes first."""
        answer: dict[str, DeltaChannelHistory] = {}
        for name in self._channels:
            history = DeltaChannelHistory(
                writes=[write for writes in reversed(self._writes[name]) for write in writes]
            )
            if name in self._seeds:
                history["seed"] = self._seeds[name]
            answer[name] = history
        return answer


async def _in_thread(work: Callable[[], R]) -> R:
    from asyncio import (
        to_thread,
    )  # half of what this room costs to import; programs that wait have it already

    return await to_thread(work)
