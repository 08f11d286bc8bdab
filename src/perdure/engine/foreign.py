"""A chain in somebody else's saver: memory first, then the checkpoint, at least once.

Steps are saved before the next begins, whatever the durability (`exit`: once, at the end). Atomic with memory it cannot
be: a crash between the two leaves memory of a step that will run again.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from perdure import clock
from perdure.channels.base import MISSING
from perdure.constants import ERROR, INTERRUPT, NO_WRITES, RESUME
from perdure.engine.chain import Finished, Loaded, Step
from perdure.engine.memory import Memory, write_memory
from perdure.engine.ports import Ports
from perdure.engine.records import tracked, tracked_value
from perdure.engine.settings import Settings
from perdure.engine.state import Live, Record
from perdure.graph.spec import GraphSpec, Write
from perdure.storage.chains import Head
from perdure.storage.ids import NO_TASK
from perdure.storage.staging import Layer


class ForeignChain:
    """A chain kept through the methods of any `BaseCheckpointSaver`."""

    saved = True

    def __init__(
        self,
        saver: Any,
        memory: Memory,
        ports: Ports,
        spec: GraphSpec,
        *,
        thread: str,
        settings: Settings,
        durability: str,
    ) -> None:
        self._saver = saver
        self.memory = memory
        self.ports = ports
        self.spec = spec
        self.thread = thread
        self.ns = settings.ns
        self._settings = settings
        self._at_end = durability == "exit"
        self._last: tuple[Step, str] | None = None
        self._config: dict[str, Any] = {"configurable": {"thread_id": thread, "checkpoint_ns": self.ns}}
        self.at = ""
        self.before: str | None = None
        self._layer = Layer()
        self._saved_versions: dict[str, Any] = {}
        self._takes_path = "task_path" in inspect.signature(saver.put_writes).parameters

    @property
    def identity(self) -> str:
        """Of the saver that the thread is in."""
        return f"saver:{id(self._saver)}"

    def next_version(self, current: Any) -> Any:
        """The saver's own next version."""
        return self._saver.get_next_version(current, None)

    async def _call(self, name: str, *args: Any) -> Any:
        if self.ports.blocking:
            return getattr(self._saver, name)(*args)
        return await getattr(self._saver, f"a{name}")(*args)

    async def load(self, checkpoint: str | None) -> Loaded:
        """What the saver has."""
        config = {"configurable": dict(self._config["configurable"])}
        newest = await self._call("get_tuple", config)
        found = newest
        if checkpoint is not None:
            config["configurable"]["checkpoint_id"] = checkpoint
            found = await self._call("get_tuple", config)
        if newest is None or found is None:
            return Loaded(None, None if newest is None else newest.checkpoint["id"])
        return self.loaded_of(found, newest.checkpoint["id"])

    @staticmethod
    def loaded_of(found: Any, newest: str) -> Loaded:
        """What a saver's tuple says."""
        data, metadata = found.checkpoint, found.metadata
        place = found.config["configurable"]
        thread, ns = str(place["thread_id"]), place.get("checkpoint_ns", "")
        above: Any = found.parent_config
        parent: str | None = above["configurable"].get("checkpoint_id") if above else None
        head = Head(
            thread, ns, data["id"], None if parent is None else ns, parent, metadata.get("step", -1),
            metadata.get("source", "loop"), 0, None, dict(data["channel_versions"]),
            {node: dict(seen) for node, seen in data["versions_seen"].items()}, {}, dict(data["channel_values"]),
        )  # fmt: skip
        loaded = Loaded(head, newest)
        for task, channel, value in found.pending_writes or ():
            _add(loaded, task, channel, value)
        return loaded

    async def begin(self, loaded: Loaded, live: Live) -> None:
        """Goes on from what was loaded."""
        if loaded.head is not None:
            self.at = loaded.head.id
            self.before = loaded.head.parent
            self._saved_versions = dict(loaded.head.versions)
            self._config["configurable"]["checkpoint_id"] = self.at

    def beside(self, parent: str | None) -> None:
        """The next checkpoint is a copy of the loaded one, with the same parent."""
        self._saved_versions = {}  # the parent's values are others: the copy says all of its own
        self._config["configurable"].pop("checkpoint_id", None)
        if parent is not None:
            self._config["configurable"]["checkpoint_id"] = parent

    async def step(self, step: Step) -> None:
        """Memory, then the checkpoint."""
        new = clock.new_checkpoint_id(self.at)
        if self._at_end:
            self._layer.extend(step.operations)
            self._last = (step, new)
        else:
            if step.operations:
                await write_memory(self.memory, self.ports, step.operations)
            await self._put(step, new)
        self.before, self.at = self.at or None, new

    async def _put(self, step: Step, new: str) -> None:
        live = step.live
        values = {
            name: tracked_value(self.spec, name, live.channels[name].checkpoint())
            for name in live.versions
            if name in live.channels
        }
        changed = {
            name: version
            for name, version in live.versions.items()
            if self._saved_versions.get(name) != version
        }
        checkpoint: dict[str, Any] = {
            "v": 4,
            "id": new,
            "ts": clock.now().isoformat(),
            "channel_values": {name: value for name, value in values.items() if value is not MISSING},
            "channel_versions": dict(live.versions),
            "versions_seen": {node: dict(seen) for node, seen in live.seen.items()},
            "updated_channels": sorted(step.applied.changed),
        }
        metadata: dict[str, Any] = {
            "source": step.source,
            "step": step.step,
            "parents": {},
            **self._settings.saved_metadata(),
        }
        config = {"configurable": dict(self._config["configurable"])}
        self._config = await self._call("put", config, checkpoint, metadata, changed)
        self._saved_versions = dict(live.versions)

    async def record(self, finished: Sequence[Finished]) -> None:
        """Pending writes; memory of finished tasks goes first."""
        if self._at_end and self._last is not None:
            await self._flush()
        for left in finished:
            if left.operations:
                await write_memory(self.memory, self.ports, left.operations)
                left.operations = []
            writes = _writes(self.spec, left)
            path = (left.task.path_text,) if self._takes_path else ()
            await self._call("put_writes", self._config, writes, left.task.id, *path)

    async def answer(self, answers: dict[str, Any] | None, updates: Sequence[Write], known: int) -> None:
        """As writes that belong to no task."""
        writes: list[Write] = list(updates)
        if answers is not None:
            writes.append((RESUME, answers))
        if writes:
            await self._call("put_writes", self._config, writes, NO_TASK)

    async def _flush(self) -> None:
        if self._last is None:
            return
        step, new = self._last
        self._last = None
        if self._layer:
            operations, self._layer = self._layer.operations, Layer()
            await write_memory(self.memory, self.ports, operations)
        await self._put(step, new)

    async def settle(self) -> None:
        """Nothing is on its way."""

    async def finish(self) -> None:
        """Saves what was kept for the end."""
        await self._flush()

    def layers(self) -> list[Layer]:
        """Memory kept for the end."""
        return [self._layer] if self._layer else []


def _writes(spec: GraphSpec, left: Finished) -> list[Write]:
    writes: list[Write] = []
    if left.writes is not None:
        writes += tracked(spec, left.writes) or [(NO_WRITES, None)]
    if left.error is not None:
        writes.append((ERROR, repr(left.error)))
    if left.interrupts:
        writes.append((INTERRUPT, list(left.interrupts)))
    if left.answers:
        writes.append((RESUME, left.answers))
    return writes


def _add(loaded: Loaded, task: str, channel: str, value: Any) -> None:
    if task == NO_TASK:
        if channel == RESUME:
            loaded.answers = value if isinstance(value, dict) else {}
        else:
            loaded.updates.append((channel, value))
        return
    record = loaded.records.setdefault(task, Record())
    if channel == ERROR:
        record.error = value
    elif channel == INTERRUPT:
        record.interrupts = tuple(value)
    elif channel == RESUME:
        record.answers = list(value)
    else:
        record.writes = record.writes or []
        if channel != NO_WRITES:
            record.writes.append((channel, value))
