"""Several inputs at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from engine.kit import Colour, Log, chain, thread


def test_inputs_of_different_threads_run_at_once(run: Colour) -> None:
    barrier = threading.Barrier(4, timeout=5)
    graph = chain(("a", lambda s: {"log": [barrier.wait() >= 0]})).compile()

    assert run.batch(graph, [{}] * 4) == [{"log": [True]}] * 4


def test_inputs_of_one_thread_run_one_after_another_in_order(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    results = run.batch(graph, [{"log": [n]} for n in range(5)], thread("t"))

    assert [len(result["log"]) for result in results] == [2, 4, 6, 8, 10]
    assert run.state(graph, thread("t")).values["log"] == [x for n in range(5) for x in (n, "a")]


def test_a_failure_is_raised_or_returned_in_its_place(run: Colour) -> None:
    def node(state: Log) -> Log:
        if state["n"] == 1:
            raise ValueError("one")
        return {"log": [state["n"]]}

    graph = chain(("a", node)).compile()
    inputs = [{"n": n} for n in range(3)]

    with pytest.raises(ValueError, match="one"):
        run.batch(graph, inputs)
    results = run.batch(graph, inputs, return_exceptions=True)
    assert [results[0]["log"], repr(results[1]), results[2]["log"]] == [[0], "ValueError('one')", [2]]


def test_nothing_gives_nothing_and_configs_must_match(run: Colour) -> None:
    graph = chain("a").compile()

    assert run.batch(graph, []) == []
    with pytest.raises(ValueError, match="2 inputs and 1 configs"):
        run.batch(graph, [{}, {}], [{}])


def test_max_concurrency_bounds_the_inputs_that_run_at_once(run: Colour) -> None:
    now, most, lock = [0], [0], threading.Lock()

    def node(state: Log) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1

    run.batch(chain(("a", node)).compile(), [{}] * 8, {"max_concurrency": 2})

    assert most == [2]


def test_options_are_those_of_invoke(run: Colour) -> None:
    graph = chain("a", ("b", lambda _: {"n": 1})).compile()

    assert run.batch(graph, [{}, {}], output_keys="n") == [1, 1]
