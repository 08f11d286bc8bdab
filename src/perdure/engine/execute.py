"""The only place where user code runs: inline, in worker threads, or on the caller's loop.

    face      due                                          runs
    blocking  one sync task, no live mode                  inline on the caller's thread
    blocking  several, or a live mode                      our worker threads; the driver waits on one inbox
    async     async node                                   awaited (one), or a task of the caller's loop (several)
    async     sync node                                    a worker thread
    async     sync node whose path function is async       as an async node; its sync code in a worker thread

Every attempt runs in its own copy of the caller's context. Here: attempts, retries, the set of tasks of a step.
Not here: what is due (`plan.py`), what the results mean (`apply.py`), when they are durable (`loop.py`).
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from perdure.channels.base import BaseChannel
from perdure.constants import TASKS
from perdure.current import CURRENT
from perdure.engine.blocking_ports import BlockingPorts
from perdure.engine.chain import Finished
from perdure.engine.context import TaskContext
from perdure.engine.driving import drive, in_context
from perdure.engine.observe import observed
from perdure.engine.ports import Ports
from perdure.engine.state import Live, Task
from perdure.errors import GraphBubbleUp, GraphInterrupt, NodeCancelledError, VersionConflict
from perdure.graph.spec import Branch, Call, NodeSpec, Write
from perdure.types import RetryPolicy
from perdure.types.policies import retries

if TYPE_CHECKING:
    from perdure.engine.run import Run
    from perdure.storage.staging import Files

CONFLICT_ATTEMPTS = 3  # of a task whose guarded write met another writer
_RECORD_AFTER = 0.002  # seconds without news from the step until what is finished is recorded
_jitter = random.Random()  # noqa: S311 - spreads retries, guards nothing
_COPIED = (list, dict, set, deque)
_BLOCKING = BlockingPorts()


# -- a node's input ------------------------------------------------------------------------------------------------


def read_state(run: Run, read: tuple[str, ...] | str, channels: Any) -> Any:
    """The value of one channel, or a dict of those that have one; built-in containers as copies of their own."""
    if isinstance(read, str):
        return _own(channels[read].get()) if channels[read].is_available() else None
    state: dict[str, Any] = {}
    managed = run.spec.managed
    for name in read:
        if managed and name in managed:
            state[name] = managed[name].get(run.stop - run.step)
            continue
        channel: BaseChannel[Any, Any, Any] = channels[name]
        if channel.is_available():
            value = channel.get()
            state[name] = value.copy() if type(value) in _COPIED else value
    return state


def _own(value: Any) -> Any:
    return value.copy() if type(value) in _COPIED else value


def task_input(run: Run, task: Task) -> Any:
    """What the task's node gets: the `Send`'s argument as it is, or its view of the state."""
    if task.index is not None:
        return task.arg
    node = task.node
    state = read_state(run, node.read, run.live.channels)
    return state if node.build is None else node.build(state)


class _Fresh:
    """The channels with a task's own writes applied, for its branches."""

    def __init__(self, live: Live, writes: Sequence[Write]) -> None:
        self._live = live
        self._writes = writes
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        made = self._made.get(name)
        if made is None:
            made = self._live.channels[name]
            values = [value for channel, value in self._writes if channel == name]
            if values:
                made = made.copy()
                made.update(values)
            self._made[name] = made
        return made


# -- one task ------------------------------------------------------------------------------------------------------


