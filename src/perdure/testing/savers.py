"""What every saver has to do, as functions that raise AssertionError.

Give each check a fresh, empty saver. With pytest:

    @pytest.mark.parametrize("check", savers.CHECKS, ids=lambda check: check.__name__)
    def test_my_saver_conforms(check):
        check(MySaver())

`CHECKS` and `ASYNC_CHECKS` are the interface. `UPKEEP_CHECKS` are `delete_for_runs`, `copy_thread`, `prune`: a saver that
lacks them still runs graphs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from perdure.checkpoint.base import (
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    empty_checkpoint,
)
from perdure.errors import EncodingError

__all__ = ["ASYNC_CHECKS", "CHECKS", "UPKEEP_CHECKS"]

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


# ---- one checkpoint


def a_put_checkpoint_is_read_back_whole(saver: Saver) -> None:
    """Values, versions, what was seen, id and time; the config that `put` gives addresses it."""
    state = checkpoint_with({"a": 1, "b": 2}, a=[1, {"x": None}], b="text")
    state["versions_seen"] = {"node": {"a": 1}}
    state["updated_channels"] = ["a", "b"]

    config = saver.put(config_of(), state, metadata(3), {"a": 1, "b": 2})
    at = found(saver, config)

    assert config["configurable"] == {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": state["id"]}
    assert at.config["configurable"] == config["configurable"]
    for key in ("v", "id", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels"):
        assert at.checkpoint.get(key) == state.get(key), f"{key} differs"
    assert at.parent_config is None
    assert not at.pending_writes
    assert saver.get(config) == at.checkpoint


def versions_may_be_numbers_or_text(saver: Saver) -> None:
    """Each comes back as it was."""
    versions: dict[str, Any] = {"i": 7, "f": 1.5, "s": f"{3:032d}.0123"}

    config = saver.put(config_of(), checkpoint_with(versions, i=1, f=2, s=3), metadata(), versions)

    back = found(saver, config).checkpoint["channel_versions"]
    assert back == versions
    assert [type(back[name]) for name in versions] == [int, float, str]


def without_an_id_the_newest_of_the_namespace_is_found(saver: Saver) -> None:
    """By id, not by the order of puts."""
    first, second = checkpoint_with({}), checkpoint_with({})
    saver.put(config_of(), second, metadata(1), {})
    saver.put(config_of(), first, metadata(0), {})
    other = saver.put(config_of(ns="child"), checkpoint_with({}), metadata(), {})

    assert found(saver, config_of()).checkpoint["id"] == max(first["id"], second["id"])
    assert found(saver, config_of(ns="child")).config["configurable"] == other["configurable"]


def the_config_of_a_put_is_the_parent_of_the_next(saver: Saver) -> None:
    """And stays so when it is not in the database."""
    first, second = chain(saver, 2)
    orphan = saver.put(
        config_of(id="1ee00000-0000-6000-8000-000000000000"), checkpoint_with({}), metadata(), {}
    )

    assert id_of(found(saver, second).parent_config) == id_of(first)
    assert id_of(found(saver, orphan).parent_config) == "1ee00000-0000-6000-8000-000000000000"


def channels_that_did_not_change_keep_their_value(saver: Saver) -> None:
    """Whether `put` is handed the value again or not; those without a version are dropped."""
    first = saver.put(
        config_of(), checkpoint_with({"a": 1, "b": 1}, a="x", b="y"), metadata(), {"a": 1, "b": 1}
    )
    second = saver.put(first, checkpoint_with({"a": 2, "b": 1}, a="z", b="y"), metadata(1), {"a": 2})
    third = saver.put(second, checkpoint_with({"b": 1}, b="y", gone="?"), metadata(2), {})

    assert found(saver, first).checkpoint["channel_values"] == {"a": "x", "b": "y"}
    assert found(saver, second).checkpoint["channel_values"] == {"a": "z", "b": "y"}
    assert found(saver, third).checkpoint["channel_values"] == {"b": "y"}


def branches_do_not_disturb_each_other(saver: Saver) -> None:
    """Two children of one checkpoint, each with a list that goes on."""
    *_, base = chain(saver, 3)
    log = found(saver, base).checkpoint["channel_values"]["log"]
    left = saver.put(base, checkpoint_with({"log": 9}, log=[*log, "left"]), metadata(3), {"log": 9})
    right = saver.put(base, checkpoint_with({"log": 9}, log=[*log, "right"]), metadata(3), {"log": 9})
    left = saver.put(left, checkpoint_with({"log": 10}, log=[*log, "left", "more"]), metadata(4), {"log": 10})

    assert found(saver, left).checkpoint["channel_values"]["log"] == [*log, "left", "more"]
    assert found(saver, right).checkpoint["channel_values"]["log"] == [*log, "right"]
    assert found(saver, base).checkpoint["channel_values"]["log"] == log


def what_was_read_is_a_copy(saver: Saver) -> None:
    """Changing it, or what was put, changes nothing that is saved."""
    values = {"a": ["x"]}
    config = saver.put(config_of(), checkpoint_with({"a": 1}, **values), metadata(), {"a": 1})
    values["a"].append("y")
    found(saver, config).checkpoint["channel_values"]["a"].append("z")

    assert found(saver, config).checkpoint["channel_values"] == {"a": ["x"]}


def what_is_not_there_is_none(saver: Saver) -> None:
    """Unknown thread, namespace, id."""
    (config,) = chain(saver, 1)

    assert saver.get_tuple(config_of("other")) is None
    assert saver.get_tuple(config_of(ns="other")) is None
    assert saver.get_tuple(config_of(id="1ee00000-0000-6000-8000-000000000000")) is None
    assert saver.get(config_of("other")) is None
    assert saver.get_tuple(config) is not None


def a_value_that_cannot_be_saved_is_refused(saver: Saver) -> None:
    """When it is written, and nothing is written."""
    try:
        saver.put(config_of(), checkpoint_with({"a": 1}, a=lambda: 1), metadata(), {"a": 1})
    except (EncodingError, TypeError):
        pass
    else:
        raise AssertionError("a function was saved")
    assert saver.get_tuple(config_of()) is None


# ---- metadata


def metadata_come_back_with_scalars_of_the_config(saver: Saver) -> None:
    """From `metadata` and `configurable`, not the coordinates, not what begins with `__`, nothing nested."""
    config = config_of()
    config["configurable"] |= {"user": "ada", "__hidden": 1, "nested": {"a": 1}, "langgraph_step": 4}
    config["metadata"] = {"run_id": "r1", "score": 1.5, "yes": True, "source": "never"}

    saved = saver.put(config, checkpoint_with({}), metadata(2, own={"deep": [1]}), {})

    assert found(saver, saved).metadata == {
        "source": "loop", "step": 2, "parents": {}, "own": {"deep": [1]}, "user": "ada", "run_id": "r1", "score": 1.5,
        "yes": True,
    }  # fmt: skip


# ---- pending writes


def writes_come_back_with_their_task(saver: Saver) -> None:
    """Ordered by path, task and index; they belong to one checkpoint and namespace."""
    first, second = chain(saver, 2)
    elsewhere = chain(saver, 1, ns="child")[0]
    saver.put_writes(first, [("a", 1), ("b", [2])], "task-2", "~b")
    saver.put_writes(first, [("a", 3)], "task-1", "~b")
    saver.put_writes(first, [("c", None)], "task-3", "~a")

    assert found(saver, first).pending_writes == [
        ("task-3", "c", None), ("task-1", "a", 3), ("task-2", "a", 1), ("task-2", "b", [2]),
    ]  # fmt: skip
    assert not found(saver, second).pending_writes
    assert not found(saver, elsewhere).pending_writes


def the_first_of_two_equal_writes_stands_and_the_last_of_special_ones(saver: Saver) -> None:
    """Equal: of one task at one index; errors, interrupts and answers have indexes of their own."""
    (config,) = chain(saver, 1)
    for value in ("first", "last"):
        saver.put_writes(config, [("a", value)], "task")
        for channel in ("__error__", "__interrupt__", "__resume__"):
            saver.put_writes(config, [(channel, value)], "task")

    writes = {channel: value for _, channel, value in found(saver, config).pending_writes or ()}

    assert writes == {"a": "first", "__error__": "last", "__interrupt__": "last", "__resume__": "last"}


# ---- lists


def lists_are_newest_first_and_can_be_cut(saver: Saver) -> None:
    """`limit`, `before`; zero is nothing."""
    configs = chain(saver, 30)
    where = config_of()

    assert logs(saver, where) == list(range(30, 0, -1))
    assert [id_of(at.config) for at in saver.list(where, limit=3)] == [id_of(at) for at in configs[:-4:-1]]
    assert [*saver.list(where, limit=0)] == []
    assert [id_of(at.config) for at in saver.list(where, before=configs[2])] == [
        id_of(configs[1]),
        id_of(configs[0]),
    ]
    assert [id_of(at.config) for at in saver.list(configs[4])] == [id_of(configs[4])]


def lists_cover_all_namespaces_or_all_threads_if_none_is_named(saver: Saver) -> None:
    """A config without a namespace, and no config."""
    chain(saver, 2)
    chain(saver, 2, ns="child")
    chain(saver, 2, thread="other")

    def places(config: Config | None) -> set[tuple[str, str]]:
        places = [at.config["configurable"] for at in saver.list(config)]
        return {(place["thread_id"], place["checkpoint_ns"]) for place in places}

    assert places({"configurable": {"thread_id": "t"}}) == {("t", ""), ("t", "child")}
    assert places(config_of(ns="child")) == {("t", "child")}
    assert places(None) == {("t", ""), ("t", "child"), ("other", "")}
    assert len([*saver.list(None)]) == 6


def lists_can_be_filtered_by_any_metadata(saver: Saver) -> None:
    """Equality on every key given, of the program's own keys, too."""
    for step in range(4):
        saver.put(config_of(), checkpoint_with({}), metadata(step, color="red" if step % 2 else "blue"), {})

    def steps(**filter: Any) -> list[int]:
        return [at.metadata.get("step", -9) for at in saver.list(config_of(), filter=filter)]

    assert steps(color="red") == [3, 1]
    assert steps(color="red", step=1) == [1]
    assert steps(source="loop") == [3, 2, 1, 0]
    assert steps(color="green") == []
    assert [at.metadata.get("step") for at in saver.list(None, filter={"color": "blue"}, limit=1)] == [2]


