"""One checkpoint of any saver: values, versions, parents, branches, metadata, and what its tasks have written."""

from __future__ import annotations

from typing import Any

from perdure.errors import EncodingError
from perdure.testing.savers.kit import Saver, chain, checkpoint_with, config_of, found, id_of, metadata

__all__ = [
    "a_put_checkpoint_is_read_back_whole",
    "a_value_that_cannot_be_saved_is_refused",
    "branches_do_not_disturb_each_other",
    "channels_that_did_not_change_keep_their_value",
    "metadata_come_back_with_scalars_of_the_config",
    "the_config_of_a_put_is_the_parent_of_the_next",
    "the_first_of_two_equal_writes_stands_and_the_last_of_special_ones",
    "versions_may_be_numbers_or_text",
    "what_is_not_there_is_none",
    "what_was_read_is_a_copy",
    "without_an_id_the_newest_of_the_namespace_is_found",
    "writes_come_back_with_their_task",
]


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