async def attempts(run: Run, task: Task, base: contextvars.Context | None, ports: Ports) -> Finished:
    """What the task left, after as many attempts as its retry policies allow. Raises what ends a run at once.

    `base`: the caller's context; None where the present one is that.
    """
    record = task.record
    answers = list(record.answers) if record is not None else []
    first_at: float | None = None
    attempt = 1
    while True:
        context = TaskContext(run, task, attempt, answers, first_at)
        run.active.add(context)
        own = contextvars.copy_context() if base is None else base.copy()
        own.run(CURRENT.set, context)
        try:
            if run.observer is not None:
                work = partial(_blocking if ports.blocking else _async, run, task, context, own)
                writes = await observed(context, own, ports.blocking, work)
            else:
                writes = (
                    _blocking(run, task, context, own)
                    if ports.blocking
                    else await _async(run, task, context, own)
                )
            if context.operations:
                await _embed(run, context, ports)
        except GraphInterrupt as question:
            return Finished(task, interrupts=question.interrupts, answers=answers)
        except GraphBubbleUp as signal:
            return Finished(task, error=signal, answers=answers)
        except Exception as error:  # noqa: BLE001 - user code's; the policy decides
            pause = pause_after(task, error, attempt)
            if pause is None:
                return Finished(task, error=error, answers=answers)
        else:
            if context.interrupted is not None:
                _warn_swallowed(task, context)
            return Finished(task, writes, context.operations, answers=answers)
        finally:
            context.closed = True
            run.active.discard(context)
        first_at = context.first_at
        attempt += 1
        await ports.pause(pause)


async def _embed(run: Run, context: TaskContext, ports: Ports) -> None:
    """What the task staged is embedded before it counts as finished: a model that fails, fails the task."""
    codec: Files | None = run.memory.codec
    if codec is not None and (lacking := codec.lacking(context.operations)):
        if ports.blocking:
            codec.embed(lacking)
        else:
            await codec.aembed(lacking)


_Request = tuple[Call, Any]  # user code, and its first argument


def _body(run: Run, task: Task, context: TaskContext) -> Generator[_Request, Any, list[Write]]:
    """What a task does, as calls that somebody else makes: the node, then its branches. One body for both colours."""
    node = task.node
    if task.index is not None:
        state = task.arg
    else:
        state = read_state(run, node.read, run.live.channels)
        if node.build is not None:
            state = node.build(state)
    result = yield node.call, state
    if context.span is not None:
        context.span.chunk(result)
    writes = node.writes(result)
    if node.edges:
        writes = [*writes, *node.edges]
    for branch in node.branches:
        answer = yield branch.path, _branch_state(run, node, branch, writes)
        writes = [*writes, *routed(branch, answer)]
    return writes


def _branch_state(run: Run, node: NodeSpec, branch: Branch, writes: Sequence[Write]) -> Any:
    own = branch.read is not None
    state = read_state(run, branch.read if branch.read is not None else node.read, _Fresh(run.live, writes))
    build = branch.build if own else node.build
    return state if build is None else build(state)


def routed(branch: Branch, answer: Any) -> list[Write]:
    """The writes that take the run where a path function says."""
    return [(f"branch:to:{to}", None) if isinstance(to, str) else (TASKS, to) for to in branch.route(answer)]


async def route_branch(
    run: Run,
    task: Task,
    branch: Branch,
    writes: Sequence[Write],
    context: TaskContext,
    own: contextvars.Context,
    ports: Ports,
) -> list[Write]:
    """The writes of a conditional edge: it sees the state with `writes` applied."""
    state = _branch_state(run, task.node, branch, writes)
    if ports.blocking:
        answer = _call_blocking(branch.path, state, context, own)
    else:
        answer = await _call_async(branch.path, state, context, own, None)
    return routed(branch, answer)


def _blocking(run: Run, task: Task, context: TaskContext, own: contextvars.Context) -> list[Write]:
    body = _body(run, task, context)
    call, state = next(body)
    while True:
        answer = _call_blocking(call, state, context, own)
        try:
            call, state = body.send(answer)
        except StopIteration as done:
            return done.value


async def _async(run: Run, task: Task, context: TaskContext, own: contextvars.Context) -> list[Write]:
    threads = run.ports if _asks_both(task.node) else None
    body = _body(run, task, context)
    call, state = next(body)
    while True:
        answer = await _call_async(call, state, context, own, threads)
        try:
            call, state = body.send(answer)
        except StopIteration as done:
            return done.value


def _call_blocking(call: Call, state: Any, context: TaskContext, own: contextvars.Context) -> Any:
    if call.sync is None:
        raise async_only(call)
    given = {name: context.wanted(what) for name, what in call.wants.items()} if call.wants else {}
    try:
        result = own.run(call.sync, state, **given)
    except asyncio.CancelledError as error:  # nobody can have cancelled this: the node raised it itself
        raise NodeCancelledError(context.task.name) from error
    except StopIteration as error:
        raise _stopped(call) from error
    if type(result) is CoroutineType:
        result.close()
        raise TypeError(
            f"{call.name} returned a coroutine: it calls an async function without awaiting it. Make it `async def` and"
            " await there (and use `await graph.ainvoke(...)` or `graph.astream(...)`)."
        )
    return result


