"""The same, asynchronous: both colours of a saver do one thing."""

from __future__ import annotations

import asyncio

from perdure.testing.savers.kit import Saver, chain, checkpoint_with, config_of, metadata

__all__ = [
    "async_methods_do_what_blocking_ones_do",
    "many_tasks_may_write_at_once",
    "upkeep_can_be_awaited",
]


async def async_methods_do_what_blocking_ones_do(saver: Saver) -> None:
    """Put, writes, get, list, delete from an event loop."""
    state = checkpoint_with({"a": 1}, a=["x"])
    config = await saver.aput(config_of(), state, metadata(0, color="red"), {"a": 1})
    await saver.aput_writes(config, [("a", "y")], "task")

    at = await saver.aget_tuple(config)

    assert at is not None
    assert at.checkpoint["channel_values"] == {"a": ["x"]}
    assert at.pending_writes == [("task", "a", "y")]
    assert await saver.aget(config) == at.checkpoint
    assert [each async for each in saver.alist(config_of(), filter={"color": "red"}, limit=5)] == [at]
    assert [each async for each in saver.alist(config_of(), before=config)] == []
    history = await saver.aget_delta_channel_history(config=config, channels=["a"])
    assert history == {"a": {"writes": []}}
    await saver.adelete_thread("t")
    assert await saver.aget_tuple(config) is None


async def many_tasks_may_write_at_once(saver: Saver) -> None:
    """Threads of their own, and one thread that all put to."""
    base = await saver.aput(
        config_of("shared"), checkpoint_with({"a": 1}, a=["x" * 100]), metadata(), {"a": 1}
    )

    async def one(number: int) -> None:
        at = config_of(f"t{number}")
        for step in range(3):
            at = await saver.aput(
                at, checkpoint_with({"n": step + 1}, n=[number] * step), metadata(step), {"n": step + 1}
            )
        await saver.aput(base, checkpoint_with({"a": 2}, a=["x" * 100, number]), metadata(1), {"a": 2})

    await asyncio.gather(*(one(number) for number in range(16)))

    for number in range(16):
        at = await saver.aget_tuple(config_of(f"t{number}"))
        assert at is not None
        assert at.checkpoint["channel_values"]["n"] == [number] * 2
    children = [at.checkpoint["channel_values"]["a"] async for at in saver.alist(config_of("shared"))]
    assert sorted(value[1] for value in children if len(value) == 2) == list(range(16))


async def upkeep_can_be_awaited(saver: Saver) -> None:
    """Copy, prune, delete by runs."""
    chain(saver, 3, run_id="r")

    await saver.acopy_thread("t", "copy")
    await saver.aprune(["copy"])

    assert len([each async for each in saver.alist(config_of("copy"))]) == 1
    await saver.adelete_for_runs(["r"])
    assert [each async for each in saver.alist(None)] == []
