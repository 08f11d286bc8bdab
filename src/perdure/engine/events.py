"""What the streams of a run show, built only for the modes that somebody reads.

Here: payloads of `values updates tasks checkpoints debug`. Not here: handing them over (`Run.emit`), live items.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perdure import clock
from perdure.constants import ERROR, INTERRUPT
from perdure.engine.apply import Applied
from perdure.engine.chain import Finished
from perdure.engine.state import Task
from perdure.graph.spec import Write

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
                "id": task.id, "name": task.name, "input": task_input(run, task), "triggers": list(task.node.triggers)
            }  # fmt: skip
            if task.node.metadata:
                payload["metadata"] = dict(task.node.metadata)
            await _task_event(run, "task", payload)


async def task_replayed(run: Run, finished: Finished) -> None:
    """A task's recorded result is used."""
    if "updates" in run.modes and not finished.task.node.hidden:
        update = update_of(run, finished.writes or ())
        await run.emit("updates", {finished.task.name: update, "__metadata__": {"cached": True}})


async def task_finished(run: Run, finished: Finished) -> None:
    """A task ended, well or not."""
    task = finished.task
    if task.node.hidden:
        return
    if "updates" in run.modes and finished.writes is not None:
        await run.emit("updates", {task.name: update_of(run, finished.writes)})
    if "tasks" in run.modes or "debug" in run.modes:
        payload = {
            "id": task.id,
            "name": task.name,
            "error": finished.error,
            "result": result_of(run.spec.state_keys, finished.writes or ()),
            "interrupts": [{"value": asked.value, "id": asked.id} for asked in finished.interrupts],
        }
        await _task_event(run, "task_result", payload)


async def _task_event(run: Run, kind: str, payload: dict[str, Any]) -> None:
    if "tasks" in run.modes:
        await run.emit("tasks", payload)
    if "debug" in run.modes:
        await run.emit("debug", _debug(run.step, kind, payload))


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
    names = [name for name, _ in written]
    if len(set(names)) == len(names):
        return dict(written)
    updates: list[dict[str, Any]] = [{}]
    for name, value in written:
        if name in updates[-1]:
            updates.append({})
        updates[-1][name] = value
    return updates


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
    if run.chain.saved and ("checkpoints" in modes or "debug" in modes):
        payload = checkpoint_payload(run, source)
        if "checkpoints" in modes:
            await run.emit("checkpoints", payload)
        if "debug" in modes:
            await run.emit("debug", _debug(run.step, "checkpoint", payload))


def values_of(run: Run) -> Any:
    """The streamed keys as they are now."""
    from perdure.engine.run import read_values

    return read_values(run, run.live, run.stream_keys)


async def current_values(run: Run) -> None:
    """A run that goes on shows first where it stands."""
    if "values" in run.modes:
        values = values_of(run)
        if values is not None:
            await run.emit("values", values)


async def interrupted(run: Run) -> None:
    """The run stops with questions."""
    if "updates" in run.modes:
        await run.emit("updates", {INTERRUPT: run.interrupts})
    if "values" in run.modes:
        values: Any = run.output() if run.stream_keys == run.output_keys else values_of(run)
        shown: dict[str, Any] = {**values} if isinstance(values, dict) else {}
        await run.emit("values", {**shown, INTERRUPT: run.interrupts})


async def breakpoint_reached(run: Run) -> None:
    """The run stops at a static breakpoint."""
    if "updates" in run.modes:
        await run.emit("updates", {INTERRUPT: ()})


def checkpoint_payload(run: Run, source: str) -> dict[str, Any]:
    """A checkpoint as the `checkpoints` stream shows it."""
    chain = run.chain
    tasks = run.plan()
    shown: list[dict[str, Any]] = []
    for task in tasks:
        entry: dict[str, Any] = {"id": task.id, "name": task.name, "interrupts": (), "state": None}
        if task.record is not None and task.record.error is not None:
            entry[ERROR.strip("_")] = task.record.error
        shown.append(entry)
    parent = getattr(chain, "before", None)
    return {
        "config": place(chain.thread, chain.ns, chain.at),
        "parent_config": None if parent is None else place(chain.thread, chain.ns, parent),
        "values": values_of(run) or {},
        "metadata": {"source": source, "step": run.step, "parents": {}, **run.settings.saved_metadata()},
        "next": [task.name for task in tasks],
        "tasks": shown,
    }


def place(thread: str | None, ns: str, id: str) -> dict[str, Any]:
    """The config that addresses a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": id}}


def created_at(micros: int) -> str:
    """The time of a checkpoint as snapshots show it."""
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat()
