"""Messages of a long thread, changed in place."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest

import perdure
from perdure.engine.headcache import HEADS
from perdure.graph import START, StateGraph
from perdure.storage.deltas import Shadow

messages = pytest.importorskip("langchain_core.messages")

THREAD = {"configurable": {"thread_id": "long"}}


class Talk(TypedDict, total=False):
    messages: Annotated[list[messages.AnyMessage], operator.add]


def call(name: str) -> dict[str, Any]:
    return {"name": name, "args": {}, "id": name, "type": "tool_call"}


def test_a_tool_call_changed_in_place_deep_inside_after_the_run_is_noticed() -> None:
    seen: list[str] = []

    def looks(talk: Talk) -> Talk:
        seen.append(talk["messages"][3].tool_calls[0]["name"])
        return {"messages": [messages.AIMessage("answer", tool_calls=[call("look")])]}

    with perdure.connect("memory://") as db:
        graph = StateGraph(Talk).add_node("looks", looks).add_edge(START, "looks").compile(db)
        first = [messages.AIMessage(str(number), tool_calls=[call("look")]) for number in range(100)]
        result = graph.invoke({"messages": first}, THREAD)

        result["messages"][3].tool_calls[0]["name"] = "leap"
        graph.invoke({"messages": [messages.HumanMessage("question")]}, THREAD)
        HEADS.clear()
        found = graph.get_state(THREAD).values["messages"]

    assert seen == ["look", "look"]
    assert found[3].tool_calls[0]["name"] == "look"
    assert found[3] == first[4].model_copy(update={"content": "3"})


def test_a_long_list_of_messages_has_a_sheet() -> None:
    said = [
        messages.HumanMessage("a"),
        messages.AIMessage("b"),
        messages.ToolMessage("c", tool_call_id="1"),
    ] * 20

    shadow = Shadow(said)

    assert shadow.sheet is not None
    assert shadow.stands(said)
    assert shadow.copy == said
