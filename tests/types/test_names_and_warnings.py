from __future__ import annotations

import warnings

import pytest

from perdure import constants, types
from perdure import warnings as ours
from perdure.types import (
    GraphOutput,
    Interrupt,
    PregelTask,
    RetryPolicy,
    StateSnapshot,
    StateUpdate,
    StreamPart,
    ensure_valid_checkpointer,
)
from perdure.warnings import PerdureDeprecationWarning, deprecated

CONTRACT = [
    "Command",
    "Send",
    "Interrupt",
    "interrupt",
    "StateSnapshot",
    "PregelTask",
    "StateUpdate",
    "RetryPolicy",
    "CachePolicy",
    "TimeoutPolicy",
    "Overwrite",
    "Durability",
    "StreamMode",
    "StreamWriter",
    "StreamPart",
    "ValuesStreamPart",
    "UpdatesStreamPart",
    "MessagesStreamPart",
    "CustomStreamPart",
    "CheckpointStreamPart",
    "TasksStreamPart",
    "DebugStreamPart",
    "TaskPayload",
    "TaskResultPayload",
    "CheckpointTask",
    "CheckpointPayload",
    "DebugPayload",
    "GraphOutput",
    "Checkpointer",
    "All",
    "TracePolicy",
    "PregelExecutableTask",
    "omit_payload",
    "ensure_valid_checkpointer",
]


@pytest.mark.parametrize("name", CONTRACT)
def test_the_fields_names_are_there(name: str) -> None:
    assert hasattr(types, name)
    assert name in types.__all__


@pytest.mark.parametrize("name", ["Send", "Interrupt"])
def test_a_name_that_moved_is_still_found_with_a_warning(name: str) -> None:
    with pytest.warns(PerdureDeprecationWarning, match=f"from perdure.types import {name}"):
        found = getattr(constants, name)

    assert found is getattr(types, name)


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        constants.nonsense  # noqa: B018 - the access is what is tested


def test_a_deprecation_points_at_the_line_that_has_to_change() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        GraphOutput({"a": 1})["a"]
        from perdure.constants import Send  # noqa: F401 - the import is what is tested

    assert [one.filename for one in seen] == [__file__, __file__]
    assert seen[0].lineno < seen[1].lineno


def test_a_deprecation_says_since_when_and_until_when() -> None:
    with pytest.warns(PerdureDeprecationWarning) as seen:
        deprecated("Old thing", since=(1, 2), instead="new_thing", removed_in=(3, 0))

    warning = seen[0].message
    assert isinstance(warning, PerdureDeprecationWarning)
    assert (warning.since, warning.expected_removal) == ((1, 2), (3, 0))
    assert str(warning) == (
        "Old thing is deprecated. Use `new_thing` instead. Deprecated since 1.2, to be removed in 3.0."
    )
    assert PerdureDeprecationWarning("x", since=(1, 2)).expected_removal == (2, 0)


@pytest.mark.parametrize("name", [name for name in ours.__all__ if name.startswith("LangGraph")])
def test_the_fields_categories_filter_our_warnings(name: str) -> None:
    with pytest.warns(getattr(ours, name)):
        deprecated("Old thing", since=(0, 1))


# ---- results


def test_an_output_still_answers_like_a_dict_with_a_warning() -> None:
    question = Interrupt("why?", "1")
    output = GraphOutput({"a": 1}, (question,))

    with pytest.warns(PerdureDeprecationWarning, match="output.value"):
        assert output["a"] == 1
    with pytest.warns(PerdureDeprecationWarning):
        assert output["__interrupt__"] == (question,)
    with pytest.warns(PerdureDeprecationWarning):
        assert "__interrupt__" in output
    with pytest.warns(PerdureDeprecationWarning):
        assert "b" not in output


def test_an_output_without_questions_has_no_such_key() -> None:
    output = GraphOutput(StateUpdate({"a": 1}))

    with pytest.warns(PerdureDeprecationWarning):
        assert "__interrupt__" not in output
    with pytest.warns(PerdureDeprecationWarning), pytest.raises(KeyError):
        output["__interrupt__"]
    with pytest.warns(PerdureDeprecationWarning):
        assert output["values"] == {"a": 1}


def test_stream_parts_can_be_narrowed_by_their_type() -> None:
    assert StreamPart[int, str]  # pyright: ignore[reportInvalidTypeArguments]  # at run time any type does
    part: StreamPart = {"type": "custom", "ns": (), "data": 1}

    assert part["type"] == "custom"


def test_snapshots_are_tuples_with_names() -> None:
    task = PregelTask("id", "node", ("__pregel_pull", "node"))
    snapshot = StateSnapshot({}, ("node",), {}, None, None, None, (task,), ())

    assert snapshot.tasks[0].interrupts == ()
    assert (task.error, task.state, task.result) == (None, None, None)
    assert StateUpdate(None) == (None, None, None)
    assert snapshot._replace(next=()).next == ()
    assert RetryPolicy()._fields[0] == "initial_interval"


@pytest.mark.parametrize("checkpointer", [None, True, False])
def test_the_three_words_for_a_checkpointer_pass(checkpointer: bool | None) -> None:
    assert ensure_valid_checkpointer(checkpointer) is checkpointer


@pytest.mark.parametrize("checkpointer", [object(), "memory", 0, 1])
def test_what_is_no_checkpointer_is_refused(checkpointer: object) -> None:
    pytest.importorskip("perdure.checkpoint.base")

    with pytest.raises(TypeError, match="Invalid checkpointer provided"):
        ensure_valid_checkpointer(checkpointer)
