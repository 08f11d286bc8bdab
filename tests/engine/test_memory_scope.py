"""`compile(memory_scope=)`: whose memory a run works with is said by its call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from perdure.config import get_store
from perdure.errors import ScopeError
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.store.memory import InMemoryStore

TEMPLATE = ("users", "{user_id}")


class State(TypedDict):
    text: str


@dataclass
class Context:
    user_id: Any = None


def remember(state: State, runtime: Runtime[Any]) -> None:
    mine: Any = runtime.store
    mine.put(("notes",), "by runtime", {"text": state["text"]})
    get_store().put(("notes",), "by function", {})


def graph_of(store: Any, node: Any = remember, template: Any = TEMPLATE) -> Any:
    drawn = StateGraph(State, context_schema=Context).add_node("node", node).add_edge(START, "node")
    return drawn.compile(store=store, memory_scope=template)


def places(store: InMemoryStore) -> set[tuple[str, ...]]:
    return {item.namespace for item in store.search((), limit=100)}


def test_a_context_says_whose_memory_it_is() -> None:
    store = InMemoryStore()

    graph_of(store).invoke({"text": "tea"}, context=Context("ada"))

    assert places(store) == {("users", "ada", "notes")}
    assert len(store.search(())) == 2


def test_a_config_says_it_where_there_is_no_context() -> None:
    store = InMemoryStore()

    graph_of(store, template=("u-{user_id}",)).invoke({"text": "tea"}, {"configurable": {"user_id": 7}})

    assert places(store) == {("u-7", "notes")}


@pytest.mark.parametrize("bad", [None, "", "*", "a.b", True, ["ada"], "a\0"])
def test_a_call_that_does_not_say_it_is_refused(bad: Any) -> None:
    store = InMemoryStore()

    with pytest.raises(ScopeError, match="Nothing was run"):
        graph_of(store).invoke({"text": "tea"}, {"configurable": {"user_id": "eve"}}, context=Context(bad))

    assert places(store) == set()


@pytest.mark.parametrize("bad", [(), "users", ("{}",), ("{a.b}",), ("{a!r}",), ("{",), (1,), ("{0}",)])
def test_a_template_that_is_none_is_refused_at_once(bad: Any) -> None:
    with pytest.raises(ScopeError):
        graph_of(InMemoryStore(), template=bad)


def test_a_nested_graph_narrows_what_its_caller_has() -> None:
    store = InMemoryStore()
    inner = graph_of(None, template=("inner", "{user_id}"))

    def node(state: State, runtime: Runtime[Any]) -> None:
        inner.invoke({"text": "tea"})

    graph_of(store, node).invoke({"text": ""}, context=Context("ada"))

    assert places(store) == {("users", "ada", "inner", "ada", "notes")}


def test_a_state_is_updated_without_saying_it() -> None:
    from perdure import connect

    with connect("memory://") as db:
        drawn = StateGraph(State, context_schema=Context).add_node("node", remember).add_edge(START, "node")
        graph = drawn.compile(db, memory_scope=TEMPLATE)
        config: Any = {"configurable": {"thread_id": "t"}}

        graph.update_state(config, {"text": "new"}, as_node="node")

        assert graph.get_state(config).values == {"text": "new"}
