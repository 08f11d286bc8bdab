"""Questions a graph asks, and what becomes of the answers."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from engine.kit import Colour, Log, at, chain, fan, logs, questions, thread
from perdure.errors import GraphInterrupt, PerdureError, is_invalid_resume
from perdure.graph import END, START, StateGraph
from perdure.types import Command, Interrupt, RetryPolicy, Send, interrupt


def asks(*questions: Any) -> Any:
    """A node that asks these, one after another, and logs the answers."""

    def node(state: Log) -> Log:
        return {"log": [interrupt(question) for question in questions]}

    return node


def ids(result: Any) -> dict[Any, str]:
    """Question -> id."""
    return {asked.value: asked.id for asked in result["__interrupt__"]}


def test_a_question_stops_the_run_and_its_answer_is_what_interrupt_returns(run: Colour, db: Any) -> None:
    graph = chain("a", ("q", asks("who?")), "b").compile(db)

    stopped = run.invoke(graph, {"log": ["in"]}, thread("t"))
    assert stopped == {"log": ["in", "a"], "__interrupt__": stopped["__interrupt__"]}
    assert questions(stopped) == ["who?"]

    assert run.invoke(graph, Command(resume="me"), thread("t")) == {"log": ["in", "a", "me", "b"]}


@pytest.mark.fact(47)
def test_results_have_a_list_of_interrupts_and_chunks_a_tuple(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks("?"))).compile(db)

    result = run.invoke(graph, {}, thread("t"))
    chunks = run.stream(graph, {}, thread("u"), stream_mode=["updates", "values"])

    assert isinstance(result["__interrupt__"], list)
    assert isinstance(result["__interrupt__"][0], Interrupt)
    assert result["log"] == ["a"]  # the finished sibling counts
    asked = [data["__interrupt__"] for _, data in chunks if "__interrupt__" in data]
    assert len(asked) == 2
    assert all(isinstance(each, tuple) and each[0].value == "?" for each in asked)


def test_an_interrupts_id_has_32_hex_digits_and_stays_while_the_question_does(run: Colour, db: Any) -> None:
    graph = chain(("q", asks("?"))).compile(db)

    first = run.invoke(graph, {}, thread("t"))["__interrupt__"][0]
    again = run.invoke(graph, None, thread("t"))["__interrupt__"][0]

    assert re.fullmatch("[0-9a-f]{32}", first.id)
    assert again == first == run.state(graph, thread("t")).interrupts[0]


@pytest.mark.fact(49)
def test_two_questions_of_a_node_are_asked_one_after_the_other_in_one_step(run: Colour, db: Any) -> None:
    graph = chain(("q", asks("first?", "second?"))).compile(db)

    assert questions(run.invoke(graph, {}, thread("t"))) == ["first?"]
    assert questions(run.invoke(graph, Command(resume="A"), thread("t"))) == ["second?"]
    assert run.invoke(graph, Command(resume="B"), thread("t")) == {"log": ["A", "B"]}
    assert [seen.metadata["step"] for seen in run.history(graph, thread("t"))] == [1, 0, -1]


def test_each_question_of_a_task_has_an_id_of_its_own(run: Colour, db: Any) -> None:
    graph = chain(("q", asks("first?", "second?"))).compile(db)

    first = run.invoke(graph, {}, thread("t"))["__interrupt__"][0].id

    assert run.invoke(graph, Command(resume="A"), thread("t"))["__interrupt__"][0].id != first


@pytest.mark.fact(50)
def test_while_asked_the_state_has_finished_siblings_and_next_only_the_others(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks("?"))).compile(db)
    run.invoke(graph, {"log": ["in"]}, thread("t"))

    state = run.state(graph, thread("t"))

    assert state.values == {"log": ["in", "a"]}
    assert state.next == ("q",)
    assert [(task.name, task.result) for task in state.tasks] == [("a", {"log": ["a"]}), ("q", None)]


@pytest.mark.fact(51)
def test_the_latest_state_lists_open_questions_a_checkpoint_all_that_were_asked(run: Colour, db: Any) -> None:
    graph = fan("a", ("q", asks("one?", "two?")), ("r", asks("three?"))).compile(db)
    result = run.invoke(graph, {}, thread("t"))
    result = run.invoke(graph, Command(resume={ids(result)["three?"]: "3"}), thread("t"))

    now = run.state(graph, thread("t"))
    saved = run.state(graph, now.config)

    assert [asked.value for asked in now.interrupts] == ["one?"]
    assert now.next == ("q",)
    assert [asked.value for asked in saved.interrupts] == ["one?", "three?"]
    assert saved.next == ("a", "q", "r")
    assert saved.values == {"log": []}


@pytest.mark.fact(52)
def test_one_answer_for_several_questions_is_an_error_that_changes_nothing(run: Colour, db: Any) -> None:
    graph = fan(("q", asks("one?")), ("r", asks("two?"))).compile(db)
    before = ids(run.invoke(graph, {}, thread("t")))

    with pytest.raises(
        RuntimeError, match="When there are multiple pending interrupts, you must specify"
    ) as caught:
        run.invoke(graph, Command(resume="x"), thread("t"))

    assert all(id in str(caught.value) for id in before.values())
    assert {asked.value: asked.id for asked in run.state(graph, thread("t")).interrupts} == before


@pytest.mark.fact(53)
def test_a_subset_may_be_answered_and_the_others_ask_with_the_same_ids(run: Colour, db: Any) -> None:
    ran: list[str] = []

    def asker(name: str) -> Any:
        def node(state: Log) -> Log:
            ran.append(name)
            return {"log": [(name, interrupt(name))]}

        return node

    def sibling(state: Log) -> Log:
        ran.append("a")
        return {"log": ["a"]}

    graph = fan(("a", sibling), ("q", asker("q")), ("r", asker("r")), ("s", asker("s"))).compile(db)
    asked = ids(run.invoke(graph, {}, thread("t")))
    assert set(asked) == {"q", "r", "s"}

    left = ids(run.invoke(graph, Command(resume={asked["r"]: 1}), thread("t")))
    assert left == {"q": asked["q"], "s": asked["s"]}

    result = run.invoke(graph, Command(resume={asked["q"]: 2, asked["s"]: 3}), thread("t"))
    assert result == {"log": ["a", ("q", 2), ("r", 1), ("s", 3)]}
    assert ran.count("a") == 1  # finished siblings do not run again
    assert [ran.count(name) for name in "qrs"] == [2, 2, 2]  # nor do those that still wait for their answer


def test_questions_of_parallel_sends_take_their_own_answers_in_any_order(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("w", lambda s: {"log": [(s["i"], interrupt(s["i"]))]})
    graph.add_conditional_edges(START, lambda _: [Send("w", {"i": i}) for i in range(5)], ["w"])
    compiled = graph.compile(db)
    asked = ids(run.invoke(compiled, {}, thread("t")))

    for i in (3, 0, 4, 1):
        run.invoke(compiled, Command(resume={asked[i]: f"answer {i}"}), thread("t"))
    result = run.invoke(compiled, Command(resume="answer 2"), thread("t"))  # one is left: no id needed

    assert result == {"log": [(i, f"answer {i}") for i in range(5)]}


@pytest.mark.fact(54)
def test_a_dict_whose_keys_are_no_ids_is_an_answer_itself(run: Colour, db: Any) -> None:
    graph = chain(("q", asks("?"))).compile(db)
    answers: list[Any] = [{"a": 1}, {"A" * 32: 1}, {"a" * 32: 1, "b": 2}]

    for number, answer in enumerate(answers):
        run.invoke(graph, {}, thread(number))
        assert run.invoke(graph, Command(resume=answer), thread(number)) == {"log": [answer]}


@pytest.mark.parametrize("falsy", [False, 0, "", 0.0, [], {}])
def test_falsy_answers_are_answers(run: Colour, db: Any, falsy: Any) -> None:
    graph = chain(("q", asks("?"))).compile(db)
    run.invoke(graph, {}, thread("t"))

    assert run.invoke(graph, Command(resume=falsy), thread("t")) == {"log": [falsy]}


@pytest.mark.fact(55)
def test_an_answer_on_a_finished_thread_changes_nothing(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread("t"))
    before = run.history(graph, thread("t"))

    assert run.invoke(graph, Command(resume="x"), thread("t")) == {"log": ["a"]}
    assert run.history(graph, thread("t")) == before


@pytest.mark.fact(55)
def test_an_answer_needs_a_checkpointer(run: Colour) -> None:
    with pytest.raises(RuntimeError, match=r"Cannot use Command\(resume=...\) without checkpointer"):
        run.invoke(chain(("q", asks("?"))).compile(), Command(resume="x"))


def test_without_a_checkpointer_a_question_stops_the_run_all_the_same(run: Colour) -> None:
    assert questions(run.invoke(chain(("q", asks("?"))).compile(), {})) == ["?"]


@pytest.mark.fact(56)
def test_an_update_without_an_answer_lets_the_question_ask_again(run: Colour, db: Any) -> None:
    graph = chain(("q", asks("?"))).compile(db)
    run.invoke(graph, {}, thread("t"))

    again = run.invoke(graph, Command(resume=None, update={"log": ["u"]}), thread("t"))

    assert questions(again) == ["?"]
    assert again["log"] == ["u"]
    assert run.invoke(graph, Command(resume="A"), thread("t")) == {"log": ["u", "A"]}


@pytest.mark.fact(57)
def test_an_update_as_input_is_seen_by_the_pending_task(run: Colour, db: Any) -> None:
    def tells(state: Log) -> Log:
        return {"log": [(interrupt("?"), state.get("n"))]}

    graph = chain(("q", tells)).compile(db)
    run.invoke(graph, {}, thread("t"))

    assert run.invoke(graph, Command(update={"n": 5}, resume="A"), thread("t")) == {"log": [("A", 5)], "n": 5}


@pytest.mark.fact(57)
def test_an_update_as_input_on_a_finished_thread_is_kept(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)
    run.invoke(graph, {}, thread("t"))

    assert run.invoke(graph, Command(update={"n": 5}), thread("t")) == {"log": ["a"], "n": 5}
    assert run.state(graph, thread("t")).values == {"log": ["a"], "n": 5}
    assert run.invoke(graph, {}, thread("t")) == {"log": ["a", "a"], "n": 5}


@pytest.mark.fact(58)
def test_a_goto_as_input_runs_beside_what_is_due(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", logs("a")).add_node("z", logs("z")).add_edge(START, "a")
    graph.add_conditional_edges("a", lambda _: END, ["z", END])
    compiled = graph.compile(db, interrupt_before=["a"])

    run.invoke(compiled, {}, thread("t"))
    assert run.invoke(compiled, Command(goto="z"), thread("t")) == {"log": ["a", "z"]}
    assert run.invoke(compiled, Command(goto="z"), thread("t")) == {"log": ["a", "z", "z"]}  # finished by now


def test_a_command_that_begins_a_thread_is_input_and_a_jump_beside_it(run: Colour, db: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", logs("a")).add_node("z", logs("z")).add_edge(START, "a")
    compiled = graph.compile(db)

    assert run.invoke(compiled, Command(goto="z", update={"log": ["in"]}), thread("t")) == {
        "log": ["in", "a", "z"]
    }
    assert run.invoke(compiled, Command(update={"log": ["in"]}), thread("u")) == {"log": ["in", "a"]}
    assert run.state(compiled, thread("u")).values == {"log": ["in", "a"]}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_what_a_command_says_to_a_thread_at_rest_is_kept(run: Colour, db: Any, durability: Any) -> None:
    graph = chain("a", ("q", asks("?"))).compile(db)
    run.invoke(graph, {}, thread("t"))

    run.invoke(graph, Command(update={"n": 5}), thread("t"), durability=durability)
    assert run.state(graph, thread("t")).values == {"log": ["a"], "n": 5}

    run.invoke(graph, Command(resume="A"), thread("t"), durability=durability)
    run.invoke(graph, Command(update={"n": 6}), thread("t"), durability=durability)
    assert run.state(graph, thread("t")).values == {"log": ["a", "A"], "n": 6}


@pytest.mark.fact(59)
def test_new_input_discards_the_question(run: Colour, db: Any) -> None:
    graph = chain("a", ("q", asks("?"))).compile(db)
    run.invoke(graph, {"log": ["one"]}, thread("t"))

    result = run.invoke(graph, {"log": ["two"]}, thread("t"))

    assert result["log"] == ["one", "a", "two", "a"]
    assert questions(result) == ["?"]
    assert run.invoke(graph, Command(resume="A"), thread("t"))["log"] == ["one", "a", "two", "a", "A"]


@pytest.mark.fact(60)
def test_answers_survive_retries(run: Colour, db: Any) -> None:
    attempts: list[Any] = []

    def flaky(state: Log) -> Log:
        answers = [interrupt("one?"), interrupt("two?")]
        attempts.append(answers)
        if len(attempts) == 1:
            raise ConnectionError("once")
        return {"log": answers}

    graph: Any = StateGraph(Log)
    graph.add_node("q", flaky, retry_policy=RetryPolicy(initial_interval=0, jitter=False)).add_edge(
        START, "q"
    )
    compiled = graph.compile(db)
    run.invoke(compiled, {}, thread("t"))
    run.invoke(compiled, Command(resume="A"), thread("t"))

    assert run.invoke(compiled, Command(resume="B"), thread("t")) == {"log": ["A", "B"]}
    assert attempts == [["A", "B"], ["A", "B"]]


def test_answers_survive_a_failure_and_a_new_call(run: Colour, db: Any) -> None:
    fails = [True]

    def flaky(state: Log) -> Log:
        answer = interrupt("?")
        if fails.pop() if fails else False:
            raise ValueError("once")
        return {"log": [answer]}

    graph = chain(("q", flaky)).compile(db)
    run.invoke(graph, {}, thread("t"))
    with pytest.raises(ValueError, match="once"):
        run.invoke(graph, Command(resume="A"), thread("t"))

    assert run.invoke(graph, None, thread("t")) == {"log": ["A"]}


@pytest.mark.fact(61)
@pytest.mark.parametrize("value", [None, 0, {"a": [1, {"b": None}]}, ("t", 1), b"bytes", {1, 2}])
def test_a_question_may_be_any_value_that_can_be_saved(run: Colour, db: Any, value: Any) -> None:
    graph = chain(("q", asks(value))).compile(db)
    run.invoke(graph, {}, thread("t"))

    assert [asked.value for asked in run.state(graph, thread("t")).interrupts] == [value]


@pytest.mark.fact(63)
def test_a_question_in_a_loop_is_asked_until_the_answer_is_good(run: Colour, db: Any) -> None:
    given: list[Any] = []

    def validating(state: Log) -> Log:
        given.clear()
        question = "age?"
        while True:
            answer = interrupt(question)
            given.append(answer)
            if isinstance(answer, int):
                return {"n": answer}
            question = f"{answer!r} is no age. age?"

    graph = chain(("q", validating)).compile(db)
    assert questions(run.invoke(graph, {}, thread("t"))) == ["age?"]
    assert questions(run.invoke(graph, Command(resume="old"), thread("t"))) == ["'old' is no age. age?"]
    assert questions(run.invoke(graph, Command(resume="very"), thread("t"))) == ["'very' is no age. age?"]

    assert run.invoke(graph, Command(resume=40), thread("t")) == {"log": [], "n": 40}
    assert given == ["old", "very", 40]


def test_what_a_node_wrote_before_its_question_is_dropped(run: Colour, db: Any) -> None:
    def remembers(state: Log, *, store: Any) -> Log:
        store.put(("notes",), "k", {"n": 1})
        return {"log": [interrupt("?")]}

    graph = chain(("q", remembers)).compile(checkpointer=db.checkpointer, store=db.store)
    run.invoke(graph, {}, thread("t"))
    assert db.store.get(("notes",), "k") is None

    run.invoke(graph, Command(resume="A"), thread("t"))
    assert db.store.get(("notes",), "k").value == {"n": 1}


def test_resuming_twice_from_an_older_checkpoint_takes_the_new_answer_on_a_branch(
    run: Colour, db: Any
) -> None:
    graph = chain(("q", asks("?"))).compile(db)
    run.invoke(graph, {}, thread("t"))
    asked = run.state(graph, thread("t")).config
    assert run.invoke(graph, Command(resume="one"), asked) == {"log": ["one"]}

    assert run.invoke(graph, Command(resume="two"), asked) == {"log": ["two"]}
    assert run.state(graph, thread("t")).values == {"log": ["two"]}
    assert [seen.metadata["source"] for seen in run.history(graph, thread("t"))][:2] == ["loop", "fork"]


def test_the_id_of_the_head_is_as_no_id(run: Colour, db: Any) -> None:
    graph = chain(("q", asks("?"))).compile(db)
    run.invoke(graph, {}, thread("t"))

    assert run.invoke(graph, Command(resume="A"), run.state(graph, thread("t")).config) == {"log": ["A"]}
    assert [seen.metadata["source"] for seen in run.history(graph, thread("t"))] == ["loop", "loop", "input"]


# -- answers with a schema -------------------------------------------------------------------------------------------


class Answer(BaseModel):
    yes: bool


def test_a_schema_checks_the_answer_and_a_bad_one_leaves_the_question_open(run: Colour, db: Any) -> None:
    def asker(state: Log) -> Log:
        return {"log": [interrupt("sure?", response_schema=Answer).yes]}

    graph = chain(("q", asker)).compile(db)
    shown = run.invoke(graph, {}, thread("t"))["__interrupt__"][0]
    assert shown.response_schema["properties"]["yes"]["type"] == "boolean"

    with pytest.raises(ValidationError) as caught:
        run.invoke(graph, Command(resume={"yes": "perhaps, who knows"}), thread("t"))

    assert is_invalid_resume(caught.value)
    assert [asked.value for asked in run.state(graph, thread("t")).interrupts] == ["sure?"]
    assert run.invoke(graph, Command(resume={"yes": True}), thread("t")) == {"log": [True]}


# -- nodes that get in the way ---------------------------------------------------------------------------------------


def test_a_node_that_swallows_its_question_is_warned_about_with_name_and_line(run: Colour, db: Any) -> None:
    def swallows(state: Log) -> Log:
        with suppress(Exception):  # the mistake that is tested
            interrupt("?")
        return {"log": ["went on"]}

    graph = chain(("q", swallows)).compile(db)
    line = swallows.__code__.co_firstlineno + 2

    with pytest.warns(RuntimeWarning, match=f"Node 'q' .* line {line} of .*test_interrupts.py"):
        assert run.invoke(graph, {}, thread("t")) == {"log": ["went on"]}


def test_except_perdure_error_does_not_swallow_a_question(run: Colour, db: Any) -> None:
    def careful(state: Log) -> Log:
        try:
            return {"log": [interrupt("?")]}
        except PerdureError:
            return {"log": ["swallowed"]}

    graph = chain(("q", careful)).compile(db)

    assert questions(run.invoke(graph, {}, thread("t"))) == ["?"]
    assert not issubclass(GraphInterrupt, PerdureError)


def test_interrupt_outside_of_a_node_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="outside of a runnable context"):
        interrupt("?")


def test_an_answer_is_durable_before_the_node_goes_on(run: Colour, db: Any) -> None:
    class Died(BaseException):
        pass

    dies = [True]

    def node(state: Log) -> Log:
        answer = interrupt("?")
        if dies.pop() if dies else False:
            raise Died
        return {"log": [answer]}

    graph = chain(("q", node)).compile(db)
    run.invoke(graph, {}, thread("t"))
    with pytest.raises(Died):
        run.invoke(graph, Command(resume="A"), thread("t"))

    assert run.invoke(graph, None, thread("t")) == {"log": ["A"]}


def test_two_questions_and_their_answers_in_parallel_nodes_keep_apart(run: Colour, db: Any) -> None:
    graph = fan(("q", asks("q1", "q2")), ("r", asks("r1", "r2"))).compile(db)
    asked = ids(run.invoke(graph, {}, thread("t")))
    asked = ids(run.invoke(graph, Command(resume={asked["q1"]: "Q1", asked["r1"]: "R1"}), thread("t")))
    assert set(asked) == {"q2", "r2"}

    result = run.invoke(graph, Command(resume={asked["r2"]: "R2", asked["q2"]: "Q2"}), thread("t"))

    assert result == {"log": ["Q1", "Q2", "R1", "R2"]}


def test_the_interrupted_checkpoint_stays_the_head(run: Colour, db: Any) -> None:
    graph = chain("a", ("q", asks("?"))).compile(db)
    run.invoke(graph, {}, thread("t"))
    before = at(run.state(graph, thread("t")).config)
    run.invoke(graph, None, thread("t"))

    assert at(run.state(graph, thread("t")).config) == before
