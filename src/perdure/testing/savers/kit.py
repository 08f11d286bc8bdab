"""The words of the checks: configs, checkpoints and chains in short, and what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from perdure.checkpoint.base import (
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    empty_checkpoint,
)

__all__ = [
    "Config",
    "Saver",
    "chain",
    "checkpoint_with",
    "config_of",
    "found",
    "id_of",
    "logs",
    "metadata",
]

Saver = BaseCheckpointSaver[Any]
Config = dict[str, Any]


def config_of(thread: str = "t", ns: str = "", id: str | None = None) -> Config:
    """A config that addresses a chain, or a checkpoint of it."""
    configurable = {"thread_id": thread, "checkpoint_ns": ns}
    return {"configurable": configurable if id is None else {**configurable, "checkpoint_id": id}}


def checkpoint_with(versions: Mapping[str, Any], **values: Any) -> Checkpoint:
    """A new checkpoint with these channels."""
    made = empty_checkpoint()
    made["channel_versions"] = dict(versions)
    made["channel_values"] = values
    return made


def metadata(step: int = 0, **more: Any) -> CheckpointMetadata:
    """Metadata of a step."""
    return cast("CheckpointMetadata", {"source": "loop", "step": step, "parents": {}, **more})


def id_of(config: Mapping[str, Any] | None) -> str:
    """The checkpoint that a config addresses."""
    assert config is not None
    return config["configurable"]["checkpoint_id"]


def found(saver: Saver, config: Config) -> CheckpointTuple:
    """What is there."""
    at = saver.get_tuple(config)
    assert at is not None, f"nothing is found at {config}"
    return at


def chain(saver: Saver, count: int, thread: str = "t", ns: str = "", **more: Any) -> list[Config]:
    """A chain of checkpoints whose list `log` grows; their configs, oldest first."""
    at = config_of(thread, ns)
    made: list[Config] = []
    for step in range(count):
        log = [f"{thread}{ns}{n} " + "x" * 60 for n in range(step + 1)]
        state = checkpoint_with({"log": step + 1, "still": 1}, log=log, still="s" * 200)
        new: dict[str, Any] = {"log": step + 1, "still": 1} if step == 0 else {"log": step + 1}
        at = saver.put(at, state, metadata(step, **more), new)
        made.append(at)
    return made


def logs(saver: Saver, config: Config) -> list[int]:
    """The lengths of `log` in all that is listed."""
    return [len(at.checkpoint["channel_values"]["log"]) for at in saver.list(config)]
