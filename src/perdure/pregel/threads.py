"""A compiled graph's methods on threads: state, history, updates, in both colours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from typing import Any, TypeVar, cast

from perdure.checkpoint.asking import before_of, filter_of, limit_of
from perdure.engine.async_ports import AsyncPorts
from perdure.engine.blocking_ports import BlockingPorts
from perdure.engine.driving import drive
from perdure.engine.foreign import ForeignChain
from perdure.engine.ports import Ports
from perdure.engine.settings import checked_config, merge_configs, read_settings
from perdure.errors import InvalidUpdateError, PerdureError, StaleThread
from perdure.graph.spec import GraphSpec
from perdure.pregel import snapshots, updates
from perdure.pregel.faces import Saver, own_saver
from perdure.pregel.launch import launch, required_thread
from perdure.types import StateSnapshot, StateUpdate

T = TypeVar("T")


class ThreadMethods:
    """What can be asked of a graph's threads, and done to them."""

    spec: GraphSpec
    checkpointer: Any
    store: Any
    config: dict[str, Any]

    # -- reading -----------------------------------------------------------------------------------------------------

    def get_state(self, config: Mapping[str, Any], *, subgraphs: bool = False) -> StateSnapshot:
        """The thread as it is now, or at `configurable.checkpoint_id`.

        Now: tasks that have finished in the open step are shown applied, and only open questions are listed. With an
        id: the checkpoint as it was saved, its tasks with what they then wrote.

        Raises:
            ValueError: there is no checkpointer, or no `thread_id`.
        """
        return drive(self._state(config, subgraphs, BlockingPorts()))

    async def aget_state(self, config: Mapping[str, Any], *, subgraphs: bool = False) -> StateSnapshot:
        """As `get_state`."""
        return await self._state(config, subgraphs, AsyncPorts())

    async def _state(self, config: Mapping[str, Any], subgraphs: bool, ports: Ports) -> StateSnapshot:
        _not_yet(subgraphs)
        thread, ns, checkpoint, saver = self._place(config)
        if saver is None:
            seen = await self._foreign(config, ports)
        else:
            seen = await _read(saver, ports, lambda: snapshots.read_one(saver, thread, ns, checkpoint))
        if seen is None:
            return snapshots.empty_snapshot(config)
        return snapshots.snapshot_of(self.spec, seen, thread, ns, latest=checkpoint is None)

    async def _foreign(self, config: Mapping[str, Any], ports: Ports) -> snapshots.Seen | None:
        found = (
            self.checkpointer.get_tuple(config)
            if ports.blocking
            else await self.checkpointer.aget_tuple(config)
        )
        return None if found is None else _seen_of(found)

    def get_state_history(
        self,
        config: Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> Iterator[StateSnapshot]:
        """The thread's checkpoints, newest first.

        Args:
            config: names the thread.
            filter: metadata that must be equal, e.g. `{"source": "input"}`.
            before: a config with a `checkpoint_id`: only older ones.
            limit: at most so many.

        Raises:
            ValueError: an argument cannot be right, at the call.
        """
        thread, ns, _, saver = self._place(config)
        newer, limit, filter = before_of(before), limit_of(limit), cast("Any", filter_of(filter)) or None
        if saver is None:
            rows = self.checkpointer.list(config, filter=filter, before=before, limit=limit)
            return (snapshots.snapshot_of(self.spec, _seen_of(row), thread, ns, latest=False) for row in rows)
        return snapshots.history(self.spec, saver, thread, ns, newer, limit, filter or {})

    async def aget_state_history(
        self,
        config: Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """As `get_state_history`."""
        thread, ns, _, saver = self._place(config)
        if saver is None:
            async for row in self.checkpointer.alist(config, filter=filter, before=before, limit=limit):
                yield snapshots.snapshot_of(self.spec, _seen_of(row), thread, ns, latest=False)
            return
        ports = AsyncPorts()
        rows = self.get_state_history(config, filter=filter, before=before, limit=limit)
        end = object()
        context = copy_context()  # so that a task is known as one on the thread that reads
        while (found := await _read(saver, ports, lambda: context.run(next, rows, end))) is not end:
            assert isinstance(found, StateSnapshot)  # noqa: S101 - what the iterator gives
            yield found

    def _place(self, config: Mapping[str, Any]) -> tuple[str, str, str | None, Saver | None]:
        if not self.checkpointer or self.checkpointer is True:
            raise ValueError("No checkpointer set")
        settings = read_settings(merge_configs(self.config, checked_config(config)))
        if settings.ns:
            raise PerdureError(
                f"checkpoint_ns={settings.ns!r}: the state of nested graphs arrives with a later release"
                " (see docs/reference/status.md)."
            )
        saver = own_saver(self.checkpointer, self.spec.types, self.store)
        return required_thread(settings), settings.ns, settings.checkpoint, saver

    # -- changing ----------------------------------------------------------------------------------------------------

    def update_state(
        self, config: Mapping[str, Any], values: Any, as_node: str | None = None, task_id: str | None = None
    ) -> dict[str, Any]:
        """The config of a new checkpoint in which `as_node` has just returned `values`.

        The node's outgoing edges and branches are evaluated, so what is due changes with it.

        Args:
            config: names the thread; with a `checkpoint_id` the update is a branch from that checkpoint.
            values: what the node returned; None: nothing, which makes a new checkpoint all the same.
            as_node: a node's name; None: the one that ran last. `"__end__"` clears what is due, `"__input__"` acts like
                new input, `"__copy__"` clones the checkpoint.
            task_id: accepted for compatibility; an update stands for the node, not for one of its tasks.

        Raises:
            InvalidUpdateError: no such node; or nobody can tell which node is meant.
        """
        return self.bulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    async def aupdate_state(
        self, config: Mapping[str, Any], values: Any, as_node: str | None = None, task_id: str | None = None
    ) -> dict[str, Any]:
        """As `update_state`."""
        return await self.abulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    def bulk_update_state(
        self, config: Mapping[str, Any], supersteps: Sequence[Sequence[StateUpdate]]
    ) -> dict[str, Any]:
        """The config after several updates; each inner list is one superstep, applied together.

        Raises:
            ValueError: there is nothing to update.
            InvalidUpdateError: as for `update_state`.
        """
        return drive(self._update(config, supersteps, BlockingPorts))

    async def abulk_update_state(
        self, config: Mapping[str, Any], supersteps: Sequence[Sequence[StateUpdate]]
    ) -> dict[str, Any]:
        """As `bulk_update_state`."""
        return await self._update(config, supersteps, AsyncPorts)

    async def _update(
        self,
        config: Mapping[str, Any],
        supersteps: Sequence[Sequence[StateUpdate]],
        ports: Callable[[], Ports],
    ) -> dict[str, Any]:
        if not supersteps:
            raise ValueError("No supersteps provided")
        if not all(supersteps):
            raise ValueError("No updates provided")
        thread, ns, _, _ = self._place(config)
        for attempt in range(updates.TRIES):
            run = launch(self, config, ports(), durability="sync", nested=False)  # type: ignore[arg-type] - the graph this is mixed into
            try:
                id = await updates.update(run, supersteps)
            except StaleThread:
                if attempt == updates.TRIES - 1:
                    raise
            else:
                return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}
        raise InvalidUpdateError(f"thread {thread!r} moved on too often; nothing was updated")


async def _read(saver: Saver, ports: Ports, work: Callable[[], T]) -> T:
    return work() if saver.backend.inline else await ports.storage(work)


def _not_yet(subgraphs: bool) -> None:
    if subgraphs:
        raise PerdureError(
            "subgraphs=True: the state of nested graphs arrives with a later release (see docs/reference/status.md)."
        )


def _seen_of(found: Any) -> snapshots.Seen:
    loaded = ForeignChain.loaded_of(found, found.checkpoint["id"])
    return snapshots.Seen(loaded, {"parents": {}, **found.metadata}, at=found.checkpoint.get("ts"))
