"""The run's settings, read once from the config mapping, at the door; the engine never reads a mapping again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from operator import index
from types import MappingProxyType
from typing import Any, Final, NamedTuple, SupportsIndex, cast

from perdure.constants import sounds_secret
from perdure.engine.context import TASK_KEY, TaskContext
from perdure.engine.observe import joined_callbacks

RECURSION_LIMIT: Final = 10007
_COORDINATES: Final = frozenset(
    {
        "thread_id",
        "checkpoint_ns",
        "checkpoint_id",
        "if_head",
        "checkpoint_map",
        "task_id",
        TASK_KEY,
        "run_id",
    }
)
_SCALARS: Final = (str, int, float, bool)
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Settings(NamedTuple):
    """What a caller asked of a run, apart from its input."""

    thread: str | None = None
    given_thread: bool = False  # whether `configurable` was there at all
    ns: str = ""
    checkpoint: str | None = None
    if_head: tuple[str | None] | None = None  # what the thread's head has to be, (None,) of a new one
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


def checked_config(config: Any) -> Mapping[str, Any] | None:
    """The config as it was given, if it can be one. Raises TypeError. Asked at every call, so it looks at few things."""
    if config is None:
        return None
    if type(config) is not dict and not isinstance(config, Mapping):
        raise _no_dict("config", config, "{'configurable': {'thread_id': '1'}}")
    given = cast("Mapping[str, Any]", config)
    if (inner := given.get("configurable")) is not None and type(inner) is not dict:
        _check_mapping("configurable", inner, "{'thread_id': '1'}")
    if (inner := given.get("metadata")) is not None and type(inner) is not dict:
        _check_mapping("metadata", inner, "{'user': 'ada'}")
    if (tags := given.get("tags")) is not None:
        _check_tags(tags)
    return given


def _check_mapping(name: str, given: object, example: str) -> None:
    if not isinstance(given, Mapping):
        raise _no_dict(name, given, example)


def _no_dict(name: str, given: object, example: str) -> TypeError:
    return TypeError(
        f"{name}={given!r}: this is a {type(given).__name__}; give a dict, such as {example}. Nothing was run."
    )


def _check_tags(given: object) -> None:
    several = isinstance(given, (list, tuple, set, frozenset))
    if several and all(isinstance(tag, str) for tag in cast("Iterable[object]", given)):
        return
    raise TypeError(f"tags={given!r}: give a list of strings. Nothing was run.")


def positive(name: str, given: object) -> int:
    """The number, if it is an integer of at least 1. Raises ValueError, which names it."""
    if type(given) is int and given >= 1:
        return given
    number = index(given) if isinstance(given, SupportsIndex) and not isinstance(given, bool) else None
    if number is None:
        raise ValueError(f"{name}={given!r}: {name} must be at least 1, an integer. Nothing was run.")
    if number < 1:
        raise ValueError(f"{name}={number}: {name} must be at least 1. Nothing was run.")
    return number


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
    """The settings that a (merged) config means. Raises ValueError for a limit that is no integer of at least 1."""
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    thread = configurable.get("thread_id")
    limit = config.get("recursion_limit")
    limit = default_recursion_limit() if limit is None else positive("recursion_limit", limit)
    tags: Sequence[str] = config.get("tags") or ()
    run_id = config.get("run_id") or configurable.get("run_id")
    concurrency = config.get("max_concurrency")
    return Settings(
        thread=None if thread is None else str(thread),
        given_thread=bool(configurable),
        ns=configurable.get("checkpoint_ns") or "",
        checkpoint=configurable.get("checkpoint_id"),
        if_head=(configurable["if_head"],) if "if_head" in configurable else None,
        configurable=configurable,
        metadata=config.get("metadata") or {},
        tags=tuple(tags),
        callbacks=config.get("callbacks"),
        recursion_limit=limit,
        max_concurrency=None if concurrency is None else positive("max_concurrency", concurrency),
        run_id=None if run_id is None else str(run_id),
        run_name=config.get("run_name"),
        parent=configurable.get(TASK_KEY),
    )
