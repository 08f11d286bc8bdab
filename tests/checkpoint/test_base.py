"""The values that cross the interface of a saver."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.channels import LastValue
from perdure.checkpoint.base import (
    EXCLUDED_METADATA_KEYS,
    LATEST_VERSION,
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    copy_checkpoint,
    create_checkpoint,
    empty_checkpoint,
    get_checkpoint_id,
    get_checkpoint_metadata,
    get_serializable_checkpoint_metadata,
)
from perdure.checkpoint.base.id import uuid6
from perdure.checkpoint.serde.jsonplus import JsonPlusSerializer


def test_an_empty_checkpoint_is_new_and_of_now() -> None:
    first, second = empty_checkpoint(), empty_checkpoint()

    assert first["v"] == LATEST_VERSION == 4
    assert first["id"] < second["id"]
    assert first["ts"].endswith("+00:00")
    assert (first["channel_values"], first["channel_versions"], first["versions_seen"]) == ({}, {}, {})
    assert uuid6().version == 6


def test_a_copy_shares_values_and_no_containers() -> None:
    state = empty_checkpoint()
    value = ["x"]
    state["channel_values"]["a"] = value
    state["versions_seen"]["node"] = {"a": 1}

    copied = copy_checkpoint(state)
    copied["channel_values"]["b"] = 1
    copied["versions_seen"]["node"]["a"] = 2

    assert copied["channel_values"]["a"] is value
    assert state["channel_values"] == {"a": value}
    assert state["versions_seen"] == {"node": {"a": 1}}


def test_a_successor_takes_values_of_channels_that_have_a_version() -> None:
    state = empty_checkpoint()
    state["channel_versions"] = {"a": 1, "unset": 1}
    state["channel_values"] = {"a": "old"}
    given, unset, other = LastValue(str, "a"), LastValue(str, "unset"), LastValue(str, "other")
    given.update(["new"])
    other.update(["?"])

    made = create_checkpoint(state, {"a": given, "unset": unset, "other": other}, 3)
    same = create_checkpoint(state, None, 3, id="mine")

    assert made["channel_values"] == {"a": "new"}
    assert made["id"] > state["id"]
    assert (same["id"], same["channel_values"]) == ("mine", {"a": "old"})


@pytest.mark.fact(137)
@pytest.mark.fact(83)
def test_metadata_take_scalars_of_the_config_and_keep_their_own() -> None:
    config: dict[str, Any] = {
        "configurable": {
            "thread_id": "t",
            "checkpoint_ns": "",
            "user": "a\0da",
            "n": 1,
            "deep": [1],
            "__x": 1,
        },
        "metadata": {
            "source": "other",
            "step": 9,
            "parents": {"x": "y"},
            "run_id": "r",
            "langgraph_node": "n",
        },
    }

    merged = get_checkpoint_metadata(config, {"source": "loop", "step": 2, "parents": {}})

    assert merged == {"source": "loop", "step": 2, "parents": {}, "run_id": "r", "user": "ada", "n": 1}
    assert "writes" not in get_serializable_checkpoint_metadata(config, {"writes": {}})  # type: ignore[typeddict-unknown-key] - of old programs
    assert "thread_id" in EXCLUDED_METADATA_KEYS


def test_the_id_of_a_config_may_stand_under_its_old_name() -> None:
    assert get_checkpoint_id({"configurable": {"checkpoint_id": "a"}}) == "a"
    assert get_checkpoint_id({"configurable": {"thread_ts": "b"}}) == "b"
    assert get_checkpoint_id({"configurable": {}}) is None
    assert get_checkpoint_id({}) is None


def test_special_writes_have_fixed_indexes() -> None:
    assert WRITES_IDX_MAP == {"__error__": -1, "__scheduled__": -2, "__interrupt__": -3, "__resume__": -4}


class Bare(BaseCheckpointSaver[int]):
    """Implements nothing."""


async def test_a_bare_saver_says_what_it_lacks() -> None:
    saver = Bare()

    with pytest.raises(NotImplementedError, match=r"Bare does not implement get_tuple\(\)"):
        saver.get({"configurable": {}})
    with pytest.raises(NotImplementedError, match=r"put\(\)"):
        await saver.aput({}, empty_checkpoint(), {}, {})
    assert saver.config_specs == []


def test_versions_are_counted_and_text_is_refused() -> None:
    saver = Bare()

    assert [saver.get_next_version(None, None), saver.get_next_version(4, None)] == [1, 5]
    with pytest.raises(NotImplementedError, match="text"):
        saver.get_next_version("4", None)  # type: ignore[arg-type] - what is tested


def test_the_default_serializer_comes_when_it_is_asked_for() -> None:
    assert isinstance(Bare().serde, JsonPlusSerializer)


class Untyped:
    """The protocol of long ago."""

    def dumps(self, obj: Any) -> bytes:
        return repr(obj).encode()

    def loads(self, data: bytes) -> Any:
        return data.decode()


def test_a_serializer_with_untyped_methods_is_wrapped() -> None:
    saver = Bare(serde=Untyped())

    assert saver.serde.dumps_typed(1) == ("Untyped", b"1")
    assert saver.serde.loads_typed(("Untyped", b"1")) == "1"


class Elder(BaseCheckpointSaver[int]):
    """`put_writes` of long ago had no path."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def put_writes(self, config: Any, writes: Any, task_id: str) -> None:  # type: ignore[override] - what is tested
        self.seen.append((writes, task_id))


@pytest.mark.fact(135)
async def test_a_saver_of_long_ago_is_called_as_it_wants() -> None:
    saver = Elder()

    await saver.aput_writes({}, [("a", 1)], "task")

    assert saver.seen == [([("a", 1)], "task")]
