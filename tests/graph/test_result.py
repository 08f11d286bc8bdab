"""What a node's result means: writes."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from perdure.constants import END, START
from perdure.errors import InvalidUpdateError, ParentCommand
from perdure.graph.result import input_reader, result_writer
from perdure.types import Command, Overwrite, Send

writes = result_writer("n", ["x", "y", "log"], ["a", "b", "n"])
root_writes = result_writer("n", ["__root__"], ["a"])


@dataclass
class Data:
    x: int = 1
    y: int | None = None


class Model(BaseModel):
    x: int
    y: int | None = 7
    log: list[str] | None = None


def test_a_dict_writes_its_keys_in_order_and_unknown_ones_are_dropped() -> None:
    assert writes({"y": 2, "other": 3, "x": 1}) == [("y", 2), ("x", 1)]
    assert writes(MappingProxyType({"y": 2})) == [("y", 2)]


def test_none_and_an_empty_dict_write_nothing() -> None:
    assert writes(None) == []
    assert writes({}) == []


def test_an_overwrite_goes_through_as_it_is() -> None:
    assert writes({"x": Overwrite(3)}) == [("x", Overwrite(3))]


@pytest.mark.fact(31)
def test_a_dataclass_writes_every_field() -> None:
    assert writes(Data(x=5)) == [("x", 5), ("y", None)]


@pytest.mark.fact(31, 32)
def test_a_model_writes_what_is_not_none_and_a_none_that_is_meant() -> None:
    assert writes(Model(x=9)) == [("x", 9), ("y", 7)]
    assert writes(Model(x=9, log=None)) == [("x", 9), ("y", 7), ("log", None)]
    assert writes(Model(x=9, y=None)) == [("x", 9), ("y", None)]


@pytest.mark.fact(31, 34)
def test_a_command_s_update_may_be_an_instance_changed_in_place() -> None:
    state = Model(x=1)
    state.x = 2
    state.y = None

    assert writes(Command(update=state)) == writes(state) == [("x", 2), ("y", None)]


def test_any_annotated_class_counts() -> None:
    class Pair(NamedTuple):
        x: int
        y: int

    class Bare:
        x: int
        y: int

        def __init__(self) -> None:
            self.x = 1

    assert writes(Pair(1, 2)) == [("x", 1), ("y", 2)]
    assert writes(Bare()) == [("x", 1)]


@pytest.mark.fact(29)
def test_a_list_of_dicts_and_commands_writes_in_its_order() -> None:
    result = [Command(update={"x": 1}, goto="a"), {"y": 2}, None, Command(goto=Send("b", 5)), Data(3, 4)]

    assert writes(result) == [
        ("x", 1),
        ("branch:to:a", None),
        ("y", 2),
        ("__pregel_tasks", Send("b", 5)),
        ("x", 3),
        ("y", 4),
    ]


@pytest.mark.fact(30)
def test_a_command_may_write_a_key_twice() -> None:
    assert writes(Command(update=[("x", 1), ("x", 2), ("other", 3)])) == [("x", 1), ("x", 2)]


@pytest.mark.fact(1)
def test_an_enum_member_stands_for_its_value_in_goto() -> None:
    class Names(StrEnum):
        A = "a"

    class Mixed(str, Enum):  # noqa: UP042 - the kind that formats as its own name
        B = "b"

    class Only(Enum):
        A = "a"

    assert writes(Command(goto=[Names.A, Mixed.B, Only.A])) == [  # type: ignore[list-item]  # as users write it
        ("branch:to:a", None),
        ("branch:to:b", None),
        ("branch:to:a", None),
    ]


def test_goto_end_and_nothing_lead_nowhere() -> None:
    assert writes(Command(goto=END)) == writes(Command(goto=())) == writes(Command(goto=[END])) == []
    assert writes(Command()) == []


@pytest.mark.parametrize("target", ["nobody", START, 5, Send("nobody", 1), ["a", "nobody"]])
def test_a_jump_to_no_node_is_an_error_that_names_both_ends(target: Any) -> None:
    with pytest.raises(
        InvalidUpdateError, match=r"Node 'n' .* to .*no node of this graph.*There are: a, b, n"
    ):
        writes(Command(goto=target))


@pytest.mark.fact(27)
def test_nothing_can_be_sent_to_the_end() -> None:
    with pytest.raises(InvalidUpdateError, match="Cannot send a packet to the END node"):
        writes(Command(goto=Send(END, 1)))


def test_a_command_for_the_parent_leaves_the_graph() -> None:
    command = Command(graph=Command.PARENT, goto="elsewhere")

    with pytest.raises(ParentCommand) as raised:
        writes([{"x": 1}, command])

    assert raised.value.command is command


def test_a_command_for_some_other_graph_is_refused() -> None:
    with pytest.raises(InvalidUpdateError, match=r"for the graph 'other'"):
        writes(Command(graph="other"))


Point = namedtuple("Point", "x y")


@pytest.mark.fact(36)
@pytest.mark.parametrize(
    "result",
    [
        5,
        "x",
        [],
        [{"x": 1}],
        [("x", 1)],
        (1, 2),
        Data,
        object(),
        Point(1, 2),
        Send("a", 1),
        Overwrite(1),
        {1, 2},
    ],
)
def test_anything_else_is_an_error_with_code_node_and_value(result: Any) -> None:
    with pytest.raises(InvalidUpdateError) as raised:
        writes(result)

    text = str(raised.value)
    assert "INVALID_GRAPH_NODE_RETURN_VALUE" in text.splitlines()[-1]
    assert "Node 'n' returned" in text
    assert type(result).__name__ in text


def test_an_instance_with_no_field_of_the_state_was_not_meant_as_an_update() -> None:
    @dataclass
    class Message:
        content: str

    with pytest.raises(InvalidUpdateError, match="of type Message"):
        writes(Message("hello"))


def test_the_message_says_what_to_do_about_a_missing_await_a_generator_and_a_list() -> None:
    async def later() -> dict[str, Any]:
        return {}

    def early() -> Any:
        yield {}

    with pytest.raises(InvalidUpdateError, match="without awaiting"):
        writes(later())
    with pytest.raises(InvalidUpdateError, match="cannot `yield`"):
        writes(early())
    with pytest.raises(InvalidUpdateError, match="at least one Command"):
        writes([{"x": 1}])


def test_a_wrong_update_of_a_command_is_an_error_too() -> None:
    with pytest.raises(
        InvalidUpdateError, match=r"Node 'n' returned a Command whose update is 5 of type int"
    ):
        writes(Command(update=5))


def test_a_long_value_is_not_printed_whole() -> None:
    with pytest.raises(InvalidUpdateError) as raised:
        writes("x" * 10_000)

    assert len(str(raised.value)) < 1000


def test_with_a_state_of_one_value_the_result_is_the_state() -> None:
    assert root_writes([3]) == [("__root__", [3])]
    assert root_writes({"x": 1}) == [("__root__", {"x": 1})]
    assert root_writes(None) == []
    assert root_writes(Command(update=[4], goto="a")) == [("__root__", [4]), ("branch:to:a", None)]
    assert root_writes([Command(goto="a"), [5]]) == [("branch:to:a", None), ("__root__", [5])]


# ---- input


@pytest.mark.fact(18)
def test_input_is_brought_down_to_the_keys_of_the_input_schema() -> None:
    read = input_reader(["x", "y"])

    assert read({"x": 1, "log": 2}) == {"x": 1}
    assert read({"nothing": 1}) == {}
    assert read(Data(3)) == {"x": 3, "y": None}
    assert read([("x", 1), ("x", 2), ("z", 3)]) == [("x", 1), ("x", 2)]
    assert input_reader(["__root__"])(5) == 5


@pytest.mark.parametrize("value", [5, "x", [1, 2], Command(update={"x": 1})])
def test_an_input_that_is_no_update_is_an_error(value: Any) -> None:
    with pytest.raises(InvalidUpdateError, match="INVALID_GRAPH_NODE_RETURN_VALUE"):
        input_reader(["x"])(value)


def test_a_dict_input_is_not_the_caller_s_own() -> None:
    given = {"x": 1}

    taken = input_reader(["x"])(given)
    given["x"] = 2

    assert taken == {"x": 1}
