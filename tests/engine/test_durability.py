"""When what is durable, and what a run that dies leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kit import Colour, Log, at, chain, fan, questions, thread
from perdure.errors import StaleThread
from perdure.storage.contract import commit_now
from perdure.testing.backends import checkpoint_of
from perdure.types import Command, RetryPolicy, interrupt

MODES = ["sync", "async", "exit"]


class Died(BaseException):
    """The process is gone."""


def dies_once() -> Any:
    left = [Died()]

    def node(state: Log) -> Log:
        if left:
            raise left.pop()
        return {"log": ["came back"]}

    return node


def asks(state: Log) -> Log:
    return {"log": [interrupt("?")]}


def remembers(state: Log, *, store: Any) -> Log:
    store.put(("notes",), "k", {"n": 1})
    return {"log": ["remembers"]}


@pytest.mark.parametrize("durability", MODES)
def test_a_run_ends_alike_however_durable(run: Colour, db: Any, durability: str) -> None:
    graph = chain("a", ("r", remembers), ("q", asks), "b").compile(
        checkpointer=db.checkpointer, store=db.store
    )

    assert questions(run.invoke(graph, {"log": ["in"]}, thread("t"), durability=durability)) == ["?"]
    assert db.store.get(("notes",), "k").value == {"n": 1}
    expected = {"log": ["in", "a", "remembers", "A", "b"]}
    assert run.invoke(graph, Command(resume="A"), thread("t"), durability=durability) == expected
    assert run.state(graph, thread("t")).values == expected
    assert run.state(graph, thread("t")).next == ()


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_dying_run_keeps_its_finished_steps(run: Colour, db: Any, durability: str) -> None:
    graph = chain("a", ("d", dies_once())).compile(db)
    with pytest.raises(Died):
        run.invoke(graph, {}, thread("t"), durability=durability)

    assert run.state(graph, thread("t")).values == {"log": ["a"]}
    assert run.invoke(graph, None, thread("t"), durability=durability) == {"log": ["a", "came back"]}


def test_sync_is_durable_before_the_next_step_begins(run: Colour, db: Any) -> None:
    seen: list[Any] = []
    holder: list[Any] = []

    def looks(state: Log) -> None:
        seen.append(holder[0].get_state(thread("t")).values)

    holder.append(chain("a", ("b", looks)).compile(db))
    run.invoke(holder[0], {"log": ["in"]}, thread("t"), durability="sync")

    assert seen == [{"log": ["in", "a"]}]


@pytest.mark.fact(85)
def test_exit_leaves_one_checkpoint_a_run_whose_parent_is_the_last_runs(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)

    run.invoke(graph, {"log": [1]}, thread("t"), durability="exit")
    run.invoke(graph, {"log": [2]}, thread("t"), durability="exit")

    newest, oldest = run.history(graph, thread("t"))
    assert (oldest.values, oldest.metadata["step"], oldest.next) == ({"log": [1, "a", "b"]}, 2, ())
    assert (newest.values, newest.metadata["step"]) == ({"log": [1, "a", "b", 2, "a", "b"]}, 6)
    assert newest.parent_config == oldest.config
    assert oldest.parent_config is None


@pytest.mark.fact(85)
def test_exit_keeps_the_state_before_a_failed_step_with_what_was_done_in_it(run: Colour, db: Any) -> None:
    fails = [True]

    def flaky(state: Log) -> Log:
        if fails.pop() if fails else False:
            raise ValueError("x")
        return {"log": ["good"]}

    def late(state: Log) -> Log:
        return {"log": ["sibling"]}

    graph: Any = chain("a")
    graph.add_node("f", flaky).add_node("s", late).add_edge("a", "f").add_edge("a", "s")
    compiled = graph.compile(db)
    with pytest.raises(ValueError, match="x"):
        run.invoke(compiled, {}, thread("t"), durability="exit")

    [seen] = run.history(compiled, thread("t"))
    assert seen.values == {"log": ["a"]}
    assert {task.name: task.error for task in run.state(compiled, thread("t")).tasks}[
        "f"
    ] == "ValueError('x')"
    result = run.invoke(compiled, None, thread("t"), durability="exit")
    assert result == {"log": ["a", "good", "sibling"]}


def test_exit_keeps_memory_back_until_the_end_and_shows_it_to_the_run(run: Colour, db: Any) -> None:
    def reads(state: Log, *, store: Any) -> Log:
        return {"log": [store.get(("notes",), "k").value]}

    graph = chain(("r", remembers), ("b", reads)).compile(checkpointer=db.checkpointer, store=db.store)

    assert run.invoke(graph, {}, thread("t"), durability="exit")["log"] == ["remembers", {"n": 1}]
    assert db.store.get(("notes",), "k").value == {"n": 1}


def test_exit_loses_state_and_memory_alike_when_the_process_dies_hard(db: Any) -> None:
    """What a kill leaves is what was committed: here nothing of the run, on either side."""
    graph = chain(("r", remembers)).compile(checkpointer=db.checkpointer, store=db.store)
    chunks: Any = graph.stream({}, thread("t"), durability="exit")
    next(chunks)

    assert graph.get_state(thread("t")).values == {}
    assert db.store.get(("notes",), "k") is None
    chunks.close()
    assert graph.get_state(thread("t")).values == {"log": ["remembers"]}


def test_a_durability_without_a_checkpointer_is_warned_about(run: Colour) -> None:
    with pytest.warns(UserWarning, match="durability='sync' has no effect"):
        assert run.invoke(chain("a").compile(), {}, durability="sync") == {"log": ["a"]}


def test_an_unknown_durability_is_an_error(run: Colour, db: Any) -> None:
    with pytest.raises(ValueError, match="'sometimes'"):
        run.invoke(chain("a").compile(db), {}, thread("t"), durability="sometimes")


@pytest.mark.parametrize("durability", MODES)
def test_questions_and_answers_survive_in_every_durability(run: Colour, db: Any, durability: str) -> None:
    graph = fan("a", ("q", asks), ("r", asks)).compile(db)
    asked = run.invoke(graph, {}, thread("t"), durability=durability)["__interrupt__"]
    left = run.invoke(graph, Command(resume={asked[0].id: "Q"}), thread("t"), durability=durability)[
        "__interrupt__"
    ]

    assert [each.id for each in left] == [asked[1].id]
    assert run.invoke(graph, Command(resume="R"), thread("t"), durability=durability) == {
        "log": ["a", "Q", "R"]
    }


@pytest.mark.parametrize("durability", MODES)
def test_every_run_goes_on_where_the_last_one_stopped(run: Colour, db: Any, durability: str) -> None:
    graph = chain("a").compile(db)

    for turn in range(20):
        run.invoke(graph, {"log": [turn]}, thread("t"), durability=durability)

    assert run.state(graph, thread("t")).values == {"log": [x for turn in range(20) for x in (turn, "a")]}


def test_all_is_durable_when_the_call_returns(run: Colour, db: Any) -> None:
    graph = chain(*(f"n{i:02}" for i in range(40))).compile(db)

    run.invoke(graph, {}, thread("t"), durability="async")

    with db.backend.read() as snapshot:
        assert snapshot.head("t", "") == at(run.state(graph, thread("t")).config)
    assert len(run.history(graph, thread("t"))) == 42


def test_exit_notices_that_somebody_else_ran_a_nested_graph_meanwhile(run: Colour, db: Any) -> None:
    """Another process committed the nested chain while this run gathered it: writing it again would double its memory."""
    places: list[str] = []

    def counts(state: Log, config: Any, *, store: Any) -> Log:
        places.append(config["configurable"]["checkpoint_ns"].rpartition("|")[0])
        store.update(("counts",), "nested", lambda value: {"n": (value or {"n": 0})["n"] + 1})
        return {"log": ["nested"]}

    nested = chain(("counts", counts)).compile()

    def calls(state: Log) -> Log:
        nested.invoke({"log": []})
        row = checkpoint_of("t", "1f000000-0000-6000-8000-000000000000", ns=places[-1])
        db.backend.commit(commit_now(checkpoints=[row]))  # past the objects of this process
        return {"log": ["calls"]}

    graph = chain("a", ("calls", calls)).compile(checkpointer=db.checkpointer, store=db.store)

    with pytest.raises(StaleThread, match="namespace 'calls:"):
        run.invoke(graph, {}, thread("t"), durability="exit")

    assert run.state(graph, thread("t")).values == {}
    assert db.store.get(("counts",), "nested") is None


def test_exit_keeps_a_nested_graph_once_whose_node_ran_again(run: Colour, db: Any) -> None:
    attempts = [True]
    nested = chain(("r", remembers), "b").compile()

    def calls(state: Log) -> Log:
        found = nested.invoke({"log": []})
        if attempts.pop() if attempts else False:
            raise ValueError("again")
        return {"log": found["log"]}

    graph: Any = chain("a")
    graph.add_node(
        "calls", calls, retry_policy=RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError)
    )
    graph = graph.add_edge("a", "calls").compile(checkpointer=db.checkpointer, store=db.store)

    for _ in range(2):
        run.invoke(graph, {}, thread("t"), durability="exit")

    assert run.state(graph, thread("t")).values == {"log": ["a", "remembers", "b", "a", "remembers", "b"]}
    with db.backend.read() as snapshot:
        assert len(snapshot.changes(None, 100)) == 2
