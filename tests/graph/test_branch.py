"""What a path function's answer means."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from perdure.constants import END, START
from perdure.errors import InvalidUpdateError
from perdure.graph.branch import route
from perdure.types import Send

free = route("a", "path", None, ["x", "y"])
mapped = route("a", "path", {True: "x", False: END, "y": "y"}, ["x", "y"])


class Where(Enum):
    X = "x"


@pytest.mark.fact(27)
def test_an_answer_is_a_name_a_send_or_a_list_and_end_is_nowhere() -> None:
    assert free("x") == ["x"]
    assert free([END, "y"]) == ["y"]
    assert free(("x", Send("y", 1))) == ["x", Send("y", 1)]
    assert free(END) == free([]) == []
    assert free(Where.X) == ["x"]


@pytest.mark.fact(27)
def test_a_path_map_translates_answers_and_lets_sends_pass() -> None:
    assert mapped(True) == ["x"]
    assert mapped(False) == []
    assert mapped([True, "y", Send("x", 1)]) == ["x", "y", Send("x", 1)]
    assert route("a", "path", {"x": "y"}, ["y"])(Where.X) == ["y"]


@pytest.mark.fact(27)
@pytest.mark.parametrize("answer", [None, START, 5, [None]])
def test_no_answer_is_an_error(answer: Any) -> None:
    with pytest.raises(
        ValueError, match=r"Branch did not return a valid destination.*node 'a', path function 'path'"
    ):
        free(answer)


def test_none_is_no_answer_with_a_map_either_unless_it_is_mapped() -> None:
    with pytest.raises(ValueError, match="Branch did not return a valid destination"):
        mapped(None)
    assert route("a", "path", {None: "x"}, ["x"])(None) == ["x"]


@pytest.mark.fact(27)
def test_an_answer_that_the_map_lacks_is_a_key_error_that_says_what_it_has() -> None:
    with pytest.raises(KeyError) as raised:
        mapped("z")

    assert raised.value.args == ("z",)
    assert "node 'a', path function 'path'" in raised.value.__notes__[0]


def test_an_unknown_target_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="At 'a' node, 'path' branch found unknown target 'z'"):
        free("z")
    with pytest.raises(InvalidUpdateError, match="Cannot send to 'z'"):
        free(Send("z", 1))


@pytest.mark.fact(27)
def test_nothing_can_be_sent_to_the_end() -> None:
    with pytest.raises(InvalidUpdateError, match="Cannot send a packet to the END node"):
        free(Send(END, 1))
