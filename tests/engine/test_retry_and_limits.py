"""How often a node is tried, how far a run goes, how many tasks run at once, and how to ask a run to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from engine.kit import Colour, Log, chain, thread
from perdure.engine.settings import default_recursion_limit
from perdure.errors import GraphDrained, GraphRecursionError
from perdure.graph import START, StateGraph
from perdure.runtime import RunControl, Runtime
from perdure.types import RetryPolicy, Send


def at_once(**options: Any) -> RetryPolicy:
    return RetryPolicy(initial_interval=0, jitter=False, **options)


class Flaky:
    """Fails with these, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.attempts = 0

    def __call__(self, state: Log) -> Log:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        return {"log": ["good"]}


def retried(node: Any, policy: Any) -> Any:
    graph: Any = StateGraph(Log)
    return graph.add_node("a", node, retry_policy=policy).add_edge(START, "a").compile()


def test_a_node_is_tried_as_often_as_its_policy_says(run: Colour) -> None:
    flaky = Flaky(ConnectionError("1"), ConnectionError("2"))

    assert run.invoke(retried(flaky, at_once(max_attempts=3)), {}) == {"log": ["good"]}
    assert flaky.attempts == 3


def test_after_the_last_attempt_the_error_is_raised(run: Colour) -> None:
    flaky = Flaky(ConnectionError("1"), ConnectionError("2"), ConnectionError("3"))

    with pytest.raises(ConnectionError, match="2"):
        run.invoke(retried(flaky, at_once(max_attempts=2)), {})
    assert flaky.attempts == 2


@pytest.mark.parametrize(
    "error", [ValueError("x"), TypeError("x"), KeyError("x"), RuntimeError("x"), OSError("x")]
)
def test_mistakes_are_not_retried_by_default(run: Colour, error: Exception) -> None:
    flaky = Flaky(error)

    with pytest.raises(type(error)):
        run.invoke(retried(flaky, at_once()), {})
    assert flaky.attempts == 1


@pytest.mark.fact(123)
@pytest.mark.parametrize("retry_on", [ValueError, (KeyError, ValueError), lambda error: "x" in str(error)])
def test_retry_on_is_a_class_several_or_a_predicate(run: Colour, retry_on: Any) -> None:
    assert run.invoke(retried(Flaky(ValueError("x")), at_once(retry_on=retry_on)), {}) == {"log": ["good"]}


@pytest.mark.fact(123)
def test_the_first_policy_that_matches_counts_and_attempts_count_together(run: Colour) -> None:
    policies = [at_once(retry_on=ValueError, max_attempts=2), at_once(retry_on=Exception, max_attempts=4)]
    flaky = Flaky(KeyError("1"), KeyError("2"), ValueError("3"))

    with pytest.raises(ValueError, match="3"):
        run.invoke(retried(flaky, policies), {})
    assert flaky.attempts == 3


@pytest.mark.fact(124)
def test_a_node_knows_its_attempt_and_when_the_first_began(run: Colour) -> None:
    seen: list[Any] = []

    def node(state: Log, runtime: Runtime[Any]) -> None:
        info: Any = runtime.execution_info
        seen.append((info.node_attempt, info.node_first_attempt_time, info.task_id))
        if len(seen) < 3:
            raise ConnectionError

    run.invoke(retried(node, at_once()), {})

    assert [attempt for attempt, _, _ in seen] == [1, 2, 3]
    assert len({(begun, task) for _, begun, task in seen}) == 1
    assert abs(seen[0][1] - time.time()) < 60  # noqa: TID251 - compared with the machine's


def test_what_a_failed_attempt_wrote_is_dropped(run: Colour, db: Any) -> None:
    tries: list[int] = []

    def node(state: Log, *, store: Any) -> Log:
        tries.append(1)
        store.put(("notes",), str(len(tries)), {"n": 1})
        if len(tries) < 3:
            raise ConnectionError
        return {"log": [len(tries)]}

    graph: Any = StateGraph(Log)
    graph.add_node("a", node, retry_policy=at_once()).add_edge(START, "a")
    compiled = graph.compile(checkpointer=db.checkpointer, store=db.store)

    assert run.invoke(compiled, {}, thread("t")) == {"log": [3]}
    assert [item.key for item in db.store.search(("notes",))] == ["3"]


def test_a_pause_grows_and_has_an_upper_bound(run: Colour) -> None:
    moments: list[float] = []

    def node(state: Log) -> None:
        moments.append(time.monotonic())
        if len(moments) < 4:
            raise ConnectionError

    policy = RetryPolicy(
        initial_interval=0.02, backoff_factor=2, max_interval=0.03, max_attempts=4, jitter=False
    )
    run.invoke(retried(node, policy), {})

    pauses = [after - before for before, after in pairwise(moments)]
    assert pauses[0] >= 0.019
    assert all(0.029 <= pause < 0.5 for pause in pauses[1:])


def test_default_policies_of_the_graph_are_for_nodes_without_one(run: Colour) -> None:
    graph: Any = StateGraph(Log)
    flaky, strict = Flaky(ConnectionError()), Flaky(ConnectionError())
    graph.set_node_defaults(retry_policy=at_once()).add_node("a", flaky).add_edge(START, "a")
    graph.add_node("b", strict, retry_policy=at_once(max_attempts=1)).add_edge("a", "b")

    with pytest.raises(ConnectionError):
        run.invoke(graph.compile(), {})
    assert (flaky.attempts, strict.attempts) == (2, 1)


