"""What a step's writes make of the state. Pure: no clock, no I/O; a bad write raises here, before anything is durable.

After an error the state must be thrown away: some of its channels may have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from perdure.constants import TASKS
from perdure.engine.state import Live, Task
from perdure.errors import InvalidUpdateError
from perdure.graph.spec import GraphSpec, Write
from perdure.types import Send


class Applied(NamedTuple):
    """What a step changed."""

    version: Any  # of all channels it changed
    changed: set[str]
    seen: dict[str, dict[str, Any]]  # what its nodes have seen, as far as it is new


def count_up(version: Any) -> Any:
    """The version after this one; versions of other savers (`"%032d.<random>"`, floats) go on in their own form."""
    if type(version) is int:
        return version + 1
    if version is None:
        return 1
    if isinstance(version, str):
        return f"{int(version.partition('.')[0]) + 1:032d}.0000000000000000"
    return int(version) + 1


def apply(
    live: Live,
    spec: GraphSpec,
    done: Sequence[tuple[Task, Iterable[Write]]],
    next_version: Callable[[Any], Any] = count_up,
    extra: Sequence[Write] = (),
    *,
    within: bool = False,
) -> Applied:
    """Applies the writes of `done` (tasks in order) and `extra` to `live`, together, as one step.

    `within`: they come into an unfinished step; what is due in it stays due, what lives for one step stays.

    Raises:
        InvalidUpdateError: writes contradict each other, or go where nothing is.
    """
    channels, versions = live.channels, live.versions
    version = next_version(live.top)
    changed: set[str] = set()
    seen_now: dict[str, dict[str, Any]] = {}
    grouped: dict[str, list[Any]] = {}
    for task, writes in done:
        if task.index is None:
            for trigger in task.node.triggers:
                if trigger in versions and channels[trigger].consume():
                    changed.add(trigger)
        for channel, value in writes:
            if channel in grouped:
                grouped[channel].append(value)
            else:
                grouped[channel] = [value]
    for channel, value in extra:
        grouped.setdefault(channel, []).append(value)
    for name, values in grouped.items():
        channel = channels.get(name)
        if channel is None:
            raise _nowhere(name, spec, done)
        if name == TASKS:
            _check_sends(values, spec)
        try:
            if channel.update(values):
                changed.add(name)
        except TypeError as error:
            raise _unfit(name, values, done, error) from error
        except Exception as error:
            error.add_note(
                f"While state key {name!r} took what {_writers(name, done)} wrote. Nothing was written."
            )
            raise
    if (done or extra) and not within:
        _close(live, grouped, changed)
    for task, _ in done:  # after everything that may raise
        if task.index is None:
            _see(live, task, seen_now)
    for name in changed:
        versions[name] = version
    if changed:
        live.top = version
    live.updated = None if within else changed
    if within:
        live.open = [name for name in live.unsteady if channels[name].is_available()]
        return Applied(version, changed, seen_now)
    if live.finishing and (done or extra) and not live.sends() and not _fires(live, spec, changed):
        for name in live.finishing:
            if channels[name].finish():
                versions[name] = version
                live.top = version
                changed.add(name)
    return Applied(version, changed, seen_now)


def _close(live: Live, grouped: Mapping[str, Any], changed: set[str]) -> None:
    """Tells the channels that may change without a write that the step is over."""
    channels = live.channels
    still: list[str] = []
    for name in live.open:
        if name not in grouped:
            channel = channels[name]
            if channel.update(()):
                changed.add(name)
            if channel.is_available():
                still.append(name)
    unsteady = live.unsteady
    live.open = still + [name for name in grouped if name in unsteady]


def _fires(live: Live, spec: GraphSpec, changed: Iterable[str]) -> bool:
    """Whether a change makes a node due: an emptied trigger is a change, too."""
    return any(name in spec.trigger_to_nodes and live.channels[name].is_available() for name in changed)


def _see(live: Live, task: Task, seen_now: dict[str, dict[str, Any]]) -> None:
    versions = live.versions
    name = task.name
    seen = live.seen.get(name)
    if seen is None:
        seen = live.seen[name] = {}
    for trigger in task.node.triggers:
        version = versions.get(trigger)
        if version is not None and seen.get(trigger) != version:
            seen[trigger] = version
            seen_now.setdefault(name, {})[trigger] = version


def _check_sends(values: Iterable[Any], spec: GraphSpec) -> None:
    for send in values:
        if not isinstance(send, Send):
            raise InvalidUpdateError(f"Expected a Send among the pending tasks, got {send!r}")
        if send.node not in spec.nodes:
            raise InvalidUpdateError(
                f"Send to {send.node!r}, which is not a node of {spec.name!r}. Its nodes are: {_names(spec)}."
            )


def _nowhere(
    channel: str, spec: GraphSpec, done: Sequence[tuple[Task, Iterable[Write]]]
) -> InvalidUpdateError:
    writers = [task.name for task, writes in done if any(name == channel for name, _ in writes)]
    who = f"Node {writers[0]!r}" if writers else "An update"
    if channel.startswith("branch:to:"):
        target = channel.removeprefix("branch:to:")
        return InvalidUpdateError(
            f"{who} goes to {target!r}, which is not a node of {spec.name!r}. Its nodes are: {_names(spec)}."
        )
    return InvalidUpdateError(f"{who} writes to {channel!r}, which is not a channel of {spec.name!r}.")


def _unfit(
    name: str, values: Sequence[Any], done: Sequence[tuple[Task, Iterable[Write]]], error: TypeError
) -> InvalidUpdateError:
    """The error for a write that the key's reducer cannot take."""
    kinds = ", ".join(dict.fromkeys(type(value).__name__ for value in values))
    return InvalidUpdateError(
        f"State key {name!r} cannot take what {_writers(name, done)} wrote (type {kinds}): its reducer raised"
        f" TypeError: {error}. Nothing was written. Return what the reducer takes, such as a list for a list."
    )


def _writers(name: str, done: Sequence[tuple[Task, Iterable[Write]]]) -> str:
    nodes = [
        task.name
        for task, writes in done
        if not task.node.hidden and any(channel == name for channel, _ in writes)
    ]
    return " and ".join(f"node {node!r}" for node in dict.fromkeys(nodes)) or "the input"


def _names(spec: GraphSpec) -> str:
    return ", ".join(repr(name) for name, node in spec.nodes.items() if not node.hidden)
