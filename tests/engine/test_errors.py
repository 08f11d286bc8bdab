"""Failures: what reaches the caller, what is kept, what runs again."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from typing import Any

import pytest

from engine.kit import Colour, Log, chain, fan, logs, thread
from perdure.errors import InvalidUpdateError, NodeCancelledError, PerdureError
from perdure.graph import START, StateGraph
from perdure.types import Command, RetryPolicy


class Boom(Exception):
    """A user's own error."""


def booms(state: Log) -> None:
    raise Boom("boom")


def fails_once(error: BaseException) -> Any:
    left = [error]

    def node(state: Log) -> Log:
        if left:
            raise left.pop()
        return {"log": ["good"]}

    return node


@pytest.mark.fact(37)
def test_a_nodes_exception_reaches_the_caller_unchanged_with_a_note(run: Colour, db: Any) -> None:
    failure = Boom("boom")

    def fails(state: Log) -> None:
        raise failure

    graph = chain("a", ("f", fails)).compile(db)
    with pytest.raises(Boom) as caught:
        run.invoke(graph, {}, thread("t"))

    assert caught.value is failure
    task = run.state(graph, thread("t")).tasks[0]
    assert caught.value.__notes__ == [f"During task with name 'f' and id '{task.id}'"]
    assert "in fails" in "".join(traceback.format_exception(caught.value))


@pytest.mark.fact(37)
def test_a_note_is_added_at_every_level_of_nesting(run: Colour) -> None:
    child = chain(("inner", booms)).compile()
    graph = chain(("outer", lambda _: child.invoke({}))).compile()

    with pytest.raises(Boom) as caught:
        run.invoke(graph, {})

    assert [note.split("'")[1] for note in caught.value.__notes__] == ["inner", "outer"]


def test_finished_siblings_are_kept_and_only_the_failed_one_runs_again(run: Colour, db: Any) -> None:
    ran: list[str] = []

    def counted(state: Log) -> Log:
        ran.append("a")
        return {"log": ["a"]}

    def late_failure(state: Log) -> None:
        time.sleep(0.03)
        return once(state)

    once = fails_once(Boom("once"))
    graph = fan(("a", counted), ("f", late_failure)).compile(db)
    with pytest.raises(Boom):
        run.invoke(graph, {}, thread("t"))

    state = run.state(graph, thread("t"))
    assert state.next == ("f",)
    assert state.values == {"log": ["a"]}
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "good"]}
    assert ran == ["a"]


def test_sync_siblings_still_running_come_to_their_end_and_are_recorded(run: Colour, db: Any) -> None:
    def slow(state: Log) -> Log:
        time.sleep(0.05)
        return {"log": ["slow"]}

    graph = fan(("f", fails_once(Boom("now"))), ("slow", slow)).compile(db)
    with pytest.raises(Boom):
        run.invoke(graph, {}, thread("t"))

    assert run.state(graph, thread("t")).next == ("f",)
    assert run.invoke(graph, None, thread("t")) == {"log": ["good", "slow"]}


def test_async_siblings_still_running_are_cancelled_and_run_again(db: Any) -> None:
    cancelled: list[str] = []

    async def slow(state: Log) -> Log:
        if not cancelled:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                cancelled.append("slow")
                raise
        return {"log": ["slow"]}

    graph = fan(("f", fails_once(Boom("now"))), ("slow", slow)).compile(db)
    with pytest.raises(Boom):
        asyncio.run(graph.ainvoke({}, thread("t")))

    assert cancelled == ["slow"]
    tasks = {task.name: task.error for task in graph.get_state(thread("t")).tasks}
    assert tasks == {"f": "Boom('now')", "slow": "CancelledError()"}
    assert asyncio.run(graph.ainvoke(None, thread("t"))) == {"log": ["good", "slow"]}


def test_a_failed_step_leaves_no_memory_of_the_failed_task_behind(run: Colour, db: Any) -> None:
    def remembers_and_fails(state: Log, *, store: Any) -> None:
        store.put(("notes",), "k", {"n": 1})
        raise Boom

    graph = chain(("a", remembers_and_fails)).compile(checkpointer=db.checkpointer, store=db.store)
    with pytest.raises(Boom):
        run.invoke(graph, {}, thread("t"))

    assert db.store.search(("notes",)) == []


def test_errors_of_the_path_function_are_the_nodes(run: Colour, db: Any) -> None:
    def path(state: Log) -> str:
        raise Boom("path")

    graph = chain("a")
    graph.add_conditional_edges("a", path, ["a"])
    compiled = graph.compile(db)
    with pytest.raises(Boom) as caught:
        run.invoke(compiled, {}, thread("t"))

    assert "name 'a'" in caught.value.__notes__[0]
    assert run.state(compiled, thread("t")).next == ("a",)


