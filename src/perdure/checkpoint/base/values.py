"""What a saver takes and gives: a checkpoint, its metadata, the two together, writes of an unfinished step.

Plain mappings, so that a saver of anybody's can keep them. Imports `clock`; everybody may come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, NotRequired, Protocol, TypeAlias, cast

from typing_extensions import TypedDict

from perdure import clock

__all__ = [
    "LATEST_VERSION",
    "ChannelVersions",
    "Checkpoint",
    "CheckpointMetadata",
    "CheckpointTuple",
    "DeltaChannelHistory",
    "PendingWrite",
    "RunnableConfig",
    "copy_checkpoint",
    "create_checkpoint",
    "empty_checkpoint",
]

LATEST_VERSION: Final = 4
"""The version of checkpoints that Perdure writes, as `v`."""

RunnableConfig: TypeAlias = Mapping[str, Any]
"""A config as users write it; savers read `configurable` and `metadata`."""

PendingWrite: TypeAlias = tuple[str, str, Any]
"""Task id, channel, value."""

ChannelVersions: TypeAlias = dict[str, str | int | float]
"""A version for each channel; versions of one channel can be compared, and grow."""


class Checkpoint(TypedDict):
    """A thread's state after a step.

    Attributes:
        v: the version of this layout.
        id: unique; ids of a thread sort by the time they were made.
        ts: when, in ISO 8601.
        channel_values: what each channel saved.
        channel_versions: the version of each channel.
        versions_seen: for each node, the versions of its channels that it has reacted to.
        updated_channels: the channels that this step changed, where known.
    """

    v: int
    id: str
    ts: str
    channel_values: dict[str, Any]
    channel_versions: ChannelVersions
    versions_seen: dict[str, ChannelVersions]
    updated_channels: list[str] | None


class CheckpointMetadata(TypedDict, total=False):
    """What is known about a checkpoint, besides its content. Programs add keys of their own.

    Attributes:
        source: what made it: new input, a step of the loop, `update_state`, or a copy of another checkpoint.
        step: -1 for a thread's first input, 0 for its first step, and so on.
        parents: the checkpoints of the enclosing graphs, by namespace.
        run_id: the run that made it.
        counters_since_delta_snapshot: kept for checkpoints of other programs; Perdure does not need it.
    """

    source: Literal["input", "loop", "update", "fork"]
    step: int
    parents: dict[str, str]
    run_id: str
    counters_since_delta_snapshot: dict[str, tuple[int, int]]


class CheckpointTuple(NamedTuple):
    """A checkpoint with everything that belongs to it.

    Attributes:
        config: addresses it.
        checkpoint: the state.
        metadata: what is known about it.
        parent_config: addresses the checkpoint it was made from; that one may have been removed since.
        pending_writes: what tasks of the step after it have written.
    """

    config: dict[str, Any]
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    parent_config: dict[str, Any] | None = None
    pending_writes: list[PendingWrite] | None = None


class DeltaChannelHistory(TypedDict):
    """How a channel came to its value: what was last stored of it, and the writes since, oldest first.

    Attributes:
        writes: of the ancestors, up to and with the one that stores `seed`.
        seed: the value that the nearest ancestor stores; missing if none does.
    """

    writes: list[PendingWrite]
    seed: NotRequired[Any]


class _Channel(Protocol):
    def checkpoint(self) -> Any: ...


def empty_checkpoint() -> Checkpoint:
    """A checkpoint of nothing, with a new id, made now."""
    return Checkpoint(
        v=LATEST_VERSION,
        id=str(clock.uuid6()),
        ts=clock.now().isoformat(),
        channel_values={},
        channel_versions={},
        versions_seen={},
        updated_channels=None,
    )


def copy_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint in containers of its own; the channels' values are shared."""
    copied: dict[str, Any] = dict(checkpoint)
    for name in ("channel_values", "channel_versions"):
        copied[name] = dict(copied.get(name) or {})
    seen: dict[str, ChannelVersions] = copied.get("versions_seen") or {}
    copied["versions_seen"] = {node: dict(versions) for node, versions in seen.items()}
    updated: list[str] | None = copied.get("updated_channels")
    copied["updated_channels"] = None if updated is None else list(updated)
    return cast("Checkpoint", copied)


def create_checkpoint(
    checkpoint: Checkpoint, channels: Mapping[str, _Channel] | None, step: int, *, id: str | None = None
) -> Checkpoint:
    """The successor of a checkpoint: a new id, made now, with what the channels now save.

    Args:
        checkpoint: the one before; its versions are taken over.
        channels: gives the values, of channels that have a version; None: the values stay.
        step: the step's number; becomes a part of the new id.
        id: the new id, if it is known already.
    """
    made = copy_checkpoint(checkpoint)
    made["v"] = LATEST_VERSION
    made["id"] = str(clock.uuid6(clock_seq=step)) if id is None else id
    made["ts"] = clock.now().isoformat()
    if channels is not None:
        given = {
            name: channel.checkpoint()
            for name, channel in channels.items()
            if name in made["channel_versions"]
        }
        made["channel_values"] = {name: value for name, value in given.items() if not _is_missing(value)}
    return made


def _is_missing(value: object) -> bool:
    # The sentinel lives in a higher room.
    kind = type(value)
    return kind.__name__ == "Missing" and kind.__module__ == "perdure.channels.base"