def a_thread_can_grow_while_it_is_listed(saver: Saver) -> None:
    """What was there when the list began is given once."""
    configs = chain(saver, 12)
    seen: list[str] = []
    for at in saver.list(config_of()):
        seen.append(id_of(at.config))
        saver.put(configs[-1], checkpoint_with({}), metadata(), {})

    assert [id for id in seen if id in {id_of(at) for at in configs}] == [
        id_of(at) for at in reversed(configs)
    ]


# ---- deletion, versions


def a_deleted_thread_is_gone_and_others_stay(saver: Saver) -> None:
    """All its namespaces and writes; an unknown thread is nothing."""
    (config,) = chain(saver, 1)
    chain(saver, 1, ns="child")
    saver.put_writes(config, [("a", 1)], "task")
    (other,) = chain(saver, 1, thread="other")

    saver.delete_thread("t")
    saver.delete_thread("never")

    assert [*saver.list({"configurable": {"thread_id": "t"}})] == []
    assert saver.get_tuple(config) is None
    assert saver.get_tuple(other) is not None
    chain(saver, 1)
    assert not found(saver, config_of()).pending_writes


def versions_grow(saver: Saver) -> None:
    """Each one is greater than the one before."""
    seen: list[Any] = []
    current: Any = None
    for _ in range(12):
        current = saver.get_next_version(current, None)
        assert not seen or current > seen[-1]
        seen.append(current)