# -- recursion limit ---------------------------------------------------------------------------------------------------


@pytest.mark.fact(40)
def test_a_limit_below_one_is_an_error(run: Colour) -> None:
    with pytest.raises(ValueError, match="recursion_limit must be at least 1"):
        run.invoke(chain("a").compile(), {}, {"recursion_limit": 0})


@pytest.mark.fact(40)
@pytest.mark.fact(36)
def test_a_run_of_n_steps_needs_a_limit_of_n_and_one(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)

    assert run.invoke(graph, {}, {**thread("t"), "recursion_limit": 3}) == {"log": ["a", "b"]}
    with pytest.raises(
        GraphRecursionError, match="Recursion limit of 2 reached without hitting a stop condition"
    ) as caught:
        run.invoke(graph, {}, {**thread("u"), "recursion_limit": 2})

    assert "GRAPH_RECURSION_LIMIT" in str(caught.value)
    assert isinstance(caught.value, RecursionError)
    state = run.state(graph, thread("u"))
    assert (state.values, state.next) == ({"log": ["a", "b"]}, ())


@pytest.mark.fact(40)
def test_at_the_limit_what_was_done_is_saved_and_can_be_continued(run: Colour, db: Any) -> None:
    graph = chain("a", "b", "c").compile(db)
    with pytest.raises(GraphRecursionError):
        run.invoke(graph, {}, {**thread("t"), "recursion_limit": 1})

    state = run.state(graph, thread("t"))
    assert (state.values, state.next) == ({"log": ["a"]}, ("b",))
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "b", "c"]}


def test_the_limit_is_of_a_call_not_of_a_thread(run: Colour, db: Any) -> None:
    graph = chain("a", "b").compile(db)

    for _ in range(5):
        run.invoke(graph, {}, {**thread("t"), "recursion_limit": 3})

    assert len(run.state(graph, thread("t")).values["log"]) == 10


def test_the_limit_of_a_call_that_names_none_comes_from_the_environment(
    run: Colour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_DEFAULT_RECURSION_LIMIT", "2")
    default_recursion_limit.cache_clear()  # as in a new process: it is read once

    try:
        with pytest.raises(GraphRecursionError, match="limit of 2"):
            run.invoke(chain("a", "b", "c").compile(), {})
    finally:
        default_recursion_limit.cache_clear()


# -- concurrency -------------------------------------------------------------------------------------------------------


class Gauge:
    """How many were inside at once, at most."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


@pytest.mark.parametrize("limit", [1, 3])
def test_max_concurrency_bounds_the_tasks_of_a_step(run: Colour, limit: int) -> None:
    gauge = Gauge()

    def sync(state: Any) -> Log:
        with gauge:
            time.sleep(0.005)
        return {"log": [state]}

    async def asynchronous(state: Any) -> Log:
        with gauge:
            await asyncio.sleep(0.005)
        return {"log": [state]}

    for worker in (sync,) if run.blocking else (sync, asynchronous):
        graph: Any = StateGraph(Log)
        graph.add_node("w", worker)
        graph.add_conditional_edges(START, lambda _: [Send("w", i) for i in range(10)], ["w"])

        result = run.invoke(graph.compile(), {}, {"max_concurrency": limit})

        assert result == {"log": list(range(10))}
        assert gauge.most == limit


def test_without_a_limit_all_tasks_of_a_step_run_at_once(run: Colour) -> None:
    barrier = threading.Barrier(12, timeout=10)
    graph: Any = StateGraph(Log)
    graph.add_node("w", lambda s: {"log": [barrier.wait() >= 0]})
    graph.add_conditional_edges(START, lambda _: [Send("w", i) for i in range(12)], ["w"])

    assert run.invoke(graph.compile(), {}) == {"log": [True] * 12}


def test_a_thousand_sends_run_in_order(run: Colour) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("w", lambda s: {"log": [s]})
    graph.add_conditional_edges(START, lambda _: [Send("w", i) for i in range(1000)], ["w"])

    assert run.invoke(graph.compile(), {}) == {"log": list(range(1000))}


# -- drain -------------------------------------------------------------------------------------------------------------


def test_a_drained_run_stops_before_its_next_step_and_goes_on_later(run: Colour, db: Any) -> None:
    control = RunControl()

    def drains(state: Log, runtime: Runtime[Any]) -> Log:
        assert runtime.control is control
        control.request_drain("deploy")
        return {"log": ["a"]}

    graph = chain(("a", drains), "b").compile(db)
    with pytest.raises(GraphDrained, match="deploy"):
        run.invoke(graph, {}, thread("t"), control=control)

    assert run.state(graph, thread("t")).next == ("b",)
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "b"]}


def test_a_drain_in_the_last_step_ends_normally(run: Colour, db: Any) -> None:
    control = RunControl()
    graph = chain("a", ("b", lambda _: control.request_drain())).compile(db)

    assert run.invoke(graph, {}, thread("t"), control=control) == {"log": ["a"]}


def test_a_control_drained_before_the_run_stops_it_before_the_first_node(run: Colour, db: Any) -> None:
    control = RunControl()
    control.request_drain()
    graph = chain("a").compile(db)

    with pytest.raises(GraphDrained):
        run.invoke(graph, {"log": ["in"]}, thread("t"), control=control)

    assert run.invoke(graph, None, thread("t")) == {"log": ["in", "a"]}
