"""The one place that makes a step durable, where the saver is ours: one commit for checkpoint, memory and records.

Here: the expected heads, and one `Commit` for an applied step, for the records of an unfinished one, for answers.
Not here: what changed (`apply.py`), how values become segments (`storage/chains.py`), how records are written out
(`records.py`), waiting (`ports.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import ormsgpack

from perdure import clock
from perdure.channels.base import MISSING
from perdure.constants import START, TASKS
from perdure.engine.chain import Finished, Loaded, Step
from perdure.engine.headcache import HEADS, intact
from perdure.engine.memory import TRIES, Memory, can_repeat, needs_answer, pause_before, resolve, write_memory
from perdure.engine.ports import Pending, Ports
from perdure.engine.records import answer_rows, read_records, record_rows, tracked_value
from perdure.engine.state import Live, Record
from perdure.errors import VersionConflict
from perdure.graph.spec import GraphSpec, Write
from perdure.storage import chains
from perdure.storage.chains import Head, Pieces, Stored, Writer
from perdure.storage.contract import (
    Backend,
    CheckpointRow,
    Commit,
    HeadIs,
    ItemIs,
    PutItem,
    RemoveStaged,
    RemoveWrites,
    RunRow,
    SegmentRow,
    StagedRow,
    WriteRow,
)
from perdure.storage.staging import ANY, Layer, Operation, conflict, read_item, staged
from perdure.storage.upkeep import wrote

IN_FLIGHT: Final = 16  # commits of a run that may be on their way at once


@dataclass(slots=True)
class _Draft:
    """A checkpoint's row before it is packed: the input's waits for the step after it, which stores its values."""

    id: str
    parent: str | None
    step: int
    source: str
    metadata: dict[str, Any]
    whole: bool
    version: Any
    codes: dict[str, Any]
    seen: dict[str, dict[str, Any]]
    updated: list[str]
    results: list[Any]
    input: Any = MISSING

    def packed(self) -> bytes:
        """The row's `state`."""
        return chains.packed(
            [self.updated if self.whole else self.version, self.codes, self.seen, self.results]
        )


