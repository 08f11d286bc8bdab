"""`if_head`: a run that begins only where its caller looked, so that of two who looked at once one goes on."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from engine.kit import Colour
from perdure import Database
from perdure.errors import StaleThread
from perdure.graph import START, StateGraph


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def at(head: str | None) -> dict[str, Any]:
    return {"configurable": {"thread_id": "t", "if_head": head}}


def drawn(node: Any = lambda state: {"log": ["heard"]}) -> StateGraph[Any]:
    drawing: Any = StateGraph(Log).add_node("hears", node)
    return drawing.add_edge(START, "hears")


def head_of(graph: Any) -> str | None:
    return graph.get_state({"configurable": {"thread_id": "t"}}).config["configurable"].get("checkpoint_id")


def history_of(graph: Any) -> list[Any]:
    return list(graph.get_state_history({"configurable": {"thread_id": "t"}}))


def test_a_run_goes_on_from_the_head_that_was_looked_at(db: Database, run: Colour) -> None:
    graph = drawn().compile(db)

    run.invoke(graph, {"log": ["a"]}, at(None))
    result = run.invoke(graph, {"log": ["b"]}, at(head_of(graph)))

    assert result["log"] == ["a", "heard", "b", "heard"]


def test_who_looked_before_somebody_else_went_on_writes_nothing(db: Database, run: Colour) -> None:
    graph = drawn().compile(db)
    run.invoke(graph, {"log": ["a"]}, at(None))
    looked = head_of(graph)
    run.invoke(graph, {"log": ["b"]}, at(looked))
    before = history_of(graph)

    for head in (looked, None):
        with pytest.raises(StaleThread, match="Nothing was written") as raised:
            run.invoke(graph, {"log": ["b"]}, at(head))

        assert (raised.value.thread, raised.value.expected) == ("t", head)
        assert raised.value.found == head_of(graph)
    assert history_of(graph) == before


def test_a_thread_that_was_to_be_there_and_is_not_is_not_begun(db: Database, run: Colour) -> None:
    graph = drawn().compile(db)

    with pytest.raises(StaleThread):
        run.invoke(graph, {"log": ["a"]}, at("1f0a0000-0000-6000-8000-000000000000"))

    assert history_of(graph) == []


def test_to_go_on_after_an_interruption_asks_for_it_as_well(db: Database, run: Colour) -> None:
    graph = drawn().compile(db, interrupt_before=["hears"])
    run.invoke(graph, {"log": ["a"]}, at(None))
    looked = head_of(graph)

    assert run.invoke(graph, None, at(looked))["log"] == ["a", "heard"]
    with pytest.raises(StaleThread):
        run.invoke(graph, None, at(looked))


def test_it_is_of_the_outermost_run_and_no_metadata(db: Database, run: Colour) -> None:
    inner = drawn().compile()

    def calls(state: Log) -> Log:
        return {"log": inner.invoke({"log": ["inner"]})["log"]}

    graph = drawn(calls).compile(db)

    assert run.invoke(graph, {"log": ["a"]}, at(None))["log"] == ["a", "inner", "heard"]
    assert all("if_head" not in each.metadata for each in history_of(graph))