async def _call_async(
    call: Call, state: Any, context: TaskContext, own: contextvars.Context, threads: Ports | None
) -> Any:
    """`threads`: what runs sync code in a worker thread; None: it runs here."""
    if threads is not None and call.asynchronous is None:
        return await threads.user_code(partial(_call_blocking, call, state, context, own))
    given = {name: context.wanted(what) for name, what in call.wants.items()} if call.wants else {}
    if call.asynchronous is not None:
        made: Any = own.run(call.asynchronous, state, **given)
        body = cast("Coroutine[Any, Any, Any]", made) if type(made) is CoroutineType else _awaited(made)
        try:
            return await in_context(own, body)
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if (
                current is not None and current.cancelling() == 0
            ):  # nobody cancelled: the node raised it itself
                raise NodeCancelledError(context.task.name) from error
            raise
    assert call.sync is not None  # noqa: S101 - a call has one of the two
    try:
        result: Any = own.run(call.sync, state, **given)
    except StopIteration as error:
        raise _stopped(call) from error
    if hasattr(result, "__await__"):
        return await in_context(own, _awaited(result))
    return result


async def _awaited(made: Any) -> Any:
    return await made


def _stopped(call: Call) -> RuntimeError:
    """For a `StopIteration` that user code let out: as itself it would end our generators, unheard (PEP 479)."""
    return RuntimeError(f"{call.name} raised StopIteration: a `next(...)` found nothing. Give it a default.")


def async_only(call: Call) -> TypeError:
    """The error for an async node in a blocking run."""
    return TypeError(
        f"{call.name} is async, and this is a blocking call. Use `await graph.ainvoke(...)` or `graph.astream(...)`,"
        " or give the node a sync function as well."
    )


def pause_after(task: Task, error: Exception, attempt: int) -> float | None:
    """Seconds until the next attempt; None: there is none."""
    for policy in task.node.retry:
        if retries(policy, error):
            return None if attempt >= policy.max_attempts else pause_of(policy, attempt)
    if isinstance(error, VersionConflict) and attempt < CONFLICT_ATTEMPTS:
        return 0.01 * _jitter.random()
    return None


def pause_of(policy: RetryPolicy, attempt: int) -> float:
    """Seconds before the attempt after `attempt`."""
    pause = min(policy.max_interval, policy.initial_interval * policy.backoff_factor ** (attempt - 1))
    return pause + _jitter.random() if policy.jitter else pause


def _warn_swallowed(task: Task, context: TaskContext) -> None:
    question = context.interrupted
    where = ""
    at = question.__traceback__ if question is not None else None
    while at is not None:
        where = f", line {at.tb_lineno} of {at.tb_frame.f_code.co_filename}"
        at = (
            at.tb_next
            if at.tb_next is not None and "perdure" not in at.tb_next.tb_frame.f_code.co_filename
            else None
        )
    warnings.warn(
        f"Node {task.name!r} asked a question with interrupt() and swallowed the signal{where}: nobody was asked, the"
        " node counts as finished. Let GraphInterrupt pass: `except Exception` in the node is too wide.",
        RuntimeWarning,
        stacklevel=2,
    )


# -- the tasks of a step -------------------------------------------------------------------------------------------


async def execute(run: Run, tasks: Sequence[Task]) -> list[Finished]:
    """What each task left, in the order of `tasks`. Finished ones are recorded while others take their time."""
    if len(tasks) == 1 and not run.live_modes and runs_here(tasks[0], run.ports):
        finished = _passed_on(run, tasks[0]) or await attempts(run, tasks[0], None, run.ports)
        if run.modes:
            await run.on_finished(finished)
        return [finished]
    return await _Together(run, tasks, contextvars.copy_context()).all()


