"""What of a run's config becomes metadata of its checkpoints. Pure; everybody may come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from perdure.checkpoint.base.values import CheckpointMetadata, RunnableConfig
from perdure.constants import sounds_secret

__all__ = [
    "EXCLUDED_METADATA_KEYS",
    "get_checkpoint_id",
    "get_checkpoint_metadata",
    "get_serializable_checkpoint_metadata",
]

EXCLUDED_METADATA_KEYS: Final = frozenset(
    {
        "thread_id",
        "checkpoint_id",
        "checkpoint_ns",
        "checkpoint_map",
        "langgraph_step",
        "langgraph_node",
        "langgraph_triggers",
        "langgraph_path",
        "langgraph_checkpoint_ns",
    }
)
"""Keys of a config that say where a run is, not what it is about."""


def get_checkpoint_id(config: RunnableConfig) -> str | None:
    """The id of the checkpoint that the config addresses; None: the newest."""
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    found: object = configurable.get("checkpoint_id") or configurable.get("thread_ts")  # its name of long ago
    return None if found is None or found == "" else str(found)


def get_checkpoint_metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
    """The metadata, with strings, numbers and booleans of the config's `metadata` and `configurable` added.

    What `metadata` has already stands; coordinates, keys that begin with `__`, and keys of `configurable` that sound like
    secrets (`api_key`, `token`) are left out. Strings lose NUL characters, which databases do not take.
    """
    merged: dict[str, Any] = {key: _without_nul(value) for key, value in metadata.items()}
    configurable: Mapping[str, object] = config.get("configurable") or {}
    for part in ("metadata", "configurable"):
        entries: Mapping[str, object] = config.get(part) or {}
        for key, value in entries.items():
            hidden = key in EXCLUDED_METADATA_KEYS or key.startswith("__")
            # Also where a library copied what is configurable to the config's metadata.
            hidden = hidden or (key in configurable and sounds_secret(key))
            if not hidden and key not in merged and isinstance(value, str | int | float):
                merged[key] = _without_nul(value)
    return cast("CheckpointMetadata", merged)


def get_serializable_checkpoint_metadata(
    config: RunnableConfig, metadata: CheckpointMetadata
) -> CheckpointMetadata:
    """As `get_checkpoint_metadata`, without `writes`: older programs kept whole values under that key."""
    merged = cast("dict[str, Any]", get_checkpoint_metadata(config, metadata))
    merged.pop("writes", None)
    return cast("CheckpointMetadata", merged)


def _without_nul(value: object) -> object:
    return value.replace("\0", "") if isinstance(value, str) else value
