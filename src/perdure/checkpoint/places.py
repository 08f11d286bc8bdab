"""Where in a database: read once from a config, and written as one. Pure.

Imports `contract`; the other files of this room come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from perdure.checkpoint.base import get_checkpoint_id
from perdure.checkpoint.base.values import RunnableConfig
from perdure.storage.contract import check_thread_id

__all__ = ["Place", "config_of", "place_of", "selection_of"]


class Place(NamedTuple):
    """A chain, and perhaps one checkpoint of it."""

    thread: str
    ns: str
    checkpoint: str | None = None


class Selection(NamedTuple):
    """What to list: None is any."""

    thread: str | None = None
    ns: str | None = None
    checkpoint: str | None = None


def place_of(config: RunnableConfig) -> Place:
    """The place that the config addresses.

    Raises:
        ValueError: it has no `thread_id`, or one that cannot be.
    """
    configurable = _configurable(config)
    thread: object = configurable.get("thread_id")
    if thread is None:
        raise ValueError(
            "The config has no thread_id: say which conversation, {'configurable': {'thread_id': '...'}}. Nothing was done."
        )
    return Place(
        check_thread_id(str(thread)), str(configurable.get("checkpoint_ns") or ""), get_checkpoint_id(config)
    )


def selection_of(config: RunnableConfig | None) -> Selection:
    """What the config selects: a config without a namespace, or none at all, selects more."""
    if config is None:
        return Selection()
    configurable = _configurable(config)
    thread: object = configurable.get("thread_id")
    ns: object = configurable.get("checkpoint_ns")
    return Selection(
        None if thread is None else str(thread), None if ns is None else str(ns), get_checkpoint_id(config)
    )


def _configurable(config: RunnableConfig) -> Mapping[str, Any]:
    found: object = config.get("configurable") if isinstance(config, Mapping) else config  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ValueError(  # noqa: TRY004 - as for other configs that cannot be
            f"config={config!r} is no config: write {{'configurable': {{'thread_id': '...'}}}}. Nothing was done."
        )
    return cast("Mapping[str, Any]", found)


def config_of(thread: str, ns: str, checkpoint: str) -> dict[str, Any]:
    """The config that addresses a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint}}
