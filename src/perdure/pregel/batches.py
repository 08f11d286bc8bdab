"""Several inputs at once: different threads side by side, one thread's inputs one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, cast

from perdure.engine.settings import checked_config, positive

if TYPE_CHECKING:
    from perdure.pregel.compiled import CompiledGraph

_Lane = list[int]


def _configs(config: Any, number: int) -> list[Mapping[str, Any] | None]:
    if isinstance(config, list):
        configs = cast("list[Mapping[str, Any] | None]", config)
        if len(configs) != number:
            raise ValueError(
                f"{number} inputs and {len(configs)} configs: give one config, or one for each input."
            )
        return [checked_config(one) for one in configs]
    return [checked_config(config)] * number


def _lanes(configs: Sequence[Mapping[str, Any] | None]) -> list[_Lane]:
    """Indexes that must follow each other, because they name one thread."""
    lanes: dict[object, _Lane] = {}
    for index, config in enumerate(configs):
        configurable: Mapping[str, Any] = (config or {}).get("configurable") or {}
        thread = configurable.get("thread_id")
        lanes.setdefault(("thread", str(thread)) if thread is not None else index, []).append(index)
    return list(lanes.values())


def _width(configs: Sequence[Mapping[str, Any] | None], lanes: int) -> int:
    limits = [
        positive("max_concurrency", config["max_concurrency"])
        for config in configs
        if config and config.get("max_concurrency") is not None
    ]
    return max(1, min([lanes, *limits, 32]))


def batch(
    graph: CompiledGraph[Any, Any, Any, Any],
    inputs: Sequence[Any],
    config: Any,
    catch: bool,
    kwargs: dict[str, Any],
) -> list[Any]:
    """Blocking: a thread a lane."""
    if not inputs:
        return []
    configs = _configs(config, len(inputs))
    lanes = _lanes(configs)
    results: list[Any] = [None] * len(inputs)

    def run(lane: _Lane) -> None:
        for index in lane:
            try:
                results[index] = graph.invoke(inputs[index], configs[index], **kwargs)
            except Exception as error:
                if not catch:
                    raise
                results[index] = error

    with ThreadPoolExecutor(_width(configs, len(lanes)), "perdure-batch") as pool:
        for future in [pool.submit(copy_context().run, run, lane) for lane in lanes]:
            future.result()
    return results


async def abatch(
    graph: CompiledGraph[Any, Any, Any, Any],
    inputs: Sequence[Any],
    config: Any,
    catch: bool,
    kwargs: dict[str, Any],
) -> list[Any]:
    """Async: a task a lane."""
    if not inputs:
        return []
    configs = _configs(config, len(inputs))
    lanes = _lanes(configs)
    gate = asyncio.Semaphore(_width(configs, len(lanes)))
    results: list[Any] = [None] * len(inputs)

    async def run(lane: _Lane) -> None:
        async with gate:
            for index in lane:
                try:
                    results[index] = await graph.ainvoke(inputs[index], configs[index], **kwargs)
                except Exception as error:
                    if not catch:
                        raise
                    results[index] = error

    await asyncio.gather(*(run(lane) for lane in lanes))
    return results
