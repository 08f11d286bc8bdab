from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from enum import Enum, StrEnum
from typing import Any, Literal

import pytest

from perdure.types import Command, Overwrite, Send, TimeoutPolicy, as_name


class Old(str, Enum):  # noqa: UP042 - the older way is what is tested
    A = "a"


class New(StrEnum):
    A = "a"


class Plain(Enum):
    A = "a"
    ONE = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize("name", ["a", Old.A, New.A, Plain.A, Text("a")])
def test_a_name_is_a_plain_string_whatever_it_was_given_as(name: object) -> None:
    assert as_name(name) == "a"
    assert type(as_name(name)) is str


@pytest.mark.parametrize("name", [None, 1, Plain.ONE, ["a"]])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(TypeError, match="a name must be a string"):
        as_name(name)


def test_a_send_to_an_enum_member_goes_to_its_value() -> None:
    assert Send(Old.A, 1) == Send("a", 1)
    assert type(Send(Old.A, 1).node) is str


def test_sends_are_equal_if_all_their_parts_are() -> None:
    assert Send("a", {"x": 1}) == Send("a", {"x": 1})
    assert Send("a", 1) != Send("b", 1)
    assert Send("a", 1) != Send("a", 2)
    assert Send("a", 1) != Send("a", 1, timeout=1)
    assert Send("a", 1) != ("a", 1)
    assert len({Send("a", 1), Send("a", 1), Send("a", 2)}) == 2


def test_a_send_is_as_hashable_as_its_argument() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Send("a", {}))


def test_a_sends_timeout_becomes_a_policy() -> None:
    assert Send("a", 1, timeout=timedelta(seconds=2)).timeout == TimeoutPolicy(run_timeout=2.0)
    assert repr(Send("a", 1)) == "Send(node='a', arg=1)"
    assert "run_timeout=2.0" in repr(Send("a", 1, timeout=2))


def test_a_send_can_be_copied() -> None:
    assert copy.deepcopy(Send("a", [1], timeout=3)) == Send("a", [1], timeout=3)


def test_a_command_shows_only_what_it_was_given() -> None:
    assert repr(Command[Any]()) == "Command()"
    assert repr(Command[Any](update={"a": 0}, goto="b")) == "Command(update={'a': 0}, goto='b')"
    assert repr(Command[Any](resume=False)) == "Command(resume=False)"


def test_a_command_is_a_frozen_value() -> None:
    command = Command[Any](update={"a": 1})

    with pytest.raises(FrozenInstanceError):
        command.update = {}  # type: ignore[misc]  # that is the point
    assert command == Command(update={"a": 1})
    assert replace(command, goto="x") == Command(update={"a": 1}, goto="x")
    assert copy.deepcopy(command) == command


def test_a_command_takes_no_positional_arguments() -> None:
    with pytest.raises(TypeError):
        Command({"a": 1})  # type: ignore[misc]  # that is the point


def test_a_command_can_name_its_targets_in_its_type() -> None:
    assert Command[Literal["a", "b"]](goto="a").goto == "a"
    assert Command.PARENT == "__parent__"


def test_an_overwrite_carries_its_mark() -> None:
    assert Overwrite(1) == Overwrite(value=1, type="__overwrite__")
    assert Overwrite([]).value == []
