"""What the streams of a run show, built only for the modes that somebody reads.

Here: payloads of `values updates tasks checkpoints debug`. Not here: handing them over (`Run.emit`), live items.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perdure import clock
from perdure.constants import INTERRUPT, PUSH
from perdure.engine.apply import Applied
from perdure.engine.chain import Finished
from perdure.engine.state import Task
from perdure.graph.spec import Write
from perdure.types import Interrupt

if TYPE_CHECKING:
    from perdure.engine.run import Run

log = logging.getLogger("perdure.engine")


async def tasks_started(run: Run, tasks: Sequence[Task]) -> None:
    """A step begins."""
    if "tasks" not in run.modes and "debug" not in run.modes:
        return
    from perdure.engine.execute import task_input

    for task in tasks:
        if not task.node.hidden:
            payload = {
                "id": task.id, "name": task.name, "input": task_input(run, task), "triggers": triggers_of(task)
            }  # fmt: skip
            metadata = {**run.settings.metadata, **task.node.metadata}
            if metadata:
                payload["metadata"] = metadata
            await _task_event(run, "task", payload)


def triggers_of(task: Task) -> list[str]:
    """What may make the task due, as users see it."""
    return list(task.node.triggers) if task.index is None else [PUSH]


async def task_replayed(run: Run, finished: Finished) -> None:
    """A task's recorded result is used, or its question is still open."""
    if "updates" not in run.modes or finished.task.node.hidden:
        return
    if finished.interrupts:
        await run.emit("updates", {INTERRUPT: finished.interrupts})
    else:
        update = update_of(run, finished.writes or ())
        await run.emit("updates", {finished.task.name: update, "__metadata__": {"cached": True}})


async def task_finished(run: Run, finished: Finished) -> None:
    """A task ended, well or not."""
    task = finished.task
    if task.node.hidden:
        return
    if "updates" in run.modes and finished.writes is not None:
        await run.emit("updates", {task.name: update_of(run, finished.writes)})
    if "updates" in run.modes and finished.interrupts:
        await run.emit("updates", {INTERRUPT: finished.interrupts})
    if "tasks" in run.modes or "debug" in run.modes:
        payload = {
            "id": task.id,
            "name": task.name,
            "error": finished.error,
            "result": result_of(run.spec.state_keys, finished.writes or ()),
            "interrupts": [_asked(each) for each in finished.interrupts],
        }
        await _task_event(run, "task_result", payload)


async def _task_event(run: Run, kind: str, payload: dict[str, Any]) -> None:
    if "tasks" in run.modes:
        await run.emit("tasks", payload)
    if "debug" in run.modes:
        await run.emit("debug", _debug(run.step, kind, payload))


def _asked(question: Interrupt[Any]) -> dict[str, Any]:
    return {"value": question.value, "id": question.id, "response_schema": question.response_schema}


def _debug(step: int, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"step": step, "timestamp": clock.now().isoformat(), "type": kind, "payload": payload}


def update_of(run: Run, writes: Sequence[Write]) -> Any:
    """What a task wrote to the streamed keys: None for nothing, a list of dicts where it wrote one key more than once."""
    keys = run.stream_keys
    if isinstance(keys, str):
        found = [value for name, value in writes if name == keys]
        return None if not found else found[0] if len(found) == 1 else found
    written = [(name, value) for name, value in writes if name in keys]
    if not written:
        return None
    if len({name for name, _ in written}) == len(written):
        return dict(written)
    return [{name: value} for name, value in written]


def result_of(keys: tuple[str, ...] | str, writes: Sequence[Write]) -> dict[str, Any]:
    """What a task wrote to state keys; several writes to one key as `{"$writes": [...]}`."""
    result: dict[str, Any] = {}
    several: set[str] = set()
    for name, value in writes:
        if name not in keys or (isinstance(keys, str) and name != keys):
            continue
        if name in several:
            result[name]["$writes"].append(value)
        elif name in result:
            several.add(name)
            result[name] = {"$writes": [result[name], value]}
        else:
            result[name] = value
    return result


async def step_done(run: Run, applied: Applied, source: str, finished: Sequence[Finished]) -> None:
    """A step was applied and handed to the saver."""
    modes = run.modes
    if not modes:
        return
    if "values" in modes:
        keys = run.stream_keys
        shown = (keys,) if isinstance(keys, str) else keys
        if not applied.changed.isdisjoint(shown):
            await run.emit("values", values_of(run))
    await _checkpoint(run, source, run.step)


async def _checkpoint(run: Run, source: str, step: int) -> None:
    if not run.chain.saved or run.modes.isdisjoint(("checkpoints", "debug")):
        return
    payload = checkpoint_payload(run, source, step)
    if "checkpoints" in run.modes:
        await run.emit("checkpoints", payload)
    if "debug" in run.modes:
        await run.emit("debug", _debug(step, "checkpoint", payload))


def values_of(run: Run) -> Any:
    """The streamed keys as they are now."""
    from perdure.engine.run import read_values

    return read_values(run, run.live, run.stream_keys)


async def going_on(run: Run, source: str) -> None:
    """A run that goes on shows first where it stands: on the checkpoint it was given, or on a fork of it."""
    if "values" in run.modes:
        values = values_of(run)
        if values is not None:
            await run.emit("values", values)
    await _checkpoint(run, source, run.step - 1)


async def interrupted(run: Run) -> None:
    """The run stops with questions, which `updates` has shown with their tasks."""
    if "values" in run.modes:
        values: Any = run.output(run.stream_keys)
        shown: dict[str, Any] = {**values} if isinstance(values, dict) else {}
        await run.emit("values", {**shown, INTERRUPT: run.interrupts})


async def breakpoint_reached(run: Run) -> None:
    """The run stops at a static breakpoint."""
    if "updates" in run.modes:
        await run.emit("updates", {INTERRUPT: ()})


def checkpoint_payload(run: Run, source: str, step: int) -> dict[str, Any]:
    """A checkpoint as the `checkpoints` stream shows it."""
    chain = run.chain
    tasks = run.plan()
    parent = getattr(chain, "before", None)
    values = values_of(run)
    return {
        "config": place(chain.thread, chain.ns, chain.at),
        "parent_config": None if parent is None else place(chain.thread, chain.ns, parent),
        "values": {} if values is None else values,
        "metadata": {"source": source, "step": step, "parents": {}, **run.settings.saved_metadata()},
        "next": [task.name for task in tasks],
        "tasks": [_task_shown(run, task) for task in tasks],
    }


def _task_shown(run: Run, task: Task) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": task.id, "name": task.name}
    record = task.record
    if record is not None and record.writes is not None:
        shown["result"] = result_of(run.spec.state_keys, record.writes)
    elif record is not None and record.error is not None:
        shown["error"] = record.error
    shown["interrupts"] = () if record is None else tuple(_asked(each) for each in record.interrupts)
    shown["state"] = None
    return shown


def place(thread: str | None, ns: str, id: str) -> dict[str, Any]:
    """The config that addresses a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}


def created_at(micros: int) -> str:
    """The time of a checkpoint as snapshots show it."""
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat()
