"""What `list` and `get_state_history` are asked with: anything that cannot be right is a clear error, at the call."""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

import pytest

from perdure.checkpoint.face import BackendSaver
from perdure.graph import END, START, StateGraph
from perdure.testing.savers import chain, checkpoint_with, config_of, id_of, metadata

LIMITS = [-1, "5", 2.5, True, [], float("inf")]
BEFORES: list[Any] = [
    "id", 7, [], {"configurable": "id"}, {"configurable": {}}, {"configurable": {"thread_id": "t"}}, {},
    {"configurable": {"checkpoint_id": ["id"]}}, {"configurable": {"checkpoint_id": 7}},
]  # fmt: skip
CONFIGS: list[Any] = ["t", 7, [], {"configurable": "t"}, {"configurable": ["t"]}]


def filters() -> list[Any]:
    round_and_round: list[Any] = []
    round_and_round.append(round_and_round)
    return ["user", [("user", "ada")], {7: "ada"}, {"user": object()}, {"user": round_and_round}, {"a b": 1}]


@pytest.mark.parametrize("limit", LIMITS, ids=repr)
def test_a_limit_that_cannot_be_is_an_error(saver: BackendSaver, limit: Any) -> None:
    chain(saver, 2)

    with pytest.raises(ValueError, match="limit="):
        saver.list(config_of(), limit=limit)


@pytest.mark.parametrize("before", BEFORES, ids=repr)
def test_before_has_to_name_a_checkpoint(saver: BackendSaver, before: Any) -> None:
    chain(saver, 2)

    with pytest.raises(ValueError, match="before="):
        saver.list(config_of(), before=before)


@pytest.mark.parametrize("number", range(6))
def test_a_filter_that_cannot_be_is_an_error(saver: BackendSaver, number: int) -> None:
    chain(saver, 2)

    with pytest.raises(ValueError, match="filter"):
        saver.list(config_of(), filter=filters()[number])


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_a_config_that_is_none_is_an_error(saver: BackendSaver, config: Any) -> None:
    for act in (saver.list, saver.get_tuple, lambda c: saver.put(c, checkpoint_with({}), metadata(), {})):
        with pytest.raises(ValueError, match="config"):
            act(config)


async def test_the_async_list_says_the_same_at_the_call(saver: BackendSaver) -> None:
    with pytest.raises(ValueError, match="limit="):
        saver.alist(config_of(), limit=-1)


def test_what_can_be_is_taken(saver: BackendSaver) -> None:
    at = chain(saver, 3, user="a\0da", tags=("x", "y"))
    where = config_of()

    assert len([*saver.list(where, limit=10**30)]) == 3
    assert len([*saver.list(where, filter={"tags": ("x", "y")})]) == 3
    assert len([*saver.list(where, filter={"user": "a\0da"})]) == 3
    assert len([*saver.list(where, filter={"missing": None})]) == 3
    assert len([*saver.list(where, filter={})]) == 3
    older: Any = {"configurable": {"checkpoint_id": UUID(id_of(at[1]))}}
    assert [id_of(each.config) for each in saver.list(where, before=older)] == [id_of(at[0])]


class State(TypedDict):
    text: str


def app(saver: BackendSaver) -> Any:
    drawn = StateGraph(State)
    drawn.add_node("n", lambda state: {"text": "x"})
    drawn.add_edge(START, "n")
    drawn.add_edge("n", END)
    return drawn.compile(saver)


def test_a_history_says_the_same(saver: BackendSaver) -> None:
    graph = app(saver)
    graph.invoke({"text": "a"}, config_of())

    for limit in LIMITS:
        with pytest.raises(ValueError, match="limit="):
            graph.get_state_history(config_of(), limit=limit)
    for before in BEFORES:
        with pytest.raises(ValueError, match="before="):
            graph.get_state_history(config_of(), before=before)
    for filter in ("user", [("user", "ada")]):
        with pytest.raises(ValueError, match="filter="):
            graph.get_state_history(config_of(), filter=filter)
