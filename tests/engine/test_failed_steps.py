"""A step that fails while it is made into rows leaves nothing behind: the thread goes on as if it had not been tried."""

from __future__ import annotations

import operator
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from perdure import Database, connect
from perdure.engine.headcache import HEADS
from perdure.errors import EncodingError, QueryError
from perdure.graph import START, StateGraph
from perdure.types import Command, RetryPolicy, interrupt

LONG = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz", k=600))
CONFIG: Any = {"configurable": {"thread_id": "t"}}
AGAIN = RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError, max_attempts=5)
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


@pytest.fixture(params=["memory", "sqlite"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with connect("memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/t.db") as made:
        yield made


@DURABILITIES
@pytest.mark.parametrize("order", [("log", "odd"), ("odd", "log")])
def test_an_input_whose_first_step_cannot_be_saved_does_not_stop_later_ones(
    db: Database, durability: str, order: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perdure.engine.drafts import Rows

    drafted = Rows.drafted

    def in_order(self: Rows, writer: Any, step: Any, new: str, values: Any, *more: Any) -> Any:
        ranked = sorted(values, key=lambda name: order.index(name) if name in order else len(order))
        return drafted(self, writer, step, new, {name: values.pop(name) for name in ranked}, *more)

    monkeypatch.setattr(Rows, "drafted", in_order)
    spoiled: list[bool] = []

    def reduce(before: Any, new: Any) -> Any:
        return (lambda: 1) if spoiled else (before or 0) + new

    def node(state: Any) -> dict[str, Any]:
        return {"log": ["node"]}

    State = TypedDict(  # noqa: UP013 - its reducer is a local name
        "State", {"log": Annotated[list[str], operator.add], "odd": Annotated[Any, reduce]}, total=False
    )
    graph: Any = StateGraph(State).add_node("node", node).add_edge(START, "node").compile(db)
    graph.invoke({"log": [LONG + "1"], "odd": 1}, CONFIG, durability=durability)
    spoiled.append(True)
    with pytest.raises(EncodingError):
        graph.invoke({"log": [LONG + "2"], "odd": 1}, CONFIG, durability=durability)
    spoiled.clear()

    for number in ("3", "4"):
        graph.invoke({"log": [LONG + number], "odd": 1}, CONFIG, durability=durability)
        HEADS.clear()

    log = [text[-1] for text in graph.get_state(CONFIG).values["log"] if text != "node"]
    assert [number for number in log if number != "2"] == ["1", "3", "4"]


@DURABILITIES
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_nested_graph_whose_node_fails_again_and_again_does_what_was_done_once(
    db: Database, durability: str, times: int
) -> None:
    ran: list[str] = []

    class State(TypedDict, total=False):
        log: Annotated[list[str], operator.add]

    def first(state: State, *, store: Any) -> State:
        ran.append("first")
        store.update(("c",), "k", lambda value: {"n": (value or {"n": 0})["n"] + 1})
        return {"log": ["first"]}

    def second(state: State) -> State:
        ran.append("second")
        if ran.count("second") <= times:
            raise ValueError("again")
        return {"log": ["second"]}

    inner: Any = StateGraph(State).add_node("first", first).add_node("second", second)
    inner = inner.add_edge(START, "first").add_edge("first", "second").compile()
    graph: Any = StateGraph(State).add_node(
        "calls", lambda state: {"log": inner.invoke({"log": []})["log"]}, retry_policy=AGAIN
    )
    graph = graph.add_edge(START, "calls").compile(db)

    found = graph.invoke({"log": ["in"]}, CONFIG, durability=durability)

    assert found == {"log": ["in", "first", "second"]}
    assert ran.count("first") == 1
    assert [item.value for item in db.store.history(("c",), "k")] == [{"n": 1}]


@DURABILITIES
def test_a_reducer_that_raises_once_leaves_the_state_as_it_was(db: Database, durability: str) -> None:
    failing = [True]

    def reduce(before: int | None, new: int) -> int:
        if failing and new == 5:
            failing.clear()
            raise ValueError("once")
        return (before or 0) + new

    State = TypedDict(  # noqa: UP013 - its reducer is a local name
        "State", {"log": Annotated[list[str], operator.add], "sum": Annotated[int, reduce]}, total=False
    )
    inner: Any = StateGraph(State).add_node("first", lambda state: {"log": ["first"]})
    inner.add_node("a", lambda state: {"log": ["a"]}).add_node("b", lambda state: {"log": ["b"]})
    inner.add_node("second", lambda state: {"log": ["second"], "sum": 5})
    inner.add_edge(START, "first").add_edge("first", "a").add_edge("first", "b").add_edge(
        ["a", "b"], "second"
    )
    inner = inner.compile()
    ends: list[Any] = []

    def calls(state: Any) -> dict[str, Any]:
        ends.append(inner.invoke({"log": []}))
        return {"log": ends[-1]["log"]}

    graph: Any = (
        StateGraph(State).add_node("calls", calls, retry_policy=AGAIN).add_edge(START, "calls").compile(db)
    )
    graph.invoke({"log": ["in"]}, CONFIG, durability=durability)

    assert ends == [{"log": ["first", "a", "b", "second"], "sum": 5}]


@DURABILITIES
def test_a_record_that_cannot_be_saved_does_not_cost_the_steps_before_it(
    db: Database, durability: str
) -> None:
    class State(TypedDict, total=False):
        log: Annotated[list[Any], operator.add]

    def fails(state: State) -> State:
        raise ValueError("fails")

    graph: Any = (
        StateGraph(State).add_node("first", lambda state: {"log": ["first"]}).add_node("fails", fails)
    )
    graph.add_node("odd", lambda state: {"log": [lambda: 1]}).add_edge(START, "first")
    graph = graph.add_edge("first", "fails").add_edge("first", "odd").compile(db)

    with pytest.raises((ValueError, EncodingError)):
        graph.invoke({"log": ["in"]}, CONFIG, durability=durability)

    assert graph.get_state(CONFIG).values == {"log": ["in", "first"]}


def test_when_a_run_ends_every_commit_on_its_way_has_landed_whatever_became_of_the_first() -> None:
    from perdure.engine.driving import drive
    from perdure.engine.sending import Sender
    from perdure.storage.contract import Revision
    from perdure.storage.staging import Layer

    class Landed:
        done = True

        def __init__(self, outcome: Any) -> None:
            self.outcome = outcome

    nothing: Any = None
    sender = Sender(nothing, nothing, nothing, "async")
    for outcome in (ValueError("first"), ValueError("second"), Revision(0, 1)):
        landed: Any = Landed(outcome)
        sender._flight.append((landed, Layer(), None))

    with pytest.raises(ValueError, match="first"):
        drive(sender.settle())

    assert not sender.layers()


@pytest.mark.parametrize("index", [True, 5, ["text"]])
def test_an_index_that_is_no_dict_is_refused_by_name(index: Any) -> None:
    with connect("memory://", index=index) as db, pytest.raises(QueryError, match="give a dict"):
        assert db.store


def test_what_failed_once_while_it_was_written_at_the_end_is_written_whole_and_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of durability `exit` is written again where it ends with an error: nothing of the first attempt counts."""
    from perdure.engine.drafts import Rows

    results, failed = Rows.results, []

    def failing(self: Rows, *given: Any) -> Any:
        if not failed:
            failed.append(given)
            raise OSError("once")
        return results(self, *given)

    class State(TypedDict, total=False):
        log: Annotated[list[str], operator.add]

    def counts(state: State, *, store: Any) -> State:
        store.update(("c",), "k", lambda value: {"n": (value or {"n": 0})["n"] + 1})
        return {"log": ["counts"]}

    graph: Any = StateGraph(State).add_node("first", lambda state: {"log": [LONG]}).add_node("counts", counts)
    graph.add_node("asks", lambda state: {"log": [interrupt("?")]}).add_edge(START, "first")
    graph = graph.add_edge("first", "counts").add_edge("first", "asks").compile(db)
    monkeypatch.setattr(Rows, "results", failing)
    config: Any = {**CONFIG, "metadata": {"who": "ada"}}

    with pytest.raises(OSError, match="once"):
        graph.invoke({"log": ["in"]}, config, durability="exit")
    HEADS.clear()

    assert graph.get_state(CONFIG).values == {"log": ["in", LONG, "counts"]}  # with what is recorded
    with db.backend.read() as snapshot:
        assert snapshot.count("runs") == 1
    graph.invoke(Command(resume="!"), CONFIG, durability="exit")
    assert graph.get_state(CONFIG).values == {"log": ["in", LONG, "!", "counts"]}
    assert [item.value for item in db.store.history(("c",), "k")] == [{"n": 1}]
