"""The run's settings, read once from the config mapping, at the door; the engine never reads a mapping again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from perdure.constants import sounds_secret
from perdure.engine.context import TASK_KEY, TaskContext
from perdure.engine.observe import joined_callbacks

RECURSION_LIMIT: Final = 10007
_COORDINATES: Final = frozenset(
    {"thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map", "task_id", TASK_KEY, "run_id"}
)
_SCALARS: Final = (str, int, float, bool)
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Settings(NamedTuple):
    """What a caller asked of a run, apart from its input."""

    thread: str | None = None
    given_thread: bool = False  # whether `configurable` was there at all
    ns: str = ""
    checkpoint: str | None = None
    configurable: Mapping[str, Any] = _NOTHING  # as given, coordinates too
    metadata: Mapping[str, Any] = _NOTHING
    tags: tuple[str, ...] = ()
    callbacks: Any = None
    recursion_limit: int = RECURSION_LIMIT
    max_concurrency: int | None = None
    run_id: str | None = None
    run_name: str | None = None
    parent: TaskContext | None = None  # of a nested run

    def saved_metadata(self) -> dict[str, Any]:
        """Scalars of `metadata` and `configurable` that every checkpoint of the run carries; no secrets of the latter."""
        found = {
            key: value
            for source in (self.configurable, self.metadata)
            for key, value in source.items()
            if isinstance(value, _SCALARS)
            and not key.startswith(("__", "langgraph_"))
            and key not in _COORDINATES
            and not (key in self.configurable and sounds_secret(key))
        }
        run_id = self.run_id if self.run_id is not None else self.metadata.get("run_id")
        if run_id is not None:
            found["run_id"] = str(run_id)
        return found


@cache
def default_recursion_limit() -> int:
    """The limit of runs that name none: `LANGGRAPH_DEFAULT_RECURSION_LIMIT` (or `PERDURE_...`), else 10007.

    The environment is read once, at the first run.
    """
    for name in ("PERDURE_DEFAULT_RECURSION_LIMIT", "LANGGRAPH_DEFAULT_RECURSION_LIMIT"):
        text = os.environ.get(name)
        if text:
            return int(text)
    return RECURSION_LIMIT


def merge_configs(*configs: Mapping[str, Any] | None) -> dict[str, Any]:
    """One config: tags and callback lists concatenate, metadata and configurable merge by key, later wins."""
    given = [config for config in configs if config]
    if len(given) < 2:
        return dict(given[0]) if given else {}
    merged: dict[str, Any] = {}
    for config in given:
        for key, value in config.items():
            before = merged.get(key)
            if value is None:
                continue
            if key in ("metadata", "configurable") and before is not None:
                merged[key] = {**before, **value}
            elif key == "tags" and before is not None:
                merged[key] = [*before, *(tag for tag in value if tag not in before)]
            elif key == "callbacks" and before is not None:
                merged[key] = joined_callbacks(before, value)
            else:
                merged[key] = value
    return merged


def read_settings(config: Mapping[str, Any]) -> Settings:
    """The settings that a (merged) config means. Raises ValueError for a recursion limit below 1."""
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    thread = configurable.get("thread_id")
    limit = config.get("recursion_limit")
    limit = default_recursion_limit() if limit is None else int(limit)
    if limit < 1:
        raise ValueError("recursion_limit must be at least 1")
    tags: Sequence[str] = config.get("tags") or ()
    run_id = config.get("run_id") or configurable.get("run_id")
    concurrency = config.get("max_concurrency")
    return Settings(
        thread=None if thread is None else str(thread),
        given_thread=bool(configurable),
        ns=configurable.get("checkpoint_ns") or "",
        checkpoint=configurable.get("checkpoint_id"),
        configurable=configurable,
        metadata=config.get("metadata") or {},
        tags=tuple(tags),
        callbacks=config.get("callbacks"),
        recursion_limit=limit,
        max_concurrency=None if concurrency is None else max(1, int(concurrency)),
        run_id=None if run_id is None else str(run_id),
        run_name=config.get("run_name"),
        parent=configurable.get(TASK_KEY),
    )
