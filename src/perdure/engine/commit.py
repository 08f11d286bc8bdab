"""The one place that makes a step durable, where the saver is ours: one commit for checkpoint, memory and records.

Here: the expected heads, and one `Commit` for an applied step, for the records of an unfinished one, for answers.
Not here: what changed (`apply.py`), the rows of a step (`drafts.py`), how values become segments (`storage/chains.py`),
how records are written out (`records.py`), what a run gathers for its end (`atend.py`), sending (`sending.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from perdure import clock
from perdure.engine.atend import AtEnd
from perdure.engine.chain import Finished, Loaded, Step
from perdure.engine.drafts import Draft, Mark, Rows
from perdure.engine.headcache import HEADS, intact
from perdure.engine.memory import (
    Memory,
    UpdateFailed,
    needs_answer,
)
from perdure.engine.parts import Parts
from perdure.engine.ports import Ports
from perdure.engine.recorded import Tails
from perdure.engine.records import answer_rows, judge_records, read_records, record_rows
from perdure.engine.sending import Sender
from perdure.engine.state import Live
from perdure.errors import VersionConflict
from perdure.graph.spec import GraphSpec, Write
from perdure.storage import chains
from perdure.storage.chains import Head, Pieces
from perdure.storage.contract import (
    Backend,
    CheckpointIs,
    HeadIs,
    RemoveResult,
    RemoveStaged,
    RemoveWrites,
    RunRow,
    Snapshot,
    StagedRow,
    WriteRow,
    asked,
    foretelling,
)
from perdure.storage.segments import Writer
from perdure.storage.staging import Layer


class Left(NamedTuple):
    """What tasks left whose step is not done, as rows."""

    writes: Sequence[WriteRow]
    staged: Sequence[StagedRow]


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
        self.run = run
        self.enclosing = enclosing  # outermost first
        self.at = ""  # the checkpoint that the next step starts from
        self.sender = Sender(backend, memory, ports, durability)
        self.rows = Rows(thread, ns, spec, pieces, None if run is None else run.id)
        self.loaded_at: str | None = None
        self.has_records = False  # of the step after `loaded_at`
        self.end = AtEnd() if durability == "exit" else None
        self._run_written = run is None
        self._tails = Tails()  # of the step in progress
        self._lost: set[str] = set()  # tasks of it whose records go with the next one; the run knows of more

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
            found = root.end.heads.pop(self.ns)
            if self.end is not None:
                self.end.found = found
            return found
        cached = HEADS.take(self.backend, self.thread, self.ns)
        if cached is not None or self.backend.inline:
            return self._load(checkpoint, cached)
        return await self.ports.storage(lambda: self._load(checkpoint, None))

    def _load(self, checkpoint: str | None, cached: Head | None) -> Loaded:
        loaded = asked(self.backend, lambda snapshot: self._loaded(snapshot, checkpoint, cached))
        if loaded.recorded:  # of items in another database; asked behind the first, never within
            asked(self.memory.backend or self.backend, lambda items: judge_records(items, loaded))
        return loaded

    def _loaded(self, snapshot: Snapshot, checkpoint: str | None, cached: Head | None) -> Loaded:
        ahead = foretelling(snapshot)
        if (
            ahead is not None and cached is not None and checkpoint is None
        ):  # most likely it is the head still
            ahead.foretell_checkpoint(self.thread, self.ns, cached.id, ("writes",))
        standing = snapshot.standing(self.thread, self.ns)
        newest, self.sender.standing = standing or (None, None)
        wanted = checkpoint or newest
        if wanted is None:
            return Loaded(None, None)
        fresh = cached is not None and (cached.id, cached.revision) == standing
        if cached is not None and fresh and wanted == newest and intact(cached, self.pieces):
            head: Head | None = cached
        else:
            if ahead is not None:
                ahead.foretell_checkpoint(self.thread, self.ns, wanted, ("writes",))
            head = chains.read_head(snapshot, self.pieces, self.thread, self.ns, wanted, shadows=True)
        loaded = Loaded(head, newest)
        if head is not None:
            read_records(snapshot, self.pieces, head, loaded)
            if self.memory.backend is self.backend:
                judge_records(snapshot, loaded)
        return loaded

    # -- beginning and ending ----------------------------------------------------------------------------------------

    async def begin(self, loaded: Loaded, live: Live) -> None:
        """Goes on from what was loaded; from an older checkpoint than the head on a branch of its own."""
        head = loaded.head
        self.sender.expected, self._lost = loaded.newest, loaded.lost
        if head is None:
            return
        self.at = self.loaded_at = head.id
        self._tails = Tails(loaded.operations)
        if head.id != loaded.newest:
            self.sender.rests = (CheckpointIs(self.thread, self.ns, head.id, head.revision),)
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
            await self.sender.send(self._held_alone(), (), self.rows.parent)
        await self.sender.settle()

    async def finish(self) -> None:
        """Writes what was kept for the end, waits for the rest."""
        end = self.end
        if end is not None and not self.sender.failed:
            run_written = self._run_written
            try:
                parts = end.write(self)
            except BaseException:
                self._run_written = run_written
                raise
            self.end = None
            if parts is not None:
                self.sender.durability = "sync"
                await self.sender.send(parts, end.layer.operations, self.rows.parent)
            if end.refused is not None:
                raise end.refused
        await self.settle()

    def keep(self, live: Live) -> None:
        """The run ended well with this state: the next one need not read it."""
        last, sender = self.rows.last, self.sender
        if not sender.failed and last is not None and self.rows.held is None and self.at == sender.expected:
            head = self.rows.head(self.at, last, live)
            head.revision = sender.standing
            HEADS.put(self.backend, head)

    def layers(self) -> list[Layer]:
        """Memory on its way, oldest first."""
        layers = self.sender.layers()
        if self.end is not None:
            layers.append(self.end.layer)
        return layers

    # -- a step ------------------------------------------------------------------------------------------------------

    async def step(self, step: Step) -> None:
        """One commit: the checkpoint, what it changed, the memory of its tasks."""
        expected = self.sender.expected
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
        await self.sender.landed_ones()  # their revisions are what this one expects
        rows = self.rows
        held, writer = rows.held, rows.writer or rows.new_writer()
        again = held is not None or needs_answer(
            step.operations
        )  # the held input may still be written without it
        before = rows.mark(step.applied.changed, writer) if again else None
        run_written = self._run_written
        try:
            parts = self._drafted(step, new, held, writer)
        except BaseException:
            self._take_back(before, run_written)
            raise
        try:
            await self.sender.send(parts, step.operations, self.rows.parent)
        except (VersionConflict, UpdateFailed):
            self._take_back(before, run_written)
            raise
        self.has_records = False

    def _drafted(self, step: Step, new: str, held: Draft | None, writer: Writer) -> Parts:
        """The step's rows, and those of the input that was held for it."""
        rows = self.rows
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
        return parts

    def _take_back(self, before: Mark | None, run_written: bool) -> None:
        """Nothing of the step was written: what is drafted next does not build on it."""
        if before is not None:
            self.rows.undo(before)
            self._run_written = run_written

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
        sender = self.sender
        heads = [HeadIs(self.thread, self.ns, sender.expected, sender.standing)]
        for chain in self.enclosing:
            heads.append(HeadIs(chain.thread, chain.ns, chain.sender.expected, chain.sender.standing))
        parts = Parts(heads)
        parts.rests = sender.rests
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
        left = self.left(finished)  # which may fail: then the held input is still there
        parts = self._held_alone() if self.rows.held is not None else self.parts()
        self.add_records(parts, left)
        self.has_records = True
        await self.sender.send(parts, (), self.rows.parent)
        self._lost.clear()

    def left(self, finished: Sequence[Finished]) -> Left:
        """What these tasks left, as rows. Where it fails, or they are not written, it may be asked again."""
        return Left(
            *record_rows(self.spec, self.pieces, self.thread, self.ns, self.at, self._fixed(finished))
        )

    def add_records(self, parts: Parts, left: Left) -> None:
        """These rows join `parts`, instead of all that is recorded of the step and counts no more."""
        parts.removals = [
            *parts.removals,
            *(RemoveResult(self.thread, self.ns, self.at, task) for task in sorted(self._lost)),
        ]
        parts.writes, parts.staged = left

    def _fixed(self, finished: Sequence[Finished]) -> list[Finished]:
        """The same, with memory as values. A task of which a value cannot be computed now is left out: it runs again."""
        tails = self._tails.without({*self._lost, *(left.task.id for left in finished)})
        backend = self.memory.backend
        if backend is None or not any(left.operations for left in finished):
            self._tails = tails
            return list(finished)
        with backend.read() as snapshot:
            fixed = [
                (left, [] if left.writes is None else tails.fix(snapshot, left.task.id, left.operations))
                for left in finished
            ]
        self._tails = tails
        return [replace(left, operations=made) for left, made in fixed if made is not None]

    async def answer(self, answers: dict[str, Any] | None, updates: Sequence[Write], known: int) -> None:
        """What the run's caller said, so that a crash does not lose it."""
        if self.end is not None:
            self.end.said.append((answers, updates, known))
            return
        parts = self.parts()
        parts.writes = answer_rows(self.pieces, self.thread, self.ns, self.at, answers, updates, known)
        self.has_records = True
        await self.sender.send(parts, (), self.rows.parent)
