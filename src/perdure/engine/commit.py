"""The one place that makes a step durable, where the saver is ours: one commit for checkpoint, memory and records.

Here: the expected heads, and one `Commit` for an applied step, for the records of an unfinished one, for answers.
Not here: what changed (`apply.py`), the rows of a step (`drafts.py`), how values become segments (`storage/chains.py`),
how records are written out (`records.py`), what a run gathers for its end (`atend.py`), waiting (`ports.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from perdure import clock
from perdure.engine.atend import AtEnd
from perdure.engine.chain import Finished, Loaded, Step
from perdure.engine.drafts import Rows
from perdure.engine.headcache import HEADS, intact
from perdure.engine.memory import (
    TRIES,
    Memory,
    UpdateFailed,
    can_repeat,
    embedded,
    needs_answer,
    pause_before,
    resolve,
    write_memory,
)
from perdure.engine.ports import Pending, Ports
from perdure.engine.recorded import Tails
from perdure.engine.records import answer_rows, judge_records, read_records, record_rows
from perdure.engine.state import Live
from perdure.errors import VersionConflict
from perdure.graph.spec import GraphSpec, Write
from perdure.storage import chains, outcome
from perdure.storage.chains import Head, Pieces
from perdure.storage.contract import (
    Backend,
    CheckpointIs,
    CheckpointRow,
    Commit,
    HeadIs,
    ItemIs,
    PutItem,
    RemoveResult,
    RemoveStaged,
    RemoveWrites,
    Revision,
    RunRow,
    SegmentRow,
    StagedRow,
    WriteRow,
)
from perdure.storage.staging import Layer, Operation
from perdure.storage.upkeep import wrote

IN_FLIGHT: Final = 16  # commits of a run that may be on their way at once


class Parts:
    """Rows of one commit."""

    __slots__ = ("at", "heads", "removals", "rests", "rows", "runs", "segments", "staged", "writes")

    def __init__(self, heads: list[HeadIs]) -> None:
        self.at = clock.micros()
        self.heads = heads
        self.rests: Sequence[CheckpointIs] = ()
        self.rows: list[CheckpointRow] = []
        self.runs: Sequence[RunRow] = ()
        self.segments: Sequence[SegmentRow] = ()
        self.writes: Sequence[WriteRow] = ()
        self.staged: Sequence[StagedRow] = ()
        self.removals: Sequence[Any] = ()

    def add(self, other: Parts) -> None:
        """The rows of a nested chain join these; so does the expectation of its head, which comes first in it.

        Those of the chains around it are ours, or came with their own rows. A task that ran twice gathered its chain
        twice: the first expectation is of what is stored.
        """
        own = other.heads[0]
        if not any((own.thread, own.ns) == (head.thread, head.ns) for head in self.heads):
            self.heads.append(own)
        self.rests = [*self.rests, *other.rests]
        self.rows += other.rows
        self.runs = [*self.runs, *other.runs]
        self.segments = [*self.segments, *other.segments]
        self.removals = [*self.removals, *other.removals]
        self.writes = [*self.writes, *other.writes]
        self.staged = [*self.staged, *other.staged]

    def commit(self, items: Sequence[PutItem] = (), versions: Sequence[ItemIs] = ()) -> Commit:
        """The commit, under an id of its own."""
        at = self.at
        return Commit(
            clock.commit_id(at), at, self.heads, versions, self.removals, self.runs, self.rows, self.segments,
            self.writes, self.staged, items, self.rests,
        )  # fmt: skip


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
        self.at = ""  # the checkpoint that the next step starts from
        self.expected: str | None = None  # the head that the next commit expects
        self.standing: Revision | None = None  # its revision; None: not known yet, its commit is on its way
        self._rests: Sequence[CheckpointIs] = ()  # an older checkpoint that the next commit goes on from
        self.rows = Rows(thread, ns, spec, pieces, None if run is None else run.id)
        self.loaded_at: str | None = None
        self.has_records = False  # of the step after `loaded_at`
        self.end = AtEnd() if durability == "exit" else None
        self._run_written = run is None
        self._tails = Tails()  # of the step in progress
        self._lost: set[str] = set()  # tasks of it whose records go with the next one; the run knows of more
        self._flight: deque[tuple[Pending, Layer, str | None]] = deque()  # and the head that it makes
        self._failed = False

    @property
    def identity(self) -> str:
        """Of the database that the thread is in."""
        return self.backend.identity

    @property
    def before(self) -> str | None:
        """The parent of `at`."""
        return self.rows.before

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
            standing = snapshot.standing(self.thread, self.ns)
            newest, self.standing = standing or (None, None)
            wanted = checkpoint or newest
            if wanted is None:
                return Loaded(None, None)
            fresh = cached is not None and (cached.id, cached.revision) == standing
            if cached is not None and fresh and wanted == newest and intact(cached, self.pieces):
                head: Head | None = cached
            else:
                head = chains.read_head(snapshot, self.pieces, self.thread, self.ns, wanted, shadows=True)
            loaded = Loaded(head, newest)
            if head is not None:
                read_records(snapshot, self.pieces, head, loaded)
                if self.memory.backend is self.backend:
                    judge_records(snapshot, loaded)
        if loaded.recorded:  # of items in another database; asked behind the first, never within
            with (self.memory.backend or self.backend).read() as items:
                judge_records(items, loaded)
        return loaded

    # -- beginning and ending ----------------------------------------------------------------------------------------

    async def begin(self, loaded: Loaded, live: Live) -> None:
        """Goes on from what was loaded; from an older checkpoint than the head on a branch of its own."""
        head = loaded.head
        self.expected, self._lost = loaded.newest, loaded.lost
        if head is None:
            return
        self.at = self.loaded_at = head.id
        self._tails = Tails(loaded.operations)
        if head.id != loaded.newest:
            self._rests = (CheckpointIs(self.thread, self.ns, head.id, head.revision),)
        self.rows.begin(head, loaded.newest)
        # On a branch, records are the other branch's.
        self.has_records = head.id == loaded.newest and bool(
            loaded.records or loaded.operations or loaded.answers or loaded.updates
        )

    def beside(self, parent: str | None) -> None:
        """The next checkpoint is a copy of the loaded one, with the same parent."""
        self.rows.beside(parent)
        self.has_records = False

    async def settle(self) -> None:
        """Everything handed over is durable; raises the first error."""
        if self.rows.held is not None:
            await self._send(self._held_alone(), ())
        await self.settle_flight()

    async def finish(self) -> None:
        """Writes what was kept for the end, waits for the rest."""
        end = self.end
        if end is not None and not self._failed:
            parts = end.write(self)
            self.end = None
            if parts is not None:
                self.durability = "sync"
                await self._send(parts, end.layer.operations)
        await self.settle()

    def keep(self, live: Live) -> None:
        """The run ended well with this state: the next one need not read it."""
        last = self.rows.last
        if not self._failed and last is not None and self.rows.held is None and self.at == self.expected:
            head = self.rows.head(self.at, last, live)
            head.revision = self.standing
            HEADS.put(self.backend, head)

    def layers(self) -> list[Layer]:
        """Memory on its way, oldest first."""
        layers = [layer for _, layer, _ in list(self._flight)]  # other threads ask, too
        if self.end is not None:
            layers.append(self.end.layer)
        return layers

    # -- a step ------------------------------------------------------------------------------------------------------

    async def step(self, step: Step) -> None:
        """One commit: the checkpoint, what it changed, the memory of its tasks."""
        expected = self.expected
        new = clock.new_checkpoint_id(self.at if expected is None or self.at >= expected else expected)
        if self.end is not None:
            self.end.gather(self, step, new)
        elif step.hold:
            self.rows.hold(step, new)
        else:
            await self._write(step, new)
        self.at = new
        self._tails.clear()
        self._lost.clear()

    async def _write(self, step: Step, new: str) -> None:
        await self._landed_ones()  # their revisions are what this one expects
        rows = self.rows
        held, writer = rows.held, rows.writer or rows.new_writer()
        before = rows.mark(step, writer) if needs_answer(step.operations) else None
        run_written = self._run_written
        draft = rows.draft(writer, step, new)
        parts = self.parts()
        if held is not None:
            rows.compose_input(writer)
            parts.rows.append(rows.row(held, parts.at))
            rows.held = rows.writer = None
        parts.rows.append(rows.row(draft, parts.at))
        parts.segments, parts.removals = writer.segments, writer.removals
        if self.has_records and held is None and draft.parent is not None:
            where = (self.thread, self.ns, draft.parent)
            parts.removals = [*writer.removals, RemoveStaged(*where), RemoveWrites(*where)]
        try:
            await self._send(parts, step.operations)
        except (VersionConflict, UpdateFailed):
            if before is not None:
                rows.undo(before)
                self._run_written = run_written
            raise
        self.has_records = False

    def _held_alone(self) -> Parts:
        """The held input alone: the step after it failed, or there is none."""
        rows = self.rows
        held, writer = rows.held, rows.writer
        assert held is not None and writer is not None  # noqa: S101, PT018 - the caller looked
        rows.compose_input(writer)
        parts = self.parts()
        parts.rows.append(rows.row(held, parts.at))
        parts.segments, parts.removals = writer.segments, writer.removals
        rows.held = rows.writer = None
        return parts

    def parts(self) -> Parts:
        """An empty commit that expects this chain's head, and those of the chains around it, to be where they were."""
        heads = [HeadIs(self.thread, self.ns, self.expected, self.standing)]
        for chain in self.enclosing:
            heads.append(HeadIs(chain.thread, chain.ns, chain.expected, chain.standing))
        parts = Parts(heads)
        parts.rests = self._rests
        if not self._run_written and self.run is not None:
            parts.runs = (self.run,)
            self._run_written = True
        return parts

    # -- records -----------------------------------------------------------------------------------------------------

    async def record(self, finished: Sequence[Finished]) -> None:
        """Pending writes, questions, errors and staged memory of tasks whose step is not done."""
        if self.end is not None:
            self.end.finished += finished
            return
        parts = self._held_alone() if self.rows.held is not None else self.parts()
        self.add_records(parts, finished)
        self.has_records = True
        await self._send(parts, ())
        self._lost.clear()

    def add_records(self, parts: Parts, finished: Sequence[Finished]) -> None:
        """What these tasks left joins `parts`, instead of all that is recorded of the step and counts no more."""
        lost = sorted(self._lost)
        if lost:
            parts.removals = [
                *parts.removals,
                *(RemoveResult(self.thread, self.ns, self.at, task) for task in lost),
            ]
            self._tails.drop(lost)
        parts.writes, parts.staged = record_rows(
            self.spec, self.pieces, self.thread, self.ns, self.at, self._fixed(finished)
        )

    def _fixed(self, finished: Sequence[Finished]) -> list[Finished]:
        """The same, with memory as values. A task of which a value cannot be computed now is left out: it runs again."""
        backend = self.memory.backend
        if backend is None or not any(left.operations for left in finished):
            return list(finished)
        with backend.read() as snapshot:
            fixed = [
                (
                    left,
                    [] if left.writes is None else self._tails.fix(snapshot, left.task.id, left.operations),
                )
                for left in finished
            ]
        return [replace(left, operations=made) for left, made in fixed if made is not None]

    async def answer(self, answers: dict[str, Any] | None, updates: Sequence[Write], known: int) -> None:
        """What the run's caller said, so that a crash does not lose it."""
        if self.end is not None:
            self.end.said.append((answers, updates, known))
            return
        parts = self.parts()
        parts.writes = answer_rows(self.pieces, self.thread, self.ns, self.at, answers, updates, known)
        self.has_records = True
        await self._send(parts, ())

    # -- the commit itself -------------------------------------------------------------------------------------------

    async def _send(self, parts: Parts, operations: Sequence[Operation]) -> None:
        try:
            if not operations:
                if self.backend.inline:
                    revision = outcome.commit(self.backend, parts.commit())
                elif self.durability == "async":
                    revision = await self._send_soon(parts, ())
                else:
                    revision = await self.ports.commit(self.backend, parts.commit())
            else:
                revision = await self._send_with_memory(parts, operations)
        except BaseException:
            self._failed = True
            raise
        if parts.rows:
            self.expected, self.standing, self._rests = self.rows.parent, revision, ()
        if operations and self.memory.backend is not None and self._together():
            wrote(self.memory.backend, operations)

    async def _send_with_memory(self, parts: Parts, operations: Sequence[Operation]) -> Revision | None:
        if not self._together():
            await write_memory(self.memory, self.ports, operations)
            operations = ()
        if self.memory.as_of is not None and operations:
            await self.settle_flight()
            revision = await self._send_computed(parts, operations)
            self.memory.as_of.wrote(operations, revision)
            return revision
        if needs_answer(operations):
            await self.settle_flight()
            return await self._send_computed(parts, operations)
        if self.durability == "async" and not self.backend.inline:
            return await self._send_soon(parts, operations)
        resolved = await embedded(resolve(None, operations, self.memory.codec), self.memory.codec, self.ports)
        return await self._commit(parts, resolved.items, ())

    def _together(self) -> bool:
        """Whether saver and store are one database, or two that can commit together."""
        backend = self.memory.backend
        return backend is self.backend or (backend is not None and self.backend.joins(backend))

    async def _commit(self, parts: Parts, items: Sequence[PutItem], versions: Sequence[ItemIs]) -> Revision:
        if items and self.memory.backend is not self.backend:
            commit = parts.commit()
            other = Commit(commit.id, commit.at, versions=versions, items=items)
            assert self.memory.backend is not None  # noqa: S101 - `_together` was asked
            return self.backend.commit_with(
                commit, self.memory.backend, other
            )  # in memory: its outcome is known
        return await self.ports.commit(self.backend, parts.commit(items, versions))

    async def _send_computed(self, parts: Parts, operations: Sequence[Operation]) -> Revision:
        """With expectations and computed values: computed anew when somebody else was first."""
        backend = self.memory.backend
        assert backend is not None  # noqa: S101 - the caller looked
        for attempt in range(TRIES):
            with backend.read() as snapshot:
                past = self.memory.as_of
                expected = [] if past is None else past.expected(snapshot, operations)
                resolved = resolve(snapshot, operations, self.memory.codec)
                parts.at = max(parts.at, snapshot.now())  # what had expired for it has for the commit
            resolved = await embedded(resolved, self.memory.codec, self.ports)
            known = {(want.namespace, want.key) for want in resolved.versions}
            expected = [want for want in expected if (want.namespace, want.key) not in known]
            try:
                return await self._commit(parts, resolved.items, [*resolved.versions, *expected])
            except VersionConflict as error:
                # As of the past: the next try finds all items that moved, and says so.
                if (past is None and not can_repeat(error, resolved)) or attempt == TRIES - 1:
                    raise
                await self.ports.pause(pause_before(attempt))
                parts.at = clock.micros()
        raise AssertionError("the last try returns or raises")

    async def _send_soon(self, parts: Parts, operations: Sequence[Operation]) -> None:
        """On its way: its revision is known when it has landed."""
        items: Sequence[PutItem] = ()
        if operations:
            codec = self.memory.codec
            items = (await embedded(resolve(None, operations, codec), codec, self.ports)).items
        commit, layer = parts.commit(items), Layer()
        pending = Pending(self.backend, commit)
        layer.extend(operations)
        self.ports.commit_soon(self.backend, commit, pending)
        self._flight.append((pending, layer, self.rows.parent if parts.rows else None))
        while len(self._flight) > IN_FLIGHT:
            await self._landed()
        await self._landed_ones()

    async def _landed_ones(self) -> None:
        """Takes note of the commits that have landed; raises the first error."""
        while self._flight and self._flight[0][0].done:
            await self._landed()

    async def _landed(self) -> None:
        pending, _, head = self._flight[0]
        answer = pending.outcome if pending.done else await self.ports.settled(pending)
        self._flight.popleft()
        if isinstance(answer, BaseException):
            self._failed = True
            raise answer
        if head is not None and head == self.expected:
            self.standing = answer

    async def settle_flight(self) -> None:
        """All commits in flight have landed; raises the first error."""
        while self._flight:
            await self._landed()
