"""Changing a thread by hand: `update_state`, as if a node had just returned the values.

Here: what an update means for the state. Not here: reading threads (`snapshots.py`), the commit (`engine`).
"""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from typing import Any, Final, cast

from perdure import clock
from perdure.constants import COPY, END, INPUT, START
from perdure.current import CURRENT
from perdure.engine.apply import Applied, apply
from perdure.engine.chain import Finished, Step
from perdure.engine.commit import OwnChain
from perdure.engine.context import TaskContext
from perdure.engine.execute import route_branch
from perdure.engine.foreign import ForeignChain
from perdure.engine.recorded import in_order
from perdure.engine.run import Run
from perdure.engine.state import Task, live_of
from perdure.errors import InvalidUpdateError
from perdure.graph.spec import NodeSpec, Write
from perdure.types import StateUpdate, as_name

TRIES: Final = 20  # when the thread moves while it is being updated


async def update(run: Run, supersteps: Sequence[Sequence[StateUpdate]]) -> str:
    """The id of the last new checkpoint; each inner list is one superstep."""
    chain = run.chain
    loaded = run.loaded = await chain.load(run.settings.checkpoint)
    head = loaded.head
    if run.settings.checkpoint is not None and head is None:
        raise ValueError(
            f"thread {chain.thread!r} has no checkpoint {run.settings.checkpoint!r}; nothing was updated."
        )
    if head is None:
        run.live = live_of(run.spec, {}, {}, {})
        run.step = -1 if _named(supersteps[0][0]) == INPUT else 0  # -1 is the step of inputs
    else:
        run.live = live_of(run.spec, head.values, head.versions, head.seen)
        run.step = head.step + 1
    copied_parent = None if head is None else head.parent
    await chain.begin(loaded, run.live)
    if loaded.updates:
        apply(run.live, run.spec, (), run.next_version, loaded.updates, within=True)
    if run.settings.checkpoint is not None:
        loaded.records.clear()  # they belong to the branch that went on from there
    for updates in supersteps:
        await _superstep(run, updates, copied_parent)
        run.loaded.records.clear()
        run.step += 1
        if again := _on_the_copy(updates):
            await _superstep(run, again, copied_parent)
            run.step += 1
    await chain.finish()
    return chain.at


def _named(update: StateUpdate) -> str | None:
    return None if update.as_node is None else as_name(update.as_node)


def _on_the_copy(updates: Sequence[StateUpdate]) -> list[StateUpdate]:
    """The updates that `__copy__` was given: they are made on the clone."""
    first = updates[0]
    if _named(first) != COPY or not isinstance(first.values, list):
        return []
    found: list[StateUpdate] = []
    for item in cast("list[Any]", first.values):
        if not isinstance(item, tuple) or len(cast("tuple[Any, ...]", item)) not in (2, 3):
            raise InvalidUpdateError(
                f"as_node='__copy__' takes None, or a list of (values, as_node[, task_id]); {item!r} is neither."
            )
        found.append(StateUpdate(*cast("tuple[Any, ...]", item)))
    return found


async def _superstep(run: Run, updates: Sequence[StateUpdate], copied_parent: str | None) -> None:
    first = updates[0]
    name = _named(first)
    if name in (END, INPUT, COPY) and len(updates) > 1:
        raise InvalidUpdateError(
            f"as_node={name!r} must be the only update of its superstep; there are {len(updates)}."
        )
    if name == COPY:
        _on_the_copy(updates)  # raises now, before anything is written
        step = Step(run.live, Applied(run.live.top, set(), {}), run.step, "fork")
        if isinstance(run.chain, OwnChain | ForeignChain):
            run.chain.beside(copied_parent)
    elif name == INPUT:
        dropped = [(task, ()) for task in run.plan()]
        applied = apply(run.live, run.spec, dropped, run.next_version, run.spec.read_input(first.values))
        step = Step(run.live, applied, run.step, "input")
    elif name == END:
        if first.values is not None:
            raise InvalidUpdateError(
                "as_node='__end__' clears what is due; it takes no values (values=None)."
            )
        done = _recorded(run)
        dropped = [(task, ()) for task in run.plan() if task.id not in {left.task.id for left in done}]
        finished = [(left.task, left.writes or ()) for left in done]
        step = _step(run, apply(run.live, run.spec, [*finished, *dropped], run.next_version), done)
    elif first.values is None and name is None and len(updates) == 1:
        step = Step(run.live, Applied(run.live.top, set(), {}), run.step, "update")
    else:
        step = await _as_nodes(run, updates)
    await run.chain.step(step)


