"""What a run's input means: new input, `None` to go on, a `Command`, or a replay from an older checkpoint.

Here: everything between the loaded checkpoint and the first planned step. Not here: the loop (`run.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from perdure.constants import START
from perdure.engine import events
from perdure.engine.answers import is_answer_map
from perdure.engine.apply import Applied, apply
from perdure.engine.chain import Step
from perdure.engine.state import live_of
from perdure.errors import EmptyInputError, InvalidUpdateError
from perdure.graph.spec import NodeSpec, Write
from perdure.storage.contract import HeadIs, stale_thread
from perdure.types import Command, Interrupt

if TYPE_CHECKING:
    from perdure.engine.run import Run


async def enter(run: Run, given: Any) -> None:
    """The run stands before its first step."""
    loaded, head = run.loaded, run.loaded.head
    wanted = run.settings.if_head
    if wanted is not None and run.parent is None and wanted != (loaded.newest,):
        raise stale_thread(HeadIs(run.chain.thread or "", run.chain.ns, *wanted), loaded.newest)
    if run.settings.checkpoint is not None and head is None:
        raise EmptyInputError(
            f"thread {run.chain.thread!r} has no checkpoint {run.settings.checkpoint!r}"
            + (f" in namespace {run.chain.ns!r}" if run.chain.ns else "")
            + ". Nothing was run. List them with graph.get_state_history(config)."
        )
    if head is None:
        run.live = live_of(run.spec, {}, {}, {})
        run.step = -1
    else:
        run.live = live_of(run.spec, head.values, head.versions, head.seen)
        run.step = head.step + 1
    run.stop = run.step + run.settings.recursion_limit + 1
    await run.chain.begin(loaded, run.live)
    run.book.by_id.update(loaded.answers)
    if loaded.updates:
        _apply_update(run, loaded.updates)
    older = head is not None and head.id != loaded.newest
    if run.parent is not None and head is not None and not older:
        given = None  # called again by a task that runs again: it goes on where it was
    if isinstance(given, Command):
        await _command(run, cast("Command[Any]", given), older)
    elif given is None:
        if head is None:
            raise EmptyInputError(
                "The input is None, and there is nothing to go on with"
                + (
                    f": thread {run.chain.thread!r} is new."
                    if run.chain.saved
                    else ": the graph has no checkpointer."
                )
                + " Give the first call an input, such as {}."
            )
        await _go_on(run, older)
    else:
        await _input(run, given)


async def _input(run: Run, given: Any) -> None:
    """New input: what was due is dropped, the run begins at `__start__` again."""
    await _begin(run, run.spec.read_input(given))


async def _begin(run: Run, writes: Sequence[Write]) -> None:
    if not (run.chain.saved or run.modes or run.observer):
        start = run.spec.nodes[START]
        if not start.branches:  # nobody sees the two steps of the input: one will do
            [(_, taken)] = writes
            apply(run.live, run.spec, (), run.next_version, [*start.writes(taken), *start.edges])
            run.step += 2
            return
    dropped = [(task, ()) for task in run.plan()] if run.live.versions else ()  # a new thread has nothing due
    applied = apply(run.live, run.spec, dropped, run.next_version, writes)
    run.loaded.records.clear()
    await run.chain.step(Step(run.live, applied, run.step, "input", hold=True))
    if run.modes:
        await events.step_done(run, applied, "input", ())
    run.step += 1


async def _go_on(run: Run, older: bool) -> None:
    run.passing = True
    source = await _fork(run) if older else _source(run)
    await events.going_on(run, source)


def _source(run: Run) -> str:
    return "" if run.loaded.head is None else run.loaded.head.source


async def _fork(run: Run) -> str:
    """Running from an older checkpoint begins a branch: first a copy of that checkpoint, the new head."""
    run.loaded.records.clear()
    run.loaded.operations.clear()
    run.book.by_id.clear()
    if not run.plan():
        return _source(run)  # finished there: nothing will run, nothing is written
    applied = Applied(run.live.top, set(), {})
    await run.chain.step(Step(run.live, applied, run.step, "fork"))
    run.step += 1
    return "fork"


async def _command(run: Run, command: Command[Any], older: bool) -> None:
    if command.graph is not None:
        raise InvalidUpdateError("There is no parent graph: Command(graph=...) is for what a node returns.")
    resuming = command.resume is not None
    if resuming and not run.chain.saved:
        raise RuntimeError("Cannot use Command(resume=...) without checkpointer")
    updating = command.update is not None or bool(command.goto) or command.goto == 0
    if not resuming and not updating and run.loaded.head is None:
        raise EmptyInputError("The input is an empty Command, and there is nothing to go on with.")
    if resuming and run.loaded.head is None:
        raise EmptyInputError(
            f"Command(resume=...) on thread {run.chain.thread!r}, which is new: nothing was asked yet."
        )
    if run.loaded.head is None:
        await _begin(run, _opening(run, command))
        return
    source = await _fork(run) if older else _source(run)
    if resuming:
        await _resume(run, command.resume)
    if updating:
        await _update(run, command)
    run.passing = True
    await events.going_on(run, source)


async def _resume(run: Run, resume: Any) -> None:
    tasks = run.plan()
    if not tasks:
        return  # finished: nobody asks
    pending: list[Interrupt[Any]] = [
        question
        for task in tasks
        if task.record is not None and task.record.writes is None
        for question in task.record.interrupts
        if question.id not in run.book.by_id
    ]
    if is_answer_map(resume):
        run.book.by_id.update(resume)
    elif len(pending) > 1:
        raise RuntimeError(
            "When there are multiple pending interrupts, you must specify the interrupt id when resuming. Nothing was"
            f" changed. Use Command(resume={{id: answer}}) with these ids: {', '.join(asked.id for asked in pending)}."
        )
    elif pending:
        run.book.by_id[pending[0].id] = resume
    else:
        run.book.give(resume)
    if run.book.by_id:
        await run.chain.answer(run.book.by_id, (), 0)


def _opening(run: Run, command: Command[Any]) -> list[Write]:
    """A Command on a new thread: the update is the input, and `goto` runs beside what the input starts."""
    [(channel, taken)] = run.spec.read_input({} if command.update is None else command.update)
    jumps = _any_node(run).writes(Command(goto=command.goto))
    if not jumps:
        return [(channel, taken)]
    if isinstance(run.spec.state_keys, str):
        raise InvalidUpdateError(
            f"Command(goto=...) on thread {run.chain.thread!r}, which is new: a graph whose state is one value needs an"
            " input first. Nothing was run."
        )
    pairs: list[Write] = list(cast("dict[str, Any]", taken).items()) if isinstance(taken, dict) else taken
    return [(channel, [*pairs, *jumps])]


def _any_node(run: Run) -> NodeSpec:
    return next(node for node in run.spec.nodes.values() if not node.hidden)


async def _update(run: Run, command: Command[Any]) -> None:
    """The update is applied at once, recorded, and part of the next step's checkpoint."""
    writes = _any_node(run).writes(Command(update=command.update, goto=command.goto))
    _apply_update(run, writes)
    if run.chain.saved and run.chain.at:
        await run.chain.answer(None, writes, len(run.loaded.updates))


def _apply_update(run: Run, writes: Sequence[Write]) -> None:
    applied = apply(run.live, run.spec, (), run.next_version, writes, within=True)
    run.carried |= applied.changed
