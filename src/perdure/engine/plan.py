"""Which tasks are due. Pure: the answer depends on the arguments alone.

A node is due when one of its triggers has a value and a newer version than the node has seen; each pending `Send` makes
a task of its own. Order: nodes by name, then `Send`s by index. Writes are applied in this order, whoever finishes first.
"""

from __future__ import annotations

from collections.abc import Iterable

from perdure.engine.state import Live, Task
from perdure.errors import InvalidUpdateError
from perdure.graph.spec import GraphSpec, NodeSpec


def next_tasks(live: Live, spec: GraphSpec, checkpoint: str, ns: str) -> list[Task]:
    """The tasks of the next step, in the order in which their writes will be applied."""
    nodes = spec.nodes
    tasks = [
        Task(nodes[name], checkpoint, ns, None, None)
        for name in _candidates(live, spec)
        if is_due(live, nodes[name])
    ]
    for index, send in enumerate(live.sends()):
        node = nodes.get(send.node)
        if node is None:
            raise InvalidUpdateError(
                f"Send to {send.node!r}, which is not a node of {spec.name!r}. {_known(spec)}"
            )
        tasks.append(Task(node, checkpoint, ns, index, send.arg))
    return tasks


def _candidates(live: Live, spec: GraphSpec) -> Iterable[str]:
    if live.updated is None:
        return sorted(spec.nodes)
    found: set[str] = set()
    by_trigger = spec.trigger_to_nodes
    for channel in live.updated:
        names = by_trigger.get(channel)
        if names is not None:
            found.update(names)
    return sorted(found) if len(found) > 1 else found


def is_due(live: Live, node: NodeSpec) -> bool:
    """Whether one of the node's triggers fired since it last ran."""
    seen = live.seen.get(node.name)
    for trigger in node.triggers:
        version = live.versions.get(trigger)
        if version is None or not live.channels[trigger].is_available():
            continue
        if seen is None:
            return True
        last = seen.get(trigger)
        if last is None or version > last:
            return True
    return False


def _known(spec: GraphSpec) -> str:
    return (
        "Its nodes are: "
        + ", ".join(repr(name) for name, node in spec.nodes.items() if not node.hidden)
        + "."
    )