def _step(run: Run, applied: Applied, finished: Sequence[Finished]) -> Step:
    operations = in_order([operation for left in finished for operation in left.operations])
    return Step(run.live, applied, run.step, "update", finished, operations)


def _recorded(run: Run) -> list[Finished]:
    """The tasks that have finished already: their writes and memory count, as they would have with the step."""
    return [
        Finished(task, task.record.writes, run.loaded.operations.get(task.id, []))
        for task in run.plan()
        if task.record is not None and task.record.writes is not None
    ]


async def _as_nodes(run: Run, updates: Sequence[StateUpdate]) -> Step:
    nodes = [_node(run, update, len(updates)) for update in updates]
    done = _recorded(run)
    due = [task for task in run.plan() if task.record is None or task.record.writes is None]
    instead: list[Finished] = []  # of tasks that were due, in order
    writes: list[Write] = []
    for node, given in zip(nodes, updates, strict=True):
        made = await _writes(run, node, given.values)
        writes += made
        task = next((task for task in due if task.name == node.name), None)
        if task is not None:
            due.remove(task)
            instead.append(Finished(task, made))
    passed = _passed(run, [left.task for left in instead])
    applied = apply(
        run.live, run.spec, [(left.task, left.writes or ()) for left in done], run.next_version, writes
    )
    if not done and not writes:
        _close_step(run, applied.changed)
    for name in passed:
        run.live.versions[name] = applied.version
    applied.changed.update(passed)
    return _step(run, applied, [*done, *instead])


def _passed(run: Run, tasks: Sequence[Task]) -> list[str]:
    """The list edges that these tasks waited for begin anew, as if the tasks had run."""
    return [
        trigger
        for task in tasks
        if task.index is None
        for trigger in task.node.triggers
        if trigger in run.live.versions and run.live.channels[trigger].consume()
    ]


def _close_step(run: Run, changed: set[str]) -> None:
    """An empty update as a node that leads nowhere still ends what was due."""
    for name in list(run.live.open):
        if run.live.channels[name].update(()):
            changed.add(name)
            run.live.versions[name] = run.live.top


def _node(run: Run, update: StateUpdate, together: int) -> NodeSpec:
    nodes = run.spec.nodes
    if update.as_node is not None:
        name = as_name(update.as_node)
        if name not in nodes:
            known = ", ".join(repr(each) for each, node in nodes.items() if not node.hidden)
            raise InvalidUpdateError(f"Node {name!r} does not exist. as_node must be one of {known}.")
        return nodes[name]
    if together > 1:
        raise InvalidUpdateError(
            "Ambiguous update, specify as_node: each of several updates of a superstep needs one."
        )
    return nodes[_last_node(run)]


def _last_node(run: Run) -> str:
    """The node that last ran: the one that has seen the newest version."""
    if len(run.spec.nodes) == 1:
        return next(iter(run.spec.nodes))
    newest: dict[str, Any] = {}
    for name, versions in run.live.seen.items():
        if name in run.spec.nodes and versions:
            newest[name] = max(versions.values())
    ran = {name: version for name, version in newest.items() if name != START}
    if not ran:
        if START in newest or not newest:
            return START
        raise InvalidUpdateError("Ambiguous update, specify as_node")
    top = max(ran.values())
    last = [name for name, version in ran.items() if version == top]
    if len(last) != 1 or (START in newest and newest[START] > top):
        raise InvalidUpdateError("Ambiguous update, specify as_node")
    return last[0]


async def _writes(run: Run, node: NodeSpec, values: Any) -> list[Write]:
    """What the node would have written, had it returned `values`: its edges and branches included."""
    result = dict(run.spec.read_input(values))[START] if node.name == START else values
    task = Task(node, run.chain.at or clock.new_checkpoint_id(), run.chain.ns, None, None)
    writes = [*node.writes(result), *node.edges]
    context = TaskContext(run, task, 1, [], clock.micros() / 1e6)
    own = contextvars.copy_context()
    own.run(CURRENT.set, context)
    for branch in node.branches:
        writes += await route_branch(run, task, branch, writes, context, own, run.ports)
    context.close()
    return writes