@pytest.mark.fact(38)
def test_a_cancelled_error_that_a_node_raises_itself_fails_the_run(run: Colour) -> None:
    def sync(state: Log) -> None:
        raise asyncio.CancelledError

    async def asynchronous(state: Log) -> None:
        raise asyncio.CancelledError

    for node in (sync, asynchronous):
        if run.blocking and node is asynchronous:
            continue
        for graph in (chain(("a", node)), fan(("a", node), "b")):
            with pytest.raises(NodeCancelledError) as caught:
                run.invoke(graph.compile(), {})
            assert caught.value.node == "a"


@pytest.mark.fact(55)
def test_a_command_for_a_parent_graph_is_refused_as_input(run: Colour, db: Any) -> None:
    with pytest.raises(InvalidUpdateError, match="There is no parent graph"):
        run.invoke(chain("a").compile(db), Command(graph=Command.PARENT), thread("t"))


def test_an_empty_command_on_a_new_thread_is_an_empty_input(run: Colour, db: Any) -> None:
    with pytest.raises(Exception, match="empty Command") as caught:
        run.invoke(chain("a").compile(db), Command(), thread("t"))

    assert type(caught.value).__name__ == "EmptyInputError"


def test_writes_that_contradict_each_other_change_nothing_and_can_be_mended(run: Colour, db: Any) -> None:
    graph = fan(("a", lambda _: {"n": 1}), ("b", lambda _: {"n": 2})).compile(db)
    with pytest.raises(InvalidUpdateError, match="'n'"):
        run.invoke(graph, {"log": ["in"]}, thread("t"))

    assert run.state(graph, thread("t")).metadata["step"] == 0
    mended = fan(("a", lambda _: {"log": ["a"]}), ("b", lambda _: {"log": ["b"]})).compile(db)
    assert run.invoke(mended, {"log": ["again"]}, thread("t"))["log"] == ["in", "again", "a", "b"]


def test_a_reducer_that_fails_names_its_key(run: Colour, db: Any) -> None:
    graph = chain(("a", lambda _: {"log": 5})).compile(db)  # a list and a number cannot be added

    with pytest.raises(InvalidUpdateError, match=r"'log'.*node 'a'.*int.*Nothing was written") as caught:
        run.invoke(graph, {"log": ["in"]}, thread("t"))

    assert isinstance(caught.value.__cause__, TypeError)
    assert run.state(graph, thread("t")).values == {"log": ["in"]}
    with pytest.raises(InvalidUpdateError, match=r"'log'.*the input.*int"):
        run.invoke(graph, {"log": 5}, thread("u"))


def test_an_update_of_memory_that_fails_at_the_commit_is_the_failure_of_its_task(
    run: Colour, db: Any
) -> None:
    def few(found: dict[str, Any] | None) -> dict[str, Any]:
        number = found["n"] if found else 0
        if number:
            raise ValueError("one is enough")
        return {"n": number + 1}

    ran: list[str] = []

    def counts(name: str) -> Any:
        def node(state: Log, *, store: Any) -> Log:
            ran.append(name)
            store.update(("c",), "k", few)
            return {"log": [name]}

        return node

    drawing: Any = StateGraph(Log).add_node("a", counts("a")).add_node("b", counts("b"))
    graph = drawing.add_edge(START, "a").add_edge(START, "b").compile(db)

    with pytest.raises(ValueError, match="one is enough") as caught:
        run.invoke(graph, {}, thread("t"))

    assert any("task with name 'b'" in note for note in caught.value.__notes__)
    failed = {task.name: task.error for task in run.state(graph, thread("t")).tasks}
    assert failed["a"] is None
    assert "one is enough" in str(failed["b"])
    assert db.store.get(("c",), "k") is None  # the step is not done
    assert sorted(ran) == ["a", "b"]


def test_an_update_that_fails_at_the_commit_is_tried_again_as_its_tasks_policy_says(
    run: Colour, db: Any
) -> None:
    refusals = [1, 2]
    ran: list[str] = []

    def reluctant(found: dict[str, Any] | None) -> dict[str, Any]:
        if found and refusals:
            raise Hiccup(refusals.pop())
        return {"n": (found["n"] if found else 0) + 1}

    def counts(name: str) -> Any:
        def node(state: Log, *, store: Any) -> Log:
            ran.append(name)
            store.update(("c",), "k", reluctant)
            return {"log": [name]}

        return node

    again = RetryPolicy(initial_interval=0.0, jitter=False, max_attempts=3, retry_on=Hiccup)
    drawing: Any = StateGraph(Log).add_node("a", counts("a")).add_node("b", counts("b"), retry_policy=again)
    graph = drawing.add_edge(START, "a").add_edge(START, "b").compile(db)

    assert run.invoke(graph, {}, thread("t"))["log"] == ["a", "b"]

    assert db.store.get(("c",), "k").value == {"n": 2}
    assert ran.count("a") == 1
    assert ran.count("b") == 3


class Hiccup(Exception):
    """What passes when one tries again."""


def test_a_value_that_cannot_be_saved_is_an_error_with_its_path_and_nothing_is_lost(
    run: Colour, db: Any
) -> None:
    unsaveable = [True]

    def node(state: Log) -> Log:
        return {"log": [{"deep": object()} if unsaveable else "good"]}

    graph = chain("a", ("b", node)).compile(db)
    with pytest.raises(PerdureError, match="log"):
        run.invoke(graph, {}, thread("t"))

    assert run.state(graph, thread("t")).values == {"log": ["a"]}
    unsaveable.clear()
    assert run.invoke(graph, None, thread("t")) == {"log": ["a", "good"]}