def _passed_on(run: Run, task: Task) -> Finished | None:
    """What the hidden start node leaves: where no edge is conditional, no code of a user's is called."""
    node = task.node
    if not node.hidden or node.branches or run.observer is not None:
        return None
    return Finished(task, [*node.writes(task_input(run, task)), *node.edges])


def runs_here(task: Task, ports: Ports) -> bool:
    """Whether the task needs neither a thread nor a task of the loop."""
    node = task.node
    return ports.blocking or _on_loop(node) or (node.hidden and not node.branches)


def _on_loop(node: NodeSpec) -> bool:
    """Whether the node has to be awaited where a loop runs."""
    return node.call.asynchronous is not None or _asks_both(node)


def _asks_both(node: NodeSpec) -> bool:
    """Whether the node is sync and one of its path functions is only async."""
    return (
        bool(node.branches)
        and node.call.asynchronous is None
        and any(branch.path.sync is None for branch in node.branches)
    )


class _Together:
    """Several tasks of a step at once."""

    def __init__(self, run: Run, tasks: Sequence[Task], base: contextvars.Context) -> None:
        self._run = run
        self._tasks = tasks
        self._base = base
        self._waiting = list(reversed(tasks))
        self._running: dict[Task, Callable[[], object] | None] = {}
        self._left: dict[Task, Finished] = {}
        self._unrecorded: list[Finished] = []
        self._failed = False

    async def all(self) -> list[Finished]:
        """What each task left, in order; tasks that were never started are left out.

        Where finished ones cannot be recorded, the others are waited for, as where one of them fails: whoever calls again
        meets none of them at work.
        """
        run = self._run
        failure: Exception | None = None
        try:
            self._start()
            while self._running:
                event = await run.ports.next_event(
                    _RECORD_AFTER if self._unrecorded and run.records_early and failure is None else None
                )
                if event is None:
                    try:
                        await self._record()
                    except Exception as error:  # noqa: BLE001 - raised when all have ended
                        failure = error
                        self._fail()
                elif event[0] is None:
                    await run.emit("custom", event[1])
                else:
                    await self._finished(*event)
        except BaseException:
            self._abandon()
            raise
        if failure is not None:
            raise failure
        return [self._left[task] for task in self._tasks if task in self._left]

    def _start(self) -> None:
        limit = self._run.settings.max_concurrency
        while self._waiting and not self._failed and (limit is None or len(self._running) < limit):
            task = self._waiting.pop()
            run, ports = self._run, self._run.ports
            if not ports.blocking and _on_loop(task.node):
                coro: Coroutine[Any, Any, Finished] = attempts(run, task, self._base, ports)
                self._running[task] = None
                self._running[task] = ports.start_async(task, coro)
            else:
                self._running[task] = None
                ports.start_thread(_job(run, task, self._base))

    async def _finished(self, task: Task, outcome: Any) -> None:
        del self._running[task]
        if isinstance(outcome, Finished):
            finished = outcome
        elif isinstance(outcome, (asyncio.CancelledError, Exception)):
            finished = Finished(task, error=outcome)
        else:
            raise outcome
        self._left[task] = finished
        if finished.error is not None:
            self._fail()
        await self._run.on_finished(finished)
        if self._running or self._waiting:
            if finished.writes is not None:
                self._unrecorded.append(finished)
            self._start()

    def _fail(self) -> None:
        """No more tasks are started, and those that can be cancelled are."""
        if not self._failed:
            self._failed = True
            for running, cancel in self._running.items():
                if cancel is not None and running.node.call.asynchronous is not None:
                    cancel()

    async def _record(self) -> None:
        batch, self._unrecorded = self._unrecorded, []
        await self._run.record(batch)

    def _abandon(self) -> None:
        """The run is over: gates shut, async tasks cancelled; threads end by themselves, unheard."""
        for context in list(self._run.active):
            context.close()
        for cancel in self._running.values():
            if cancel is not None:
                cancel()


def _job(run: Run, task: Task, base: contextvars.Context) -> Callable[[], tuple[Any, Any]]:
    def job() -> tuple[Any, Any]:
        try:
            return task, drive(attempts(run, task, base, _BLOCKING))
        except BaseException as error:  # noqa: BLE001 - the driver raises it
            return task, error

    return job
