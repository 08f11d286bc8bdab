"""The conformance suite that is shipped, over every saver of ours, and over somebody else's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest

from perdure.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    CheckpointTuple,
    copy_checkpoint,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from perdure.checkpoint.face import BackendSaver
from perdure.testing import savers


@pytest.mark.fact(131, 132, 133, 134)
@pytest.mark.parametrize("check", [*savers.CHECKS, *savers.UPKEEP_CHECKS], ids=lambda check: check.__name__)
def test_a_saver_of_ours_conforms(check: Callable[[BackendSaver], None], saver: BackendSaver) -> None:
    check(saver)


@pytest.mark.parametrize("check", savers.ASYNC_CHECKS, ids=lambda check: check.__name__)
async def test_a_saver_of_ours_conforms_from_an_event_loop(
    check: Callable[[BackendSaver], Awaitable[None]], saver: BackendSaver
) -> None:
    await check(saver)


class Minimal(BaseCheckpointSaver[int]):
    """What somebody might write: a dict, blocking methods only."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[tuple[str, str, str], Any] = {}
        self.writes: dict[tuple[str, str, str], dict[tuple[str, int], Any]] = {}

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        place = config["configurable"]
        where = {
            "configurable": {"thread_id": place["thread_id"], "checkpoint_ns": place.get("checkpoint_ns", "")}
        }
        id = get_checkpoint_id(config)
        return next((at for at in self.list(where) if id in (None, at.checkpoint["id"])), None)

    def list(
        self, config: Any, *, filter: Any = None, before: Any = None, limit: int | None = None
    ) -> Iterator[CheckpointTuple]:
        place = (config or {"configurable": {}})["configurable"]
        found = 0
        for key in sorted(self.rows, key=lambda key: key[2], reverse=True):
            packed, metadata, parent = self.rows[key]
            wanted = all(metadata.get(name) == value for name, value in (filter or {}).items())
            here = place.get("thread_id") in (None, key[0]) and place.get("checkpoint_ns") in (None, key[1])
            exact = get_checkpoint_id({"configurable": place}) in (None, key[2])
            older = before is None or key[2] < before["configurable"]["checkpoint_id"]
            if wanted and here and exact and older and (limit is None or found < limit):
                found += 1
                checkpoint = self.serde.loads_typed(packed)
                versions = checkpoint["channel_versions"]
                values = checkpoint["channel_values"]
                checkpoint["channel_values"] = {
                    name: item for name, item in values.items() if name in versions
                }
                writes = sorted(self.writes.get(key, {}).values(), key=lambda row: row[:3])
                config_of = savers.config_of
                yield CheckpointTuple(
                    config_of(*key),
                    checkpoint,
                    metadata,
                    None if parent is None else config_of(key[0], key[1], parent),
                    [(task, channel, self.serde.loads_typed(value)) for _, task, _, channel, value in writes],
                )

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> dict[str, Any]:
        place = config["configurable"]
        key = (place["thread_id"], place.get("checkpoint_ns", ""), checkpoint["id"])
        packed = self.serde.dumps_typed(copy_checkpoint(checkpoint))
        self.rows[key] = (packed, get_checkpoint_metadata(config, metadata), place.get("checkpoint_id"))
        return savers.config_of(*key)

    def put_writes(
        self, config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        place = config["configurable"]
        kept = self.writes.setdefault(
            (place["thread_id"], place["checkpoint_ns"], place["checkpoint_id"]), {}
        )
        for number, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, number)
            if index < 0 or (task_id, index) not in kept:
                kept[task_id, index] = (task_path, task_id, index, channel, self.serde.dumps_typed(value))

    def delete_thread(self, thread_id: str) -> None:
        self.rows = {key: row for key, row in self.rows.items() if key[0] != thread_id}
        self.writes = {key: row for key, row in self.writes.items() if key[0] != thread_id}


@pytest.mark.parametrize("check", savers.CHECKS, ids=lambda check: check.__name__)
def test_a_saver_of_somebody_else_can_conform(check: Callable[[Minimal], None]) -> None:
    check(Minimal())


async def test_its_async_methods_run_the_blocking_ones() -> None:
    await savers.async_methods_do_what_blocking_ones_do(Minimal())