def the_history_of_a_channel_begins_at_the_value_that_was_stored(saver: Saver) -> None:
    """Writes of ancestors, oldest first, not those of the checkpoint itself."""
    empty = saver.put(config_of(), checkpoint_with({}), metadata(0), {})
    saver.put_writes(empty, [("a", "w0"), ("n", "n0")], "t0")
    first = saver.put(empty, checkpoint_with({"a": 1}, a="seed"), metadata(1), {"a": 1})
    saver.put_writes(first, [("a", "w1"), ("b", "other"), ("n", "n1")], "t1")
    target = saver.put(first, checkpoint_with({"a": 2}, a="now"), metadata(2), {"a": 2})
    saver.put_writes(target, [("a", "own")], "t2")

    history = saver.get_delta_channel_history(config=target, channels=["a", "n"])

    assert history == {
        "a": {"seed": "seed", "writes": [("t1", "a", "w1")]},
        "n": {"writes": [("t0", "n", "n0"), ("t1", "n", "n1")]},
    }


# ---- upkeep


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


# ---- the same, asynchronous


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
    import asyncio

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


CHECKS: Final[tuple[Callable[[Saver], None], ...]] = (
    a_put_checkpoint_is_read_back_whole,
    versions_may_be_numbers_or_text,
    without_an_id_the_newest_of_the_namespace_is_found,
    the_config_of_a_put_is_the_parent_of_the_next,
    channels_that_did_not_change_keep_their_value,
    branches_do_not_disturb_each_other,
    what_was_read_is_a_copy,
    what_is_not_there_is_none,
    a_value_that_cannot_be_saved_is_refused,
    metadata_come_back_with_scalars_of_the_config,
    writes_come_back_with_their_task,
    the_first_of_two_equal_writes_stands_and_the_last_of_special_ones,
    lists_are_newest_first_and_can_be_cut,
    lists_cover_all_namespaces_or_all_threads_if_none_is_named,
    lists_can_be_filtered_by_any_metadata,
    a_thread_can_grow_while_it_is_listed,
    a_deleted_thread_is_gone_and_others_stay,
    versions_grow,
    the_history_of_a_channel_begins_at_the_value_that_was_stored,
)
UPKEEP_CHECKS: Final[tuple[Callable[[Saver], None], ...]] = (
    pruning_keeps_the_newest_of_each_namespace,
    pruning_can_remove_everything,
    checkpoints_of_runs_can_be_removed,
    a_copied_thread_is_equal_and_independent,
)
ASYNC_CHECKS: Final[tuple[Callable[[Saver], Awaitable[None]], ...]] = (
    async_methods_do_what_blocking_ones_do,
    many_tasks_may_write_at_once,
    upkeep_can_be_awaited,
)
