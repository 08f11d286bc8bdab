"""A run that goes on from an old checkpoint and reads memory as of then: what it sees, and what becomes of its writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.engine.kit import Colour

from databases import KINDS
from perdure import connect
from perdure.checkpoint.memory import InMemorySaver
from perdure.database import Database
from perdure.errors import VersionConflict
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.store.memory import InMemoryStore
from perdure.types import Command, interrupt

NOTES = ("notes",)
THREAD = {"configurable": {"thread_id": "t"}}
Act = Callable[[Any], object]


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Database]:
    with connect(url_of(request.param)) as opened:
        yield opened


def facts(store: Any) -> dict[str, Any]:
    return {item.key: item.value["n"] for item in store.search(NOTES, limit=100)}


def put(store: Any, key: str, n: int) -> None:
    store.put(NOTES, key, {"n": n})


def plus_one(value: Any) -> Any:
    return {"n": (value or {"n": 0})["n"] + 1}


class Steps:
    """A graph of nodes n0, n1 ... whose acts can be changed between runs; it notes what each saw before it acted."""

    def __init__(self, db: Any, *acts: Act, **compiled: Any) -> None:
        self.acts: list[Act] = list(acts)
        self.saw: list[dict[str, Any]] = []
        drawing: Any = StateGraph(dict)
        before = START
        for number in range(len(acts)):
            drawing.add_node(f"n{number}", self.node(number)).add_edge(before, f"n{number}")
            before = f"n{number}"
        self.graph: Any = drawing.compile(db, **compiled)

    def node(self, number: int) -> Any:
        def act(state: dict[str, Any], runtime: Runtime[Any]) -> None:
            self.saw.append(facts(runtime.store))
            self.acts[number](runtime.store)

        return act

    def config_before(self, node: str) -> Any:
        return next(s.config for s in self.graph.get_state_history(THREAD) if s.next == (node,))


@pytest.fixture
def steps(db: Database) -> Steps:
    """Three steps ran; then somebody else wrote."""
    put(db.store, "old", 1)
    made = Steps(db, lambda store: put(store, "a", 1), lambda store: put(store, "b", 1), lambda store: None)
    made.graph.invoke({"x": 1}, THREAD)
    put(db.store, "old", 2)
    put(db.store, "theirs", 1)
    made.saw.clear()
    return made


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("colour", [Colour("blocking"), Colour("async")], ids=str)
def test_it_sees_memory_of_then_and_what_it_wrote_itself(
    db: Database, steps: Steps, colour: Colour, durability: Any
) -> None:
    steps.acts[1] = lambda store: (put(store, "c", 1), store.delete(NOTES, "a"))
    fork = steps.config_before("n1")

    colour._call("invoke", steps.graph, None, fork, memory="as_of", durability=durability)

    assert steps.saw == [{"old": 1, "a": 1}, {"old": 1, "c": 1}]
    assert facts(db.store) == {"old": 2, "b": 1, "theirs": 1, "c": 1}


def test_without_it_memory_is_the_present(steps: Steps) -> None:
    steps.graph.invoke(None, steps.config_before("n2"))

    assert steps.saw == [{"old": 2, "a": 1, "b": 1, "theirs": 1}]


def test_a_stream_reads_as_of_then_too(steps: Steps) -> None:
    fork = steps.config_before("n2")
    for _ in steps.graph.stream(None, fork, memory="as_of"):
        pass
    steps.graph.invoke(None, fork, memory="as_of", stream_mode="updates")

    assert steps.saw == [{"old": 1, "a": 1, "b": 1}] * 2


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_what_others_wrote_since_is_not_overwritten(db: Database, steps: Steps, durability: Any) -> None:
    steps.acts[1] = lambda store: [put(store, key, 9) for key in ("old", "mine", "theirs", "a")]
    now, attempts = facts(db.store), len(steps.saw)

    with pytest.raises(VersionConflict, match="as_of") as raised:
        steps.graph.invoke(None, steps.config_before("n1"), memory="as_of", durability=durability)

    assert set(raised.value.keys) == {(NOTES, "old"), (NOTES, "theirs")}
    assert facts(db.store) == now
    assert len(steps.saw) <= attempts + 2  # trying again could not help
    steps.acts[1] = lambda store: put(store, "a", 9)
    steps.graph.invoke(None, steps.config_before("n1"), memory="as_of")
    assert facts(db.store) == {**now, "a": 9}


def test_it_may_write_an_item_again_and_again(db: Database, steps: Steps) -> None:
    def thrice(store: Any) -> None:
        put(store, "a", 5)
        store.update(NOTES, "a", plus_one)
        store.update(NOTES, "count", plus_one)
        item = store.get(NOTES, "a")
        store.put(NOTES, "a", {"n": item.value["n"] + 1}, if_version=item.version)

    def again(store: Any) -> None:
        item = store.get(NOTES, "a")
        store.put(NOTES, "a", {"n": item.value["n"] + 10}, if_version=item.version)
        store.update(NOTES, "count", plus_one)
        store.delete(NOTES, "never")

    steps.acts[1:] = [thrice, again]

    steps.graph.invoke(None, steps.config_before("n1"), memory="as_of")

    assert steps.saw[-1] == {"old": 1, "a": 7, "count": 1}
    assert facts(db.store) == {"old": 2, "theirs": 1, "b": 1, "a": 17, "count": 2}


def test_somebody_who_writes_between_two_of_its_steps_is_seen_by_its_guard(
    db: Database, steps: Steps
) -> None:
    steps.acts[1] = lambda store: put(store, "a", 5)

    def meanwhile(store: Any) -> None:
        put(db.store.direct, "a", 6)
        put(store, "a", 7)

    steps.acts[2] = meanwhile

    with pytest.raises(VersionConflict) as raised:
        steps.graph.invoke(None, steps.config_before("n1"), memory="as_of")

    assert raised.value.keys == ((NOTES, "a"),)
    assert facts(db.store)["a"] == 6


def test_siblings_may_write_one_item(db: Database) -> None:
    drawing: Any = StateGraph(dict)
    for name in ("one", "two"):

        def write(state: dict[str, Any], runtime: Runtime[Any], name: str = name) -> None:
            assert runtime.store is not None
            runtime.store.put(NOTES, "k", {"n": name})

        drawing.add_node(name, write).add_edge(START, name)
    graph = drawing.compile(db)
    graph.invoke({"x": 1}, THREAD)
    fork = next(s.config for s in graph.get_state_history(THREAD) if s.next == ("one", "two"))

    with pytest.raises(VersionConflict):
        graph.invoke(None, fork, memory="as_of")  # the first run of these tasks wrote it since
    db.store.revert(thread="t")
    graph.invoke(
        None, fork, memory="as_of"
    )  # what is not there, as it was not then, is overwritten by nobody

    assert facts(db.store) == {"k": "two"}


def test_a_nested_graph_reads_as_of_then_too(db: Database) -> None:
    put(db.store, "old", 1)
    saw: list[Any] = []

    def inner(state: dict[str, Any], runtime: Runtime[Any]) -> None:
        saw.append(facts(runtime.store))
        put(runtime.store, f"k{len(saw)}", 1)

    child: Any = StateGraph(dict)
    child.add_node("first", inner).add_node("second", inner).add_edge(START, "first").add_edge(
        "first", "second"
    )
    drawing: Any = StateGraph(dict)
    drawing.add_node("child", child.compile()).add_edge(START, "child")
    graph = drawing.compile(db)
    graph.invoke({"x": 1}, THREAD, interrupt_before="*")
    fork = graph.get_state(THREAD).config
    put(db.store, "old", 2)

    graph.invoke(None, fork, memory="as_of")

    assert saw == [{"old": 1}, {"old": 1, "k1": 1}]
    assert facts(db.store) == {"old": 2, "k1": 1, "k2": 1}


def test_what_cannot_be_meant_is_refused(db: Database, steps: Steps) -> None:
    fork = steps.config_before("n1")

    with pytest.raises(ValueError, match="'then'"):
        steps.graph.invoke(None, fork, memory="then")
    with pytest.raises(ValueError, match="needs a checkpoint"):
        steps.graph.invoke(None, THREAD, memory="as_of")
    nowhere = {"configurable": {"thread_id": "t", "checkpoint_id": "none"}}
    with pytest.raises(ValueError, match="has no checkpoint none"):
        steps.graph.invoke(None, nowhere, memory="as_of")
    apart = Steps(InMemorySaver(), lambda store: None, store=InMemoryStore())
    with pytest.raises(ValueError, match="on one database"):
        apart.graph.invoke(None, fork, memory="as_of")
    assert steps.saw == []


def test_an_answer_goes_on_as_of_then(db: Database, steps: Steps) -> None:
    def asks(store: Any) -> None:
        interrupt("go on?")
        put(store, "c", 1)

    steps.acts[1] = lambda store: put(store, "a", 2)
    steps.acts[2] = asks
    steps.graph.invoke(None, steps.config_before("n1"), memory="as_of")
    put(db.store, "later", 1)

    steps.graph.invoke(Command(resume="yes"), steps.graph.get_state(THREAD).config, memory="as_of")

    assert [seen.get("a") for seen in steps.saw] == [1, 2, 2]
    assert ["later" in seen for seen in steps.saw] == [False] * 3
    assert facts(db.store) == {"old": 2, "theirs": 1, "a": 2, "b": 1, "later": 1, "c": 1}
