"""What keeps a saver small: `prune`, `delete_for_runs`; and `copy_thread`."""

from __future__ import annotations

from typing import Any

from perdure.testing.savers.kit import (
    Config,
    Saver,
    chain,
    checkpoint_with,
    config_of,
    found,
    id_of,
    logs,
    metadata,
)

__all__ = [
    "a_copied_thread_is_equal_and_independent",
    "checkpoints_of_runs_can_be_removed",
    "pruning_can_remove_everything",
    "pruning_keeps_the_newest_of_each_namespace",
]


def pruning_keeps_the_newest_of_each_namespace(saver: Saver) -> None:
    """With its values and writes; the thread goes on."""
    *_, newest = chain(saver, 5)
    *_, child = chain(saver, 3, ns="child")
    chain(saver, 2, thread="other")
    saver.put_writes(newest, [("a", 1)], "task")
    before = found(saver, newest)

    saver.prune(["t", "never"])

    assert {id_of(at.config) for at in saver.list({"configurable": {"thread_id": "t"}})} == {
        id_of(newest),
        id_of(child),
    }
    assert found(saver, newest) == before
    assert logs(saver, config_of("other")) == [2, 1]
    log = before.checkpoint["channel_values"]["log"]
    after = saver.put(
        newest, checkpoint_with({"log": 9, "still": 1}, log=[*log, "on"]), metadata(9), {"log": 9}
    )
    assert found(saver, after).checkpoint["channel_values"] == {"log": [*log, "on"], "still": "s" * 200}


def pruning_can_remove_everything(saver: Saver) -> None:
    """Strategy `delete`; no threads is nothing."""
    chain(saver, 2)
    chain(saver, 1, thread="other")

    saver.prune([], strategy="delete")
    saver.prune(["t"], strategy="delete")

    assert [at.config["configurable"]["thread_id"] for at in saver.list(None)] == ["other"]


def checkpoints_of_runs_can_be_removed(saver: Saver) -> None:
    """In all threads; what rests on them stays readable, and a chain that lost its newest goes on."""
    log = ["x" * 100]
    at = config_of()
    made: list[Config] = []
    for step, run in enumerate(["r1", "r2", "r1", "r3"]):
        log = [*log, run]
        at = saver.put(
            at, checkpoint_with({"log": step + 1}, log=log), metadata(step, run_id=run), {"log": step + 1}
        )
        saver.put_writes(at, [("w", step)], "task")
        made.append(at)
    chain(saver, 1, thread="other", run_id="r3")

    saver.delete_for_runs([])
    saver.delete_for_runs(["r1", "r3", "never"])

    (left,) = saver.list(None)
    assert id_of(left.config) == id_of(made[1])
    assert left.checkpoint["channel_values"] == {"log": ["x" * 100, "r1", "r2"]}
    assert left.pending_writes == [("task", "w", 1)]
    after = saver.put(
        made[1], checkpoint_with({"log": 9}, log=["x" * 100, "r1", "r2", "r4"]), metadata(9), {"log": 9}
    )
    assert found(saver, after).checkpoint["channel_values"] == {"log": ["x" * 100, "r1", "r2", "r4"]}


def a_copied_thread_is_equal_and_independent(saver: Saver) -> None:
    """Checkpoints, order, metadata, writes; then both go on by themselves."""
    *_, newest = chain(saver, 4, color="red")
    chain(saver, 2, ns="child")
    saver.put_writes(newest, [("a", 1)], "task")

    saver.copy_thread("never", "copy")
    assert saver.get_tuple(config_of("copy")) is None
    saver.copy_thread("t", "copy")

    def all_of(thread: str) -> list[Any]:
        return [
            (at.config["configurable"]["checkpoint_ns"], at.checkpoint, at.metadata, at.pending_writes)
            for at in saver.list({"configurable": {"thread_id": thread}})
        ]

    before = all_of("t")
    assert len(before) == 6
    assert all_of("copy") == before
    log = found(saver, newest).checkpoint["channel_values"]["log"]
    there = config_of("copy", id=id_of(newest))
    saver.put(there, checkpoint_with({"log": 9}, log=[*log, "copy"]), metadata(4), {"log": 9})
    saver.put(newest, checkpoint_with({"log": 9}, log=[*log, "original"]), metadata(4), {"log": 9})
    assert found(saver, config_of("copy")).checkpoint["channel_values"]["log"] == [*log, "copy"]
    assert found(saver, config_of()).checkpoint["channel_values"]["log"] == [*log, "original"]
    saver.delete_thread("t")
    assert len(all_of("copy")) == 7
