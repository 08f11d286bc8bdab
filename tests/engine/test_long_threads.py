"""A long list is compared in C; whatever somebody changes in place in it is still seen before it is used."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import pytest

import perdure
from perdure.engine.headcache import HEADS
from perdure.graph import START, StateGraph
from perdure.storage.sheets import SHEET_FROM, Sheet

LENGTH = 2 * SHEET_FROM
THREAD = {"configurable": {"thread_id": "long"}}


@dataclass
class Note:
    text: str
    more: dict[str, Any] = field(default_factory=lambda: {"calls": list[Any]()})


class Talk(TypedDict, total=False):
    said: Annotated[list[Note | dict[str, Any]], operator.add]


def as_dict(text: str) -> Any:
    return {"text": text, "more": {"calls": []}}


def calls(item: Any) -> list[Any]:
    more = item["more"] if isinstance(item, dict) else item.more
    return more["calls"]


@pytest.fixture
def db() -> Iterator[Any]:
    with perdure.connect("memory://") as opened:
        yield opened


@pytest.fixture(params=[as_dict, Note])
def make(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    return request.param


def long_thread(db: Any, node: Callable[[Any], Any], make: Callable[[str], Any], schema: Any = Talk) -> Any:
    graph = StateGraph(schema).add_node("node", node).add_edge(START, "node").compile(db)
    graph.invoke({"said": [make(str(number)) for number in range(LENGTH)]}, THREAD)
    return graph


def test_a_change_in_place_after_the_run_ended_is_dropped(db: Any, make: Callable[[str], Any]) -> None:
    seen: list[Any] = []

    def looks(talk: Talk) -> Talk:
        seen.append(list(calls(talk["said"][3])))
        return {"said": []}

    graph = long_thread(db, looks, make)
    result = graph.invoke({"said": [make("more")]}, THREAD)

    calls(result["said"][3]).append("sneaked in")
    state = graph.get_state(THREAD)
    graph.invoke({"said": [make("more")]}, THREAD)

    assert seen == [[], [], []]
    assert calls(state.values["said"][3]) == []


def test_a_change_in_place_by_a_node_is_part_of_what_it_returns(db: Any, make: Callable[[str], Any]) -> None:
    def marks(talk: Talk) -> Talk:
        calls(talk["said"][3]).append("marked")
        return {"said": [make("done")]}

    graph = long_thread(db, marks, make)
    graph.invoke({"said": [make("more")]}, THREAD)
    HEADS.clear()

    found = graph.get_state(THREAD).values["said"]
    assert calls(found[3]) == ["marked", "marked"]
    assert len(found) == LENGTH + 3


def test_a_reducer_that_changes_in_place_is_looked_after_even_if_the_node_fails(db: Any) -> None:
    def adds(old: list[Any], new: list[Any]) -> list[Any]:
        if old:
            calls(old[3]).append("reduced")
        return old + new

    class Reduced(TypedDict, total=False):
        said: Annotated[list[dict[str, Any]], adds]
        fails: bool

    def fails(state: Reduced) -> Reduced:
        if state.get("fails"):
            raise ZeroDivisionError
        return {}

    graph = long_thread(db, fails, as_dict, Reduced)
    with pytest.raises(ZeroDivisionError):
        graph.invoke({"said": [as_dict("more")], "fails": True}, THREAD)
    HEADS.clear()

    assert calls(graph.get_state(THREAD).values["said"][3]) == ["reduced"]


def test_a_turn_looks_at_the_whole_thread_twice(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    stands = Sheet.stands

    def counted(sheet: Sheet) -> bool:
        looks.append(1)
        return stands(sheet)

    graph = long_thread(db, lambda _: {"said": [as_dict("answer")]}, as_dict)
    monkeypatch.setattr(Sheet, "stands", counted)
    graph.invoke({"said": [as_dict("question")]}, THREAD)

    assert len(looks) == 2  # when it is taken from the cache, and after the node