def test_the_next_call_works_after_a_failure(run: Colour, db: Any) -> None:
    graph = chain(("a", fails_once(Boom("once")))).compile(db)
    with pytest.raises(Boom):
        run.invoke(graph, {"log": ["one"]}, thread("t"))

    assert run.invoke(graph, {"log": ["two"]}, thread("t")) == {"log": ["one", "two", "good"]}


def test_two_failures_of_a_step_raise_the_first_in_order(run: Colour, db: Any) -> None:
    def fails(name: str) -> Any:
        def node(state: Log) -> None:
            raise Boom(name)

        return node

    graph = fan(("b", fails("b")), ("a", fails("a"))).compile(db)
    with pytest.raises(Boom):
        run.invoke(graph, {}, thread("t"))

    errors = {task.name: task.error for task in run.state(graph, thread("t")).tasks}
    assert "Boom('a')" in errors.values() or "Boom('b')" in errors.values()


def test_base_exceptions_of_a_node_reach_the_caller_and_leave_a_thread_that_goes_on(db: Any) -> None:
    class Stop(BaseException):
        pass

    graph = chain("a", ("b", fails_once(Stop()))).compile(db)
    with pytest.raises(Stop):
        graph.invoke({}, thread("t"))

    assert graph.get_state(thread("t")).next == ("b",)
    assert graph.invoke(None, thread("t")) == {"log": ["a", "good"]}


def test_base_exceptions_in_worker_threads_reach_the_caller_too(db: Any) -> None:
    class Stop(BaseException):
        pass

    graph = fan("a", ("b", fails_once(Stop()))).compile(db)
    with pytest.raises(Stop):
        graph.invoke({}, thread("t"))

    assert graph.invoke(None, thread("t")) == {"log": ["a", "good"]}


# -- two calls at once -----------------------------------------------------------------------------------------------


def test_a_second_call_on_a_busy_thread_is_a_conflict_before_its_nodes_start(run: Colour, db: Any) -> None:
    from perdure.errors import Conflict

    inside, go_on = threading.Event(), threading.Event()
    ran: list[Any] = []

    def node(state: Log) -> Log:
        ran.append(state["log"])
        inside.set()
        assert go_on.wait(5)
        return {"log": ["a"]}

    graph = chain(("a", node)).compile(db)
    first = threading.Thread(target=lambda: graph.invoke({"log": [1]}, thread("t")))
    first.start()
    assert inside.wait(5)
    try:
        with pytest.raises(Conflict, match="'t' is at work"):
            run.invoke(graph, {"log": [2]}, thread("t"))
        assert run.state(graph, thread("t")).values in ({}, {"log": []}, {"log": [1]})  # reading is free
    finally:
        go_on.set()
        first.join()

    assert ran == [[1]]
    assert run.invoke(graph, {"log": [3]}, thread("t")) == {"log": [1, "a", 3, "a"]}


def test_a_thread_changed_behind_a_runs_back_ends_it_as_stale(run: Colour, db: Any) -> None:
    from perdure.errors import StaleThread

    def meddles(state: Log) -> Log:
        other = chain("a", ("b", meddles)).compile(db)
        other.update_state(other.get_state(thread("t")).config, {"n": 1}, as_node="a")
        return {"log": ["b"]}

    graph = chain("a", ("b", meddles)).compile(db)
    with pytest.raises(StaleThread):
        run.invoke(graph, {}, thread("t"), durability="sync")

    assert run.state(graph, thread("t")).values == {"log": ["a"], "n": 1}


def test_an_update_while_a_run_is_at_work_comes_before_or_behind_its_steps(db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", logs("a")).add_edge(START, "a")
    compiled = graph.compile(db)
    compiled.invoke({}, thread("t"))

    for number in range(5):
        compiled.update_state(thread("t"), {"n": number})

    assert compiled.get_state(thread("t")).values == {"log": ["a"], "n": 4}


@pytest.mark.parametrize("where", ["node", "path"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_stop_iteration_let_out_fails_its_node_and_does_not_end_the_run_unheard(
    run: Colour, db: Any, where: str, beside: bool
) -> None:
    def found(state: Log) -> Any:
        return next(one for one in state["log"] if one == "missing")

    drawing: Any = fan(("a", found if where == "node" else logs("a")), *(["c"] if beside else []))
    drawing.add_node("b", logs("b"))
    if where == "node":
        drawing.add_edge("a", "b")
    else:
        drawing.add_conditional_edges("a", found, ["b"])
    graph = drawing.compile(db)

    with pytest.raises(RuntimeError, match="found raised StopIteration") as caught:
        run.invoke(graph, {"log": []}, thread("t"))

    assert isinstance(caught.value.__cause__, StopIteration)
    assert "a" in run.state(graph, thread("t")).next
