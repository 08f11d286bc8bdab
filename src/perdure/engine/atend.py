"""Durability `exit`: a run gathers, and commits once, at its end. A crash loses state and memory alike.

Chains of nested runs hand what they have gathered to the root's, so that it is one commit for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perdure.engine.chain import Finished, Loaded, Step
from perdure.engine.memory import compute, needs_answer
from perdure.engine.records import answer_rows, tracked_value
from perdure.engine.state import Record
from perdure.errors import EncodingError
from perdure.graph.spec import Write
from perdure.storage.contract import RemoveStaged
from perdure.storage.staging import ANY, Layer, Operation, conflict, read_item, staged

if TYPE_CHECKING:
    from perdure.engine.commit import Left, OwnChain
    from perdure.engine.parts import Parts
    from perdure.storage.segments import Writer


class AtEnd:
    """What one chain of such a run has gathered."""

    def __init__(self) -> None:
        self.layer = Layer()
        self.finished: list[Finished] = []  # of the step in progress
        self.said: list[tuple[dict[str, Any] | None, Sequence[Write], int]] = []
        self.heads: dict[
            str, Loaded
        ] = {}  # of nested chains, by namespace: as their tasks find them when run again
        self.refused: EncodingError | None = None  # what became of records that could not be written
        self.found: Loaded | None = None  # of a nested chain: what an earlier attempt of this run had left
        self._values: dict[str, Any] = {}
        self._last: Step | None = None
        self._id = ""
        self._nested: list[Parts] = []

    def gather(self, chain: OwnChain, step: Step, new: str) -> None:
        """Keeps a step. Raises VersionConflict for a guard that does not hold; nothing was gathered of the step then."""
        if needs_answer(step.operations):
            self._answer_now(chain, step.operations)
        channels = step.live.channels
        for name in step.applied.changed:
            self._values[name] = tracked_value(chain.spec, name, channels[name].checkpoint())
        self._last, self._id = step, new
        self.layer.extend(step.operations)
        self.finished.clear()
        self.said.clear()

    def _answer_now(self, chain: OwnChain, operations: Sequence[Operation]) -> None:
        """Guards and computed values by what the run has gathered: later steps see what will be written at its end."""
        backend = chain.memory.backend
        assert backend is not None  # noqa: S101 - only then is anything staged
        gathered = [other.end.layer for other in (*chain.enclosing, chain) if other.end is not None]
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
                    op.value = compute(op, before.value if before else None)
                    op.paths, op.filed = before.paths if before else None, None
                    op.texts = op.embedded = None
                now.add(op)
        for op in held:
            op.guard = ANY  # what stands before it is this run's own

    def write(self, chain: OwnChain) -> Parts | None:
        """The one commit's rows; None: they went to the root's, or there is nothing to write.

        Where it fails, nothing is drafted or known as written: it may be called again.
        """
        left: Left | None = None
        if self.finished:
            try:
                left = chain.left(self.finished)
            except EncodingError as error:  # the steps that were done do not pay for it
                self.refused = error
        parts, rows, step = chain.parts(), chain.rows, self._last
        writer = rows.new_writer()
        before = rows.mark(self._values, writer)
        try:
            if step is not None:
                self._draft(chain, parts, writer, step)
            if left is not None:
                chain.add_records(parts, left)
            for answers, updates, known in self.said:
                rows_said = answer_rows(
                    chain.pieces, chain.thread, chain.ns, chain.at, answers, updates, known
                )
                parts.writes = [*parts.writes, *rows_said]
        except BaseException:
            rows.undo(before)
            raise
        if chain.has_records and chain.loaded_at is not None and step is not None:
            parts.removals = [*parts.removals, RemoveStaged(chain.thread, chain.ns, chain.loaded_at)]
        root = chain.enclosing[0].end if chain.enclosing else None
        if root is not None:
            found = self._found_again(chain, step) if step is not None else self.found
            if found is not None:
                _remember(found, self.finished)
                root.heads[chain.ns] = found
            root._take(self, parts)
            return None
        for nested in self._nested:
            parts.add(nested)
        return parts if parts.rows or parts.writes or self.layer else None

    def _draft(self, chain: OwnChain, parts: Parts, writer: Writer, step: Step) -> None:
        rows = chain.rows
        rows.alone()  # several versions may be mixed here
        draft = rows.drafted(writer, replace(step, hold=False), self._id, dict(self._values), step.live, {})
        draft.results = rows.results(writer, step.done, self._values)
        parts.rows.append(rows.row(draft, parts.at))
        parts.segments, parts.removals = writer.segments, writer.removals

    def _take(self, nested: AtEnd, parts: Parts) -> None:
        self._nested.append(parts)
        self.layer.extend(nested.layer.operations)

    def _found_again(self, chain: OwnChain, step: Step) -> Loaded:
        """This nested chain as its task finds it, should it run again within the same run."""
        head = chain.rows.head(chain.at, step, step.live)
        head.parent_ns = head.parent = None
        head.versions = dict(head.versions)
        head.seen = {node: dict(known) for node, known in head.seen.items()}
        return Loaded(head, chain.at)


def _remember(loaded: Loaded, finished: Iterable[Finished]) -> None:
    for left in finished:
        error = None if left.error is None else repr(left.error)
        loaded.records[left.task.id] = Record(left.writes, error, left.interrupts, left.answers)
        if left.writes is not None:
            loaded.operations[left.task.id] = left.operations