@dataclass(slots=True)
class _AtEnd:
    """What a run with durability `exit` has gathered; chains of nested runs add theirs to the root's."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    versions: dict[str, Any] = field(default_factory=dict[str, Any])
    seen: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    last: Step | None = None
    id: str = ""
    layer: Layer = field(default_factory=Layer)
    finished: list[Finished] = field(default_factory=list[Finished])
    said: list[tuple[dict[str, Any] | None, Sequence[Write], int]] = field(default_factory=list[Any])
    parts: list[Any] = field(default_factory=list[Any])  # `_Parts` of nested chains
    heads: dict[str, Loaded] = field(default_factory=dict[str, Loaded])  # of nested chains, by namespace


class _Parts:
    """Rows of one commit."""

    __slots__ = ("heads", "removals", "rows", "runs", "segments", "staged", "writes")

    def __init__(self, heads: list[HeadIs]) -> None:
        self.heads = heads
        self.runs: list[RunRow] = []
        self.rows: list[CheckpointRow] = []
        self.segments: list[SegmentRow] = []
        self.writes: list[WriteRow] = []
        self.staged: list[StagedRow] = []
        self.removals: list[Any] = []

    def commit(self, items: Sequence[PutItem] = (), versions: Sequence[ItemIs] = ()) -> Commit:
        """The commit, under an id of its own."""
        return Commit(
            clock.uuid6().bytes, clock.micros(), self.heads, versions, self.removals, self.runs, self.rows, self.segments,
            self.writes, self.staged, items,
        )  # fmt: skip


class _Mark(NamedTuple):
    """A chain before the draft of a step that may meet another writer."""

    before: str | None
    parent: str | None
    since_whole: int
    whole: bool
    last: Step | None
    run_written: bool
    held: _Draft | None
    writer: Writer
    segments: int
    removals: int
    appended: dict[str, tuple[int, int, list[Any]]]
    stored: dict[str, Stored | None]
    versions: dict[str, Any]


class OwnChain:
    """A chain in a database of ours."""

    saved = True

    def __init__(
        self,
        backend: Backend,
        pieces: Pieces,
        memory: Memory,
        ports: Ports,
        spec: GraphSpec,
        *,
        thread: str,
        ns: str,
        durability: str,
        run: RunRow | None,
        enclosing: Sequence[OwnChain] = (),
    ) -> None:
        self.backend = backend
        self.pieces = pieces
        self.memory = memory
        self.ports = ports
        self.spec = spec
        self.thread = thread
        self.ns = ns
        self.durability = durability
        self.run = run
        self.enclosing = enclosing  # outermost first
        self.before: str | None = None  # the parent of `at`
        self.at = ""  # the checkpoint that the next step starts from
        self.expected: str | None = None  # the head that the next commit expects
        self.stored: dict[str, Stored] = {}
        self._saved_versions: dict[str, Any] = {}  # of channels, as the newest row has them
        self._parent: str | None = None
        self._loaded_at: str | None = None
        self._since_whole = 0
        self._whole = True  # the next row stands alone: the first one, or a fork
        self._has_records = False
        self._run_written = run is None
        self._held: _Draft | None = None
        self._writer: Writer | None = None
        self._flight: deque[tuple[Pending, Layer]] = deque()
        self._failed = False
        self._last: Step | None = None
        self.end: _AtEnd | None = _AtEnd() if durability == "exit" else None

    @property
    def identity(self) -> str:
        """Of the database that the thread is in."""
        return self.backend.identity

    # -- reading -----------------------------------------------------------------------------------------------------

    async def load(self, checkpoint: str | None) -> Loaded:
        """The checkpoint (None: the head), through the cache of heads."""
        root = self.enclosing[0] if self.enclosing else None
        if root is not None and root.end is not None and self.ns in root.end.heads:
            return root.end.heads.pop(self.ns)
        cached = HEADS.take(self.backend, self.thread, self.ns)
        if cached is not None or self.backend.inline:
            return self._load(checkpoint, cached)
        return await self.ports.storage(lambda: self._load(checkpoint, None))

    def _load(self, checkpoint: str | None, cached: Head | None) -> Loaded:
        with self.backend.read() as snapshot:
            newest = snapshot.head(self.thread, self.ns)
            wanted = checkpoint or newest
            if wanted is None:
                return Loaded(None, None)
            if cached is not None and cached.id == wanted == newest and intact(cached, self.pieces):
                head: Head | None = cached
            else:
                head = chains.read_head(snapshot, self.pieces, self.thread, self.ns, wanted, shadows=True)
            loaded = Loaded(head, newest)
            if head is not None:
                read_records(snapshot, self.pieces, head, loaded)
            return loaded

    # -- beginning and ending ----------------------------------------------------------------------------------------

    async def begin(self, loaded: Loaded, live: Live) -> None:
        """Goes on from what was loaded; from an older checkpoint than the head on a branch of its own."""
        head = loaded.head
        self.expected = loaded.newest
        if head is None:
            return
        self.at = self._parent = self._loaded_at = head.id
        self.before = head.parent
        self.stored = head.stored
        self._saved_versions = dict(head.versions)
        self._since_whole = head.since_whole
        self._has_records = bool(loaded.records or loaded.operations or loaded.answers or loaded.updates)
        if head.id != loaded.newest:
            chains.freeze(head)
            self._whole = True
            self._has_records = False  # they are the other branch's
        else:
            self._whole = False

    def beside(self, parent: str | None) -> None:
        """The next checkpoint is a copy of the loaded one, with the same parent."""
        self._parent = parent
        self._whole = True
        for stored in self.stored.values():
            if isinstance(stored.at, chains.Ref):
                stored.at.frozen = True
        self._has_records = False

    async def settle(self) -> None:
        """Everything handed over is durable; raises the first error."""
        if self._held is not None:
            await self._send(self._flushed(), ())
        while self._flight:
            await self._landed()

    async def finish(self) -> None:
        """Writes what was kept for the end, waits for the rest, keeps the head for the next run."""
        if self.end is not None and not self._failed:
            await self._write_end(self.end)
        await self.settle()

    def keep(self, live: Live) -> None:
        """The run ended well with this state: the next one need not read it."""
        last = self._last
        if self._failed or last is None or self._held is not None or self.at != self.expected:
            return
        head = Head(
            self.thread, self.ns, self.at, None if self._parent is None else self.ns, self._parent, last.step,
            last.source, 0, None, live.versions, live.seen, self.stored, since_whole=self._since_whole,
        )  # fmt: skip
        for name in live.versions:
            value = tracked_value(self.spec, name, live.channels[name].checkpoint())
            if value is not MISSING:
                head.values[name] = value
        HEADS.put(self.backend, head)

    def layers(self) -> list[Layer]:
        """Memory on its way, oldest first."""
        layers = [layer for _, layer in self._flight]
        if self.end is not None:
            layers.append(self.end.layer)
        return layers

    # -- a step ------------------------------------------------------------------------------------------------------

    async def step(self, step: Step) -> None:
        """One commit: the checkpoint, what it changed, the memory of its tasks."""
        expected = self.expected
        new = clock.new_checkpoint_id(self.at if expected is None or self.at >= expected else expected)
        if self.end is not None:
            self._gather(self.end, step, new)
        elif step.hold:
            self._writer = Writer(self.thread, self.pieces, clock.random_id)
            self._held = self._draft(self._writer, step, new)
        else:
            await self._write(step, new)
        self.at = new

    async def _write(self, step: Step, new: str) -> None:
        held, writer = self._held, self._writer
        if writer is None:
            writer = Writer(self.thread, self.pieces, clock.random_id)
        before = self._mark(step, writer) if needs_answer(step.operations) else None
        draft = self._draft(writer, step, new)
        parts = self._parts()
        if held is not None:
            held.codes[START] = self._composed(writer, held, draft)
            parts.rows.append(self._row(held))
        parts.rows.append(self._row(draft))
        parts.segments, parts.removals = writer.segments, list(writer.removals)
        if self._has_records and held is None and draft.parent is not None:
            where = (self.thread, self.ns, draft.parent)
            parts.removals += [RemoveStaged(*where), RemoveWrites(*where)]
        self._held = self._writer = None
        try:
            await self._send(parts, step.operations)
        except VersionConflict:
            if before is not None:
                self._undo(before)
            raise
        self._has_records = False

    def _mark(self, step: Step, writer: Writer) -> _Mark:
        names = step.applied.changed
        return _Mark(
            self.before, self._parent, self._since_whole, self._whole, self._last, self._run_written, self._held, writer,
            len(writer.segments), len(writer.removals), dict(writer.appended),
            {name: self.stored.get(name) for name in names}, {name: self._saved_versions.get(name) for name in names},
        )  # fmt: skip

    def _undo(self, mark: _Mark) -> None:
        """The step was not written, and will be made again from other results: all is as it was before its draft."""
        self.before, self._parent, self._since_whole = mark.before, mark.parent, mark.since_whole
        self._whole, self._last, self._run_written = mark.whole, mark.last, mark.run_written
        self._held = mark.held
        if mark.held is not None:
            writer = self._writer = mark.writer
            del writer.segments[mark.segments :], writer.removals[mark.removals :]
            writer.appended = mark.appended
        for name, stored in mark.stored.items():
            if stored is None:
                self.stored.pop(name, None)
            else:
                self.stored[name] = Stored(
                    stored.at
                )  # its shadow is ahead of it: the next value is written whole
        for name, version in mark.versions.items():
            if version is None:
                self._saved_versions.pop(name, None)
            else:
                self._saved_versions[name] = version

    def _draft(self, writer: Writer, step: Step, new: str) -> _Draft:
        live, applied = step.live, step.applied
        values = {name: live.channels[name].checkpoint() for name in applied.changed}
        if TASKS in values:
            values[TASKS] = tracked_value(self.spec, TASKS, values[TASKS])
        draft = self._drafted(writer, step, new, values, live.versions, live.seen, applied.seen)
        draft.results = self._results(writer, step.done, values)
        return draft

    def _drafted(
        self,
        writer: Writer,
        step: Step,
        new: str,
        values: dict[str, Any],
        versions: dict[str, Any],
        seen: dict[str, dict[str, Any]],
        seen_now: dict[str, dict[str, Any]],
    ) -> _Draft:
        whole = self._whole or self._since_whole >= chains.WHOLE_EVERY
        stored = self.stored
        codes: dict[str, Any] = {}
        held_input = values.pop(START, MISSING) if step.hold else MISSING
        for name, value in values.items():
            if value is not MISSING or name in stored:
                codes[name], stored[name] = writer.channel(name, stored.get(name), value)
        if held_input is not MISSING:
            stored[START] = Stored({})
            codes[START] = {}
        written = dict.fromkeys(codes, step.applied.version)
        if whole:
            codes = {
                name: [version, chains.code_of(stored[name])]
                for name, version in versions.items()
                if name in stored
            }
            seen_now = {node: dict(known) for node, known in seen.items()}
        else:
            seen_now = chains.short_seen(seen_now, self._saved_versions)
        self._saved_versions.update(written)
        self._whole = False
        self._since_whole = 0 if whole else self._since_whole + 1
        self.before = self._parent
        draft = _Draft(
            new, self._parent, step.step, step.source, step.metadata, whole, step.applied.version, codes, seen_now,
            sorted(values) if whole else [], [], held_input,
        )  # fmt: skip
        self._parent = new
        self._last = step
        return draft

    def _results(self, writer: Writer, done: Iterable[Finished], values: dict[str, Any]) -> list[Any]:
        """What each task wrote to state keys, as references to the bytes that this step stores anyway."""
        results: list[Any] = []
        taken: dict[str, int] = {}
        keys = self.spec.state_keys
        for finished in done:
            if finished.task.node.hidden:
                continue
            written = [
                [name, writer.result(name, value, taken, values)]
                for name, value in finished.writes or ()
                if name in keys and name not in self.spec.untracked
            ]
            results.append([finished.task.name, finished.task.index, written])
        return results

    def _composed(self, writer: Writer, held: _Draft, after: _Draft) -> Any:
        """The code of a held input: slices of what the step after it stored, where they are its very values."""
        data = held.input
        taken: dict[str, int] = {}
        if not isinstance(data, dict):
            code: Any = writer.encode(data, "input", "inline", START)
        else:
            code = {}
            for key, value in data.items():  # pyright: ignore[reportUnknownVariableType] - any input
                name = str(key)  # pyright: ignore[reportUnknownArgumentType] - state keys
                if name in self.spec.untracked:
                    continue
                code[name] = writer.result(name, value, taken, {})
        if held.whole:
            return [held.codes[START][0], code]
        return code

    def _flushed(self) -> _Parts:
        """The held input alone: the step after it failed, or there is none."""
        held, writer = self._held, self._writer
        assert held is not None and writer is not None  # noqa: S101, PT018 - the caller looked
        parts = self._parts()
        held.codes[START] = self._composed(writer, held, held)
        parts.rows.append(self._row(held))
        parts.segments, parts.removals = writer.segments, [*writer.removals]
        self._held = self._writer = None
        return parts

    def _parts(self) -> _Parts:
        """An empty commit that expects this chain's head, and those of the chains around it, to be where they were."""
        heads = [HeadIs(self.thread, self.ns, self.expected)]
        for chain in self.enclosing:
            heads.append(HeadIs(chain.thread, chain.ns, chain.expected))
        parts = _Parts(heads)
        if not self._run_written and self.run is not None:
            parts.runs.append(self.run)
            self._run_written = True
        return parts

    def _row(self, draft: _Draft) -> CheckpointRow:
        return CheckpointRow(
            self.thread, self.ns, draft.id, None if draft.parent is None else self.ns, draft.parent, draft.step,
            draft.source, clock.micros(), None if self.run is None else self.run.id, draft.whole, draft.packed(),
            ormsgpack.packb(draft.metadata) if draft.metadata else None,
        )  # fmt: skip

    # -- records -----------------------------------------------------------------------------------------------------

    async def record(self, finished: Sequence[Finished]) -> None:
        """Pending writes, questions, errors and staged memory of tasks whose step is not done."""
        if self.end is not None:
            self.end.finished += finished
            return
        parts = self._flushed() if self._held is not None else self._parts()
        parts.writes, parts.staged = record_rows(
            self.spec, self.pieces, self.thread, self.ns, self.at, finished
        )
        self._has_records = True
        await self._send(parts, ())

    async def answer(self, answers: dict[str, Any] | None, updates: Sequence[Write], known: int) -> None:
        """What the run's caller said, so that a crash does not lose it."""
        if self.end is not None:
            self.end.said.append((answers, updates, known))
            return
        parts = self._parts()
        parts.writes = answer_rows(self.pieces, self.thread, self.ns, self.at, answers, updates, known)
        self._has_records = True
        await self._send(parts, ())

    # -- the commit itself -------------------------------------------------------------------------------------------

    async def _send(self, parts: _Parts, operations: Sequence[Operation]) -> None:
        try:
            if not operations:
                if self.backend.inline:
                    self.backend.commit(parts.commit())
                elif self.durability == "async":
                    await self._send_soon(parts, ())
                else:
                    await self.ports.commit(self.backend, parts.commit())
            else:
                await self._send_with_memory(parts, operations)
        except BaseException:
            self._failed = True
            raise
        if parts.rows:
            self.expected = parts.rows[-1].id
        if operations and self.memory.backend is not None:
            wrote(self.memory.backend, len(operations))

    async def _send_with_memory(self, parts: _Parts, operations: Sequence[Operation]) -> None:
        if self.memory.backend is not self.backend and not self._pair():
            await write_memory(self.memory, self.ports, operations)
            operations = ()
        if needs_answer(operations):
            await self.settle_flight()
            await self._send_computed(parts, operations)
        elif self.durability == "async" and not self.backend.inline:
            await self._send_soon(parts, operations)
        else:
            await self._commit(parts, resolve(None, operations).items, ())

    def _pair(self) -> bool:
        """Whether saver and store are two databases that can commit together."""
        return self.memory.backend is not None and self.backend.joins(self.memory.backend)

    async def _commit(self, parts: _Parts, items: Sequence[PutItem], versions: Sequence[ItemIs]) -> None:
        if items and self.memory.backend is not self.backend:
            commit = parts.commit()
            other = Commit(commit.id, commit.at, versions=versions, items=items)
            assert self.memory.backend is not None  # noqa: S101 - `_pair` was asked
            self.backend.commit_with(commit, self.memory.backend, other)
        else:
            await self.ports.commit(self.backend, parts.commit(items, versions))

    async def _send_computed(self, parts: _Parts, operations: Sequence[Operation]) -> None:
        """With expectations and computed values: computed anew when somebody else was first."""
        backend = self.memory.backend
        assert backend is not None  # noqa: S101 - the caller looked
        for attempt in range(TRIES):
            with backend.read() as snapshot:
                resolved = resolve(snapshot, operations)
            try:
                await self._commit(parts, resolved.items, resolved.versions)
            except VersionConflict as error:
                if not can_repeat(error, resolved) or attempt == TRIES - 1:
                    raise
                await self.ports.pause(pause_before(attempt))
            else:
                return

    async def _send_soon(self, parts: _Parts, operations: Sequence[Operation]) -> None:
        items = resolve(None, operations).items if operations else ()
        pending, layer = Pending(), Layer()
        layer.extend(operations)
        self.ports.commit_soon(self.backend, parts.commit(items), pending)
        self._flight.append((pending, layer))
        while self._flight and (self._flight[0][0].done or len(self._flight) > IN_FLIGHT):
            await self._landed()

    async def _landed(self) -> None:
        pending, _ = self._flight[0]
        outcome = pending.outcome if pending.done else await self.ports.settled(pending)
        self._flight.popleft()
        if isinstance(outcome, BaseException):
            self._failed = True
            raise outcome

    async def settle_flight(self) -> None:
        """All commits in flight have landed; raises the first error."""
        while self._flight:
            await self._landed()

    # -- durability `exit` -------------------------------------------------------------------------------------------

    def _gather(self, end: _AtEnd, step: Step, new: str) -> None:
        if needs_answer(step.operations):
            self._answer_now(step.operations)
        live, applied = step.live, step.applied
        for name in applied.changed:
            end.values[name] = tracked_value(self.spec, name, live.channels[name].checkpoint())
            end.versions[name] = applied.version
        for node, known in applied.seen.items():
            end.seen.setdefault(node, {}).update(known)
        end.last, end.id = step, new
        end.layer.extend(step.operations)
        end.finished.clear()
        end.said.clear()

    def _answer_now(self, operations: Sequence[Operation]) -> None:
        """Guards and computed values by what the run has gathered: later steps see what will be written at its end.

        Raises VersionConflict for a guard that does not hold; nothing was gathered of the step.
        """
        backend = self.memory.backend
        assert backend is not None  # noqa: S101 - only then is anything staged
        gathered = [chain.end.layer for chain in (*self.enclosing, self) if chain.end is not None]
        now = Layer()
        held: list[Operation] = []
        with backend.read() as snapshot:
            for op in operations:
                before = read_item(snapshot, [*gathered, now], op.namespace, op.key)
                if op.guard is not ANY:
                    found = before.version if before else None
                    if (op.namespace, op.key) in now.index or found != op.guard:
                        raise conflict(op, found)
                    if staged(gathered, op.namespace, op.key) is not None:
                        held.append(op)
                if op.change is not None:
                    op.value = op.change(before.value if before else None)
                now.add(op)
        for op in held:
            op.guard = ANY  # what stands before it is this run's own

    async def _write_end(self, end: _AtEnd) -> None:
        parts, step = self._parts(), end.last
        if step is not None:
            writer = Writer(self.thread, self.pieces, clock.random_id)
            # Several versions may be mixed here, so the row stands alone.
            self._whole = True
            seen = step.live.seen
            values = dict(end.values)
            draft = self._drafted(
                writer, replace(step, hold=False), end.id, values, step.live.versions, seen, {}
            )
            draft.results = self._results(writer, step.done, end.values)
            parts.rows.append(self._row(draft))
            parts.segments, parts.removals = writer.segments, [*writer.removals]
        if end.finished:
            parts.writes, parts.staged = record_rows(
                self.spec, self.pieces, self.thread, self.ns, self.at, end.finished
            )
        for answers, updates, known in end.said:
            parts.writes += answer_rows(self.pieces, self.thread, self.ns, self.at, answers, updates, known)
        if self._has_records and self._loaded_at is not None and step is not None:
            parts.removals.append(RemoveStaged(self.thread, self.ns, self._loaded_at))
        root = self.enclosing[0] if self.enclosing else None
        if root is not None and root.end is not None:
            root.end.parts.append(parts)
            root.end.layer.extend(end.layer.operations)
            found = self._found_again(end)
            if found is not None:
                root.end.heads[self.ns] = found
            self.end = None
            return
        for nested in end.parts:
            parts.rows += nested.rows
            parts.segments += nested.segments
            parts.removals += nested.removals
            parts.writes += nested.writes
            parts.staged += nested.staged
            parts.runs += nested.runs
        self.end = None
        if parts.rows or parts.writes or end.layer:
            self.durability = "sync"
            await self._send(parts, end.layer.operations)

    def _found_again(self, end: _AtEnd) -> Loaded | None:
        """This nested chain as its task finds it, should it run again within the same run."""
        step = end.last
        if step is None:
            return None
        live = step.live
        head = Head(
            self.thread, self.ns, self.at, None, None, step.step, step.source, 0, None, dict(live.versions),
            {node: dict(known) for node, known in live.seen.items()}, self.stored,
        )  # fmt: skip
        for name in live.versions:
            value = live.channels[name].checkpoint()
            if value is not MISSING:
                head.values[name] = value
        loaded = Loaded(head, self.at)
        for left in end.finished:
            error = None if left.error is None else repr(left.error)
            loaded.records[left.task.id] = Record(left.writes, error, left.interrupts, left.answers)
            if left.writes is not None:
                loaded.operations[left.task.id] = left.operations
        return loaded
