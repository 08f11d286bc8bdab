"""`recall`: what a node finds, for whom, and what it puts into the state."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from engine.kit import Colour
from memory.kit import ADA, BOB, MINE, Chat, Foreign, Later, Table, graph_of, of, texts
from perdure import Database, connect
from perdure.errors import PerdureError, QueryError, ScopeError
from perdure.graph import START, StateGraph
from perdure.memory import recall, remember
from perdure.runtime import Runtime
from perdure.store.base import InvalidNamespaceError, NotSupported


@pytest.fixture(autouse=True)
def filled(request: pytest.FixtureRequest) -> None:
    if "db" in request.fixturenames:
        store = request.getfixturevalue("db").store
        store.put(ADA, "tea", {"text": "Ada drinks green tea", "kind": "taste"})
        store.put(ADA, "cats", {"text": "She has two cats", "kind": "life"})
        store.put(BOB, "tea", {"text": "Bob drinks black tea", "kind": "taste"})


def found(run: Colour, db: Database, node: Any, given: Any, config: Any = None, **more: Any) -> list[Any]:
    answer = run.invoke(graph_of(node).compile(db), given, config or of("ada"), **more)
    return [memory["value"]["text"] for memory in answer["memories"]]


@pytest.mark.parametrize(
    "message",
    [
        "who has cats?",
        {"role": "user", "content": "who has cats?"},
        ("user", "who has cats?"),
        SimpleNamespace(content="who has cats?"),
        {"role": "user", "content": [{"type": "text", "text": "who has"}, {"type": "text", "text": "cats?"}]},
        {"role": "user", "content": ["who has", "cats?"]},
        {"role": "user", "content": [{"type": "image", "url": "green.png", "text": "tea"}, {"text": "cats"}]},
        SimpleNamespace(content=[SimpleNamespace(text="cats"), SimpleNamespace(data=b"tea")]),
    ],
)
def test_the_last_message_s_text_is_what_is_looked_for(message: Any) -> None:
    with connect("memory://") as db:
        db.store.put(ADA, "tea", {"text": "Ada drinks green tea"})
        db.store.put(ADA, "cats", {"text": "She has two cats"})
        # Not compiled with the saver: these objects are nobody's to save.
        graph = graph_of(recall(namespace=MINE)).compile(store=db.store)

        answer = graph.invoke({"messages": ["tea", message]}, of("ada"))

    assert [memory["key"] for memory in answer["memories"]] == ["cats"]


def test_only_the_user_of_the_call_is_looked_at(db: Database, run: Colour) -> None:
    node = recall(namespace=MINE)

    assert found(run, db, node, {"messages": ["tea"]}) == ["Ada drinks green tea"]
    assert found(run, db, node, {"messages": ["tea"]}, of("bob", "two")) == ["Bob drinks black tea"]
    assert found(run, db, node, {"messages": ["tea"]}, of("eve", "three")) == []


def test_a_context_says_who_it_is_before_a_config(db: Database, run: Colour) -> None:
    drawn = StateGraph(Chat, context_schema=dict).add_node(recall(namespace=MINE)).add_edge(START, "recall")

    answer = run.invoke(drawn.compile(db), {"messages": ["tea"]}, of("ada"), context={"user_id": "bob"})

    assert [memory["namespace"] for memory in answer["memories"]] == [list(BOB)]


@pytest.mark.parametrize("bad", [None, "", "*", "a.b", True])
def test_a_call_that_does_not_say_who_it_is_is_refused(db: Database, bad: Any) -> None:
    graph = graph_of(recall(namespace=MINE)).compile(db)

    with pytest.raises(ScopeError, match=r"recall\(namespace=\).*Nothing was read or written"):
        graph.invoke({"messages": ["tea"]}, {"configurable": {"thread_id": "1", "user_id": bad}})


def test_a_function_says_where_to_look(db: Database, run: Colour) -> None:
    def place(state: Chat, runtime: Runtime[Any]) -> tuple[str, ...]:
        assert runtime.store is not None
        return ("users", state["question"]["who"])

    node = recall(lambda state: state["question"]["what"], namespace=place)

    assert found(run, db, node, {"question": {"who": "bob", "what": "tea"}}) == ["Bob drinks black tea"]


def test_within_a_memory_scope_everything_is_the_user_s(db: Database, run: Colour) -> None:
    graph = graph_of(recall(namespace=())).compile(db, memory_scope=MINE)

    answer = run.invoke(graph, {"messages": ["tea"]}, of("ada"))

    assert [(one["namespace"], one["key"]) for one in answer["memories"]] == [([], "tea")]


@pytest.mark.parametrize("nothing", ["", "  \n", None])
def test_an_empty_query_gives_what_is_newest(db: Database, run: Colour, nothing: Any) -> None:
    node = recall("question", namespace=MINE)

    assert found(run, db, node, {"question": nothing}) == ["She has two cats", "Ada drinks green tea"]
    assert found(run, db, recall(namespace=MINE, limit=1), {"messages": []}) == ["She has two cats"]


def test_or_nothing_if_one_says_so(db: Database, run: Colour) -> None:
    assert found(run, db, recall("question", namespace=MINE, on_empty="nothing"), {"question": " "}) == []


def test_filters_are_given_or_made_of_the_state(db: Database, run: Colour) -> None:
    life = recall("question", namespace=MINE, filter={"kind": "life"})
    asked = recall(lambda s: "", namespace=MINE, filter=lambda s: {"kind": s["question"]})

    assert found(run, db, life, {"question": "tea cats"}) == ["She has two cats"]
    assert found(run, db, asked, {"question": "taste"}) == ["Ada drinks green tea"]


def test_what_is_found_is_plain_and_stays_in_the_checkpoint(db: Database, run: Colour) -> None:
    graph = graph_of(recall(namespace=MINE, into="memories")).compile(db)

    answer = run.invoke(graph, {"messages": ["cats"]}, of("ada"))
    kept = run.state(graph, of("ada")).values["memories"]

    (memory,) = answer["memories"]
    assert kept == json.loads(json.dumps(answer["memories"])) == [memory]
    assert memory.keys() == {"namespace", "key", "value", "created_at", "updated_at", "score"}
    assert memory["namespace"] == ["users", "ada"]
    assert memory["score"] > 0


def test_a_state_that_is_an_object_is_read_by_its_attributes(db: Database, run: Colour) -> None:
    @dataclass
    class State:
        question: str = ""
        memories: list[Any] = field(default_factory=list)

    graph = graph_of(recall("question", namespace=MINE), schema=State).compile(db)

    answer = run.invoke(graph, {"question": "cats"}, of("ada"))

    assert [memory["key"] for memory in answer["memories"]] == ["cats"]


def test_what_the_run_itself_wrote_is_found(db: Database, run: Colour) -> None:
    graph = graph_of(
        remember(lambda s: "Ada sings in a choir", namespace=MINE), recall("question", namespace=MINE)
    ).compile(db)

    answer = run.invoke(graph, {"question": "choir"}, of("ada"), durability="exit")

    assert [memory["value"]["text"] for memory in answer["memories"]] == ["Ada sings in a choir"]


def test_meaning_is_asked_for_in_the_caller_s_colour(run: Colour) -> None:
    rows = {"Ada drinks tea": [1.0, 0.0, 0.0], "two cats": [0.0, 1.0, 0.0], "her pets": [0.0, 0.9, 0.1]}
    model = Table(rows) if run.blocking else Later(rows)
    with connect("memory://", index={"embed": model, "dims": 3, "fields": ["text"]}) as db:

        async def fill() -> None:
            await db.store.aput(ADA, "tea", {"text": "Ada drinks tea"})
            await db.store.aput(ADA, "cats", {"text": "two cats"})

        asyncio.run(fill())
        by_meaning = recall("question", namespace=MINE, mode="vector", limit=1)
        by_words = recall("question", namespace=MINE, mode="text")
        weighed = recall("question", namespace=MINE, limit=1, weights=(0.0, 1.0))

        assert found(run, db, by_meaning, {"question": "her pets"}) == ["two cats"]
        assert found(run, db, by_words, {"question": "her pets"}) == []
        assert found(run, db, weighed, {"question": "her pets"}) == ["two cats"]


async def test_an_async_function_makes_the_query_where_one_can_wait(db: Database) -> None:
    async def query(state: Chat, *, config: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        return f"{state['question']} {config['configurable']['user_id']}"

    graph = graph_of(recall(query, namespace=MINE, mode="text")).compile(db)

    answer = await graph.ainvoke({"question": "cats"}, of("ada"))

    assert {memory["key"] for memory in answer["memories"]} == {"cats", "tea"}
    with pytest.raises(TypeError, match="is async, and this is a blocking call"):
        graph.invoke({"question": "cats"}, of("ada", "two"))


def test_a_lambda_that_forgets_to_wait_is_told(db: Database) -> None:
    async def later() -> str:
        return "cats"

    graph = graph_of(recall(lambda s: later(), namespace=MINE)).compile(db)

    with pytest.raises(TypeError, match="to be awaited"):
        graph.invoke({"question": "cats"}, of("ada"))
    assert len(asyncio.run(graph.ainvoke({"question": "cats"}, of("ada", "two")))["memories"]) == 1


async def test_a_slow_function_does_not_stop_the_loop(db: Database) -> None:
    going = threading.Event()

    def query(state: Chat) -> str:
        assert going.wait(10), "the loop was stopped"
        return "cats"

    graph = graph_of(recall(query, namespace=MINE)).compile(db)

    async def meanwhile() -> None:
        going.set()

    answer, _ = await asyncio.gather(graph.ainvoke({"question": ""}, of("ada")), meanwhile())

    assert len(answer["memories"]) == 1


def test_somebody_else_s_store_is_searched_by_what_the_interface_has(run: Colour) -> None:
    store = Foreign()
    store.put(ADA, "tea", {"text": "Ada drinks tea"})

    answer = run.invoke(
        graph_of(recall(namespace=MINE)).compile(store=store), {"messages": ["tea"]}, of("ada")
    )
    assert [memory["key"] for memory in answer["memories"]] == ["tea"]

    graph = graph_of(recall(namespace=MINE, mode="text")).compile(store=store)
    with pytest.raises(NotSupported, match="no mode="):
        run.invoke(graph, {"messages": ["tea"]}, of("ada"))


def test_a_state_key_that_is_not_set_or_has_no_text_is_named(db: Database, run: Colour) -> None:
    graph = graph_of(recall("memories", namespace=MINE)).compile(db)

    with pytest.raises(QueryError, match=r"'memories', which is not set; set are .*'question'"):
        run.invoke(graph, {"question": "tea"}, of("ada"))
    with pytest.raises(QueryError, match=r"state\['question'\] is of type int"):
        found(run, db, recall("question", namespace=MINE), {"question": 5})
    with pytest.raises(QueryError, match=r"state\['question'\]\[-1\] is of type dict"):
        found(run, db, recall("question", namespace=MINE), {"question": [{"text": "tea"}]})


def test_a_graph_without_a_store_is_told(run: Colour) -> None:
    with pytest.raises(PerdureError, match="compiled without a store"):
        run.invoke(graph_of(recall(namespace=MINE)).compile(), {"messages": ["tea"]}, of("ada"))


def test_a_node_outside_of_graphs_is_told() -> None:
    with pytest.raises(RuntimeError, match="recall"):
        recall(namespace=MINE).invoke({"messages": ["tea"]})


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"limit": 0}, QueryError),
        ({"limit": "5"}, QueryError),
        ({"into": ""}, QueryError),
        ({"on_empty": "all"}, QueryError),
        ({"topk": 5}, TypeError),
        ({"explain": True}, TypeError),
        ({"namespace": "users"}, ScopeError),
        ({"namespace": ("users", "{}")}, ScopeError),
        ({"namespace": ("a.b",)}, InvalidNamespaceError),
        ({"query_from": 5}, TypeError),
        ({"query_from": lambda: ""}, TypeError),
        ({"query_from": lambda state, other: ""}, TypeError),
    ],
)
def test_what_cannot_be_right_is_refused_when_the_node_is_made(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        recall(**{"namespace": MINE, **wrong})


def test_recalling_writes_nothing(db: Database, run: Colour) -> None:
    before = [item.version for item in db.store.search(())]

    found(run, db, recall(namespace=MINE), {"messages": ["tea"]})

    assert [item.version for item in db.store.search(())] == before
    assert texts(db.store) == ["She has two cats", "Ada drinks green tea"]
