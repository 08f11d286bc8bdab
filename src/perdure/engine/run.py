"""One run of a graph on a thread: load, then plan, execute, apply, commit, publish until nothing is due.

The only loop; both colours drive it. Here: the order of things. Not here: what each of them does (see the package's
docstring), what a config means (`settings.py`), what an input means (`entry.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from perdure.callbacks import GraphLifecycleStatus
from perdure.engine import events, observe
from perdure.engine.answers import Book
from perdure.engine.apply import Applied, apply, count_up
from perdure.engine.chain import Chain, Finished, Loaded, Step
from perdure.engine.context import TaskContext
from perdure.engine.driving import Item
from perdure.engine.entry import enter
from perdure.engine.execute import CONFLICT_ATTEMPTS, execute, pause_after, read_state
from perdure.engine.memory import Memory, UpdateFailed, needs_answer
from perdure.engine.plan import next_tasks
from perdure.engine.ports import Ports
from perdure.engine.recorded import in_order
from perdure.engine.settings import Settings
from perdure.engine.state import Live, Task
from perdure.errors import (
    ErrorCode,
    GraphBubbleUp,
    GraphDrained,
    GraphInterrupt,
    GraphRecursionError,
    PerdureError,
    VersionConflict,
    create_error_message,
    is_invalid_resume,
)
from perdure.graph.spec import GraphSpec
from perdure.runtime import RunControl
from perdure.storage.staging import ANY, Layer
from perdure.types import Interrupt

LIVE_MODES: Final = frozenset({"custom", "messages", "tools"})
NOTHING: Final[frozenset[str]] = frozenset()


class Run:
    """A run, from its input to its end, an interrupt or an error."""

    def __init__(
        self,
        spec: GraphSpec,
        settings: Settings,
        ports: Ports,
        chain: Chain,
        memory: Memory,
        *,
        durability: str,
        context: Any = None,
        control: RunControl | None = None,
        modes: frozenset[str] = NOTHING,
        interrupt_before: Sequence[str] | str = (),
        interrupt_after: Sequence[str] | str = (),
        output_keys: tuple[str, ...] | str | None = None,
        next_version: Callable[[Any], Any] = count_up,
        debug: bool = False,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.ports = ports
        self.chain = chain
        self.memory = memory
        self.durability = durability
        self.context = context
        self.control = control
        self.modes = modes
        self.live_modes = not modes.isdisjoint(LIVE_MODES)
        self.interrupt_before = interrupt_before
        self.interrupt_after = interrupt_after
        self.output_keys = spec.output_keys if output_keys is None else output_keys
        self.stream_keys = spec.state_keys if output_keys is None else output_keys
        self.next_version = next_version
        self.debug = debug
        self.parent = settings.parent
        self.book: Book = self.parent.run.book if self.parent is not None else Book()
        self.active: set[TaskContext] = set()
        self.live: Live
        self.loaded = Loaded(None, None)
        self.step = -1
        self.stop = 0
        self.carried: set[str] = set()  # channels changed since the last checkpoint, by a Command's update
        self.interrupts: tuple[Interrupt[Any], ...] = ()
        self.interrupted_writes: list[Finished] = []
        self.stopping = False
        self.records_early = chain.saved and durability != "exit"
        self.passing = False  # a resume passes the breakpoint once
        self.status: GraphLifecycleStatus = "pending"  # or at which breakpoint it stopped
        self.observer: observe.Observer | None = None  # nobody watches
        self.span: observe.Span | None = None
        self._merged = not chain.saved  # of a nested run without a chain

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def go(self, given: Any) -> None:
        """Runs to rest. Afterwards `output()` and `interrupts` say how it ended."""
        if observe.due(self.settings.callbacks):
            await observe.begin_run(self, given)
        try:
            await self._go(given)
        except BaseException as error:
            if self.span is not None:
                await observe.failed(self.span, error)
            raise
        if self.span is not None:
            await observe.run_ended(self, self.span)

    async def _go(self, given: Any) -> None:
        try:
            self.loaded = await self.chain.load(self.settings.checkpoint)
            await enter(self, given)
            if self.passing and self.span is not None:
                await observe.run_resumed(self, self.span)
            await self._loop()
            await self.chain.finish()
        except UpdateFailed as failure:  # of durability `exit`: its steps are done, their one commit is not
            await self._wind_up()
            raise failure.error from None
        except BaseException:
            await self._wind_up()
            raise

    async def _wind_up(self) -> None:
        """After an error or a cancellation: what was kept for the end is written, what is on its way awaited."""
        for context in list(self.active):
            context.close()
        if self._outlived() is not None:
            return
        try:
            await self.chain.finish()
        except Exception as error:  # noqa: BLE001 - the first error is on its way already
            events.log.debug("while a run of %s ended: %s", self.spec.name, error)

    def _outlived(self) -> TaskContext | None:
        """The ended attempt in which this nested run, which is saved, is still at work; None: there is none."""
        around = self.parent if self.chain.saved else None
        while around is not None and not around.closed:
            around = around.run.parent
        return around

    def _check_gate(self) -> None:
        """Raises PerdureError if nobody waits for this run: the next attempt goes on from its chain, and owns it."""
        ended = self._outlived()
        if ended is not None:
            raise PerdureError(
                f"graph {self.spec.name!r} was still at work in node {ended.task.name!r} after the node had ended"
                f" (attempt {ended.attempt}). It stops, and what it did since its last step is dropped: when the node"
                " runs again, it goes on from there. Wait in the node for every graph that the node starts."
            )

    async def _loop(self) -> None:
        while True:
            self._check_gate()
            self._check_limits()
            tasks = self.plan()
            if not tasks or self.stopping:
                return
            if self._breaks(self.interrupt_before, tasks) and not self.passing:
                self.status = "interrupt_before"
                await events.breakpoint_reached(self)
                return
            self.passing = False
            if self.control is not None and self.control.drain_requested:
                raise GraphDrained(self.control.drain_reason or "shutdown")
            finished = await self._execute(tasks)
            if finished is None:
                return
            if self._breaks(self.interrupt_after, tasks):
                self.status = "interrupt_after"
                await events.breakpoint_reached(self)
                return

    def plan(self) -> list[Task]:
        """The tasks that are due, with what is already durable of them."""
        tasks = next_tasks(self.live, self.spec, self.chain.at, self.chain.ns)
        if self.loaded.records:
            for task in tasks:
                task.record = self.loaded.records.get(task.id)
        return tasks

    def _check_limits(self) -> None:
        if self.step > self.stop:
            limit = self.settings.recursion_limit
            raise GraphRecursionError(
                create_error_message(
                    message=f"Recursion limit of {limit} reached without hitting a stop condition. You can increase the"
                    " limit by setting the `recursion_limit` config key; the state is saved and can be continued.",
                    error_code=ErrorCode.GRAPH_RECURSION_LIMIT,
                )
            )

    @staticmethod
    def _breaks(nodes: Sequence[str] | str, tasks: Sequence[Task]) -> bool:
        if not nodes:
            return False
        if nodes == "*":
            return any(not task.node.hidden for task in tasks)
        return any(task.name in nodes for task in tasks)

    # -- a step ------------------------------------------------------------------------------------------------------

    async def _execute(self, tasks: list[Task]) -> list[Finished] | None:
        """Runs the tasks and commits the step; None: the run ended here, with questions."""
        if self.loaded.records:
            known = [self._recorded(task) for task in tasks]
            due = [task for task, left in zip(tasks, known, strict=True) if left is None]
        else:
            known, due = [], tasks
        if self.modes:
            await events.tasks_started(self, tasks)
            for left in known:
                if left is not None:
                    await events.task_replayed(self, left)
        if self.span is None and observe.due(None):  # a node was the first to import LangChain
            await observe.begin_run(self, None)
        conflicts = failures = 0
        while True:
            fresh = await execute(self, due) if due else []
            finished = fresh if not known else _in_order(tasks, known, fresh)
            if (finished[0].writes is None if len(finished) == 1 else not all_finished(finished)) and (
                not await self._all_done(finished)
            ):
                return None
            try:
                await self._commit(finished)
            except VersionConflict as error:
                due = self._in_conflict(finished, error)
                # What a recorded value was computed from is gone: the task counts as unfinished. Only live tasks tried.
                conflicts += any(not left.recorded for left in finished if left.task in due)
                if conflicts >= CONFLICT_ATTEMPTS:
                    due = []
                if not due and self.memory.as_of is not None:
                    raise  # a record would be committed later on without what this run expects
                if not due:
                    await self.record([left for left in finished if not left.recorded])
                    raise
                known = self._without(finished, due)
            except UpdateFailed as failure:
                failed = next(
                    left for left in finished if any(op is failure.operation for op in left.operations)
                )
                failures += 1
                pause = pause_after(failed.task, failure.error, failures)
                due, known = [failed.task], self._without(finished, [failed.task])
                if pause is None:
                    failed.writes, failed.error, failed.recorded = None, failure.error, False
                    await self._all_done(finished)  # records the others, raises the error
                await self.ports.pause(pause or 0)
            else:
                return finished

    def _without(self, finished: Sequence[Finished], due: Sequence[Task]) -> list[Finished]:
        """What counts on when these tasks run again. Their records do not, nor do those that may be computed from them."""
        known = [left for left in finished if left.task not in due]
        for left in finished:
            if left.recorded and (left.task in due or any(op.change is not None for op in left.operations)):
                self.loaded.lost.add(left.task.id)
                left.recorded = False
        return known

    def _recorded(self, task: Task) -> Finished | None:
        record = task.record
        if record is None:
            return None
        if record.writes is not None:
            operations = self.loaded.operations.get(task.id, [])
            return Finished(task, record.writes, operations, answers=record.answers, recorded=True)
        if (
            record.interrupts
            and self.book.by_id
            and all(asked.id not in self.book.by_id for asked in record.interrupts)
        ):
            return Finished(
                task, interrupts=record.interrupts, answers=record.answers, recorded=True
            )  # waits on
        return None

    async def _all_done(self, finished: Sequence[Finished]) -> bool:
        """Whether the step is complete; else its tasks are recorded, and an error or signal is raised."""
        failed = next(
            (left for left in finished if left.error is not None and not _cancelled(left.error)), None
        )
        failed = failed or next((left for left in finished if left.error is not None), None)
        asked = [question for left in finished for question in left.interrupts]
        if failed is None and not asked:
            return True
        refused = [left for left in finished if left.error is not None and is_invalid_resume(left.error)]
        await self.record([left for left in finished if left not in refused and _worth_recording(left)])
        if refused and self.parent is None:
            await self.chain.answer(self.book.by_id, (), 0)  # without the answers that did not fit
        if failed is not None:
            error = failed.error
            assert error is not None  # noqa: S101 - chosen for it
            if not isinstance(error, GraphBubbleUp) and not _noted(failed.task, error):
                error.add_note(f"During task with name '{failed.task.name}' and id '{failed.task.id}'")
            raise error
        self.interrupts = tuple(asked)
        self.interrupted_writes = [left for left in finished if left.writes is not None]
        await events.interrupted(self)
        if self.parent is not None:
            raise GraphInterrupt(self.interrupts)
        return False

    async def _commit(self, finished: list[Finished]) -> None:
        self._check_gate()
        operations = (
            [operation for left in finished for operation in left.operations]
            if len(finished) > 1
            else finished[0].operations
        )
        if self.loaded.operations:
            operations = in_order(operations)
        before, carried = self.live, set(self.carried) if self.carried else None
        again = self.durability == "exit" or (operations and needs_answer(operations))
        if again:  # as it was, it is what is tried again, or what is written at the end
            self.live = before.copy()
        try:
            applied = self._apply(finished)
            step = Step(self.live, applied, self.step, "loop", finished, operations)
            if self._merged:
                self._merge(step)
            await self.chain.step(step)
        except BaseException:
            if again:
                self.live, self.carried = before, carried or set()
            raise
        if self.loaded.records:
            self.loaded.records.clear()
            self.loaded.operations.clear()
        if self.modes:
            await events.step_done(self, applied, "loop", finished)
        self.step += 1

    def _apply(self, finished: Sequence[Finished]) -> Applied:
        done = [(left.task, left.writes or ()) for left in finished]
        applied = apply(self.live, self.spec, done, self.next_version)
        if self.carried:
            applied.changed.update(self.carried)
            self.carried.clear()
        return applied

    def _merge(self, step: Step) -> None:
        """The memory of a nested run without a chain of its own joins its parent task's."""
        parent = self.parent
        if (
            parent is not None
            and self.memory.store is not None
            and parent.run.memory.store is self.memory.store
        ):
            with parent.lock:
                parent.layer.extend(step.operations)
            step.operations = ()

    def _in_conflict(self, finished: Sequence[Finished], error: VersionConflict) -> list[Task]:
        """The tasks whose writes met another writer, and those that computed from what they had recorded."""
        keys = {(tuple(namespace), key) for namespace, key in error.keys}
        due = [
            left
            for left in finished
            if any(
                (op.namespace, op.key) in keys and (op.guard is not ANY or op.computed)
                for op in left.operations
            )
        ]
        for left in due:  # grows while it is walked
            id = left.task.id
            for other in finished:
                if other not in due and any(
                    op.computed and op.after and op.after[0] == id for op in other.operations
                ):
                    due.append(other)
        return [left.task for left in finished if left in due]

    async def record(self, finished: Sequence[Finished]) -> None:
        """What these tasks left is durable, though their step is not done."""
        new = [left for left in finished if not left.recorded]
        if new and self.chain.saved:
            self._check_gate()
            await self.chain.record(new)
            for left in new:
                left.recorded = True

    # -- what tasks and streams ask for ------------------------------------------------------------------------------

    def layers(self) -> list[Layer]:
        """Memory that is not committed yet and that this run's tasks see, outermost first."""
        outer = list(self.parent.layers()) if self.parent is not None else []
        return [*outer, *self.chain.layers()]

    def write_custom(self, item: Any) -> None:
        """An item for the `custom` stream, from any thread; the nearest run that streams it takes it."""
        if "custom" in self.modes:
            self.ports.post((None, item))
        elif self.parent is not None:
            self.parent.run.write_custom(item)

    async def on_finished(self, finished: Finished) -> None:
        """A task ended."""
        if self.modes:
            await events.task_finished(self, finished)

    async def emit(self, mode: str, payload: Any) -> None:
        """Hands an item to whoever reads the stream."""
        await Item((mode, payload))

    def output(self, keys: tuple[str, ...] | str | None = None) -> Any:
        """What `invoke` returns: the output keys (or others), finished siblings of a question applied."""
        live = self.live
        if self.interrupted_writes:
            live = live.copy()
            apply(live, self.spec, [(left.task, left.writes or ()) for left in self.interrupted_writes])
        return read_values(self, live, self.output_keys if keys is None else keys)


def read_values(run: Run, live: Live, keys: tuple[str, ...] | str) -> Any:
    """The keys that have a value; a bare value for a single key; None if there is nothing at all."""
    if isinstance(keys, str):
        return read_state(run, keys, live.channels)
    names = tuple(name for name in keys if name in live.channels)
    return read_state(run, names, live.channels) or None


def all_finished(finished: Sequence[Finished]) -> bool:
    """Whether every task ended well."""
    return all(left.writes is not None for left in finished)


def _in_order(
    tasks: Sequence[Task], known: Sequence[Finished | None], fresh: Sequence[Finished]
) -> list[Finished]:
    by_task = {left.task: left for left in known if left is not None} | {left.task: left for left in fresh}
    return [by_task[task] for task in tasks if task in by_task]


def _noted(task: Task, error: BaseException) -> bool:
    """Whether the error tells already that the task's input could not be made: then the task never ran."""
    notes: list[str] = getattr(error, "__notes__", [])
    return bool(notes) and notes[-1].startswith(f"Before task with name '{task.name}' and path")


def _cancelled(error: BaseException) -> bool:
    return type(error).__name__ == "CancelledError"


def _worth_recording(left: Finished) -> bool:
    return left.writes is not None or left.error is not None or bool(left.interrupts)
