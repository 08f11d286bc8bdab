"""Whole threads of any saver: lists of their checkpoints, what became of a channel, deletion."""

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
    "a_deleted_thread_is_gone_and_others_stay",
    "a_thread_can_grow_while_it_is_listed",
    "lists_are_newest_first_and_can_be_cut",
    "lists_can_be_filtered_by_any_metadata",
    "lists_cover_all_namespaces_or_all_threads_if_none_is_named",
    "the_history_of_a_channel_begins_at_the_value_that_was_stored",
    "versions_grow",
]


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
