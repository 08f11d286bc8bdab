"""What a key of the state makes of its writes, and who sees which keys."""

from __future__ import annotations

import operator
from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Any, NotRequired

import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from engine.kit import Colour, Log, at, chain, fan, logs, thread
from perdure.channels import EphemeralValue, LastValueAfterFinish, Topic, UntrackedValue
from perdure.errors import InvalidUpdateError
from perdure.graph import START, StateGraph
from perdure.managed import IsLastStep, RemainingSteps
from perdure.types import Command, Overwrite, Send


class Needs:
    """Cannot be made without a value."""

    def __init__(self, value: int) -> None:
        self.value = value


class Private(TypedDict):
    secret: str


def reported(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


# -- schemas ---------------------------------------------------------------------------------------------------------


def test_a_key_that_was_never_written_is_absent(run: Colour) -> None:
    seen: list[Any] = []
    graph = chain(("a", lambda s: seen.append(dict(s)))).compile()

    assert run.invoke(graph, {"n": 1}) == {"log": [], "n": 1}
    assert seen == [{"log": [], "n": 1}]


@pytest.mark.fact(18)
def test_an_input_without_any_key_of_the_state_still_runs(run: Colour) -> None:
    assert run.invoke(chain("a").compile(), {"other": 1}) == {"log": ["a"]}


@pytest.mark.fact(17)
def test_an_empty_input_runs(run: Colour) -> None:
    assert run.invoke(chain("a").compile(), {}) == {"log": ["a"]}


@pytest.mark.fact(21)
def test_the_result_has_the_keys_of_the_output_schema_that_were_written(run: Colour) -> None:
    class Out(TypedDict, total=False):
        n: int
        never: str

    graph: Any = StateGraph(Log, output_schema=Out)
    graph.add_node("a", lambda _: {"log": ["a"], "n": 2}).add_edge(START, "a")

    assert run.invoke(graph.compile(), {}) == {"n": 2}


@pytest.mark.fact(21)
def test_a_run_that_writes_nothing_gives_none(run: Colour) -> None:
    class Plain(TypedDict, total=False):
        n: int

    graph = chain(("a", lambda _: None), schema=Plain).compile()

    assert run.invoke(graph, {}) is None
    assert run.stream(graph, {}, stream_mode="values") == []


def test_input_keys_outside_of_the_input_schema_are_ignored(run: Colour) -> None:
    class In(TypedDict):
        n: int

    graph: Any = StateGraph(Log, input_schema=In)
    graph.add_node("a", logs("a")).add_edge(START, "a")

    assert run.invoke(graph.compile(), {"n": 1, "log": ["smuggled"]}) == {"log": ["a"], "n": 1}


def test_a_node_may_write_keys_that_only_another_nodes_schema_has(run: Colour) -> None:
    def reader(state: Private) -> Log:
        return {"log": [state["secret"]]}

    graph: Any = StateGraph(Log)
    graph.add_node("a", lambda _: {"secret": "s"}).add_node("b", reader).add_edge(START, "a").add_edge(
        "a", "b"
    )

    assert run.invoke(graph.compile(), {}) == {"log": ["s"]}


def test_a_bare_type_is_the_whole_state(run: Colour) -> None:
    graph: Any = StateGraph(Annotated[list, operator.add])
    graph.add_node("a", lambda s: [len(s)]).add_node("b", lambda s: [len(s)]).add_edge(START, "a").add_edge(
        "a", "b"
    )

    assert run.invoke(graph.compile(), ["x"]) == ["x", 1, 2]


def test_two_writes_to_a_plain_key_are_an_error_that_names_it(run: Colour) -> None:
    graph = fan(("a", lambda _: {"n": 1}), ("b", lambda _: {"n": 2})).compile()

    with pytest.raises(InvalidUpdateError, match="INVALID_CONCURRENT_GRAPH_UPDATE"):
        run.invoke(graph, {})


@pytest.mark.fact(35, 36)
def test_the_error_of_two_writes_says_what_to_do(run: Colour) -> None:
    graph = fan(("a", lambda _: {"n": 1}), ("b", lambda _: {"n": 2})).compile()

    with pytest.raises(
        InvalidUpdateError,
        match=r"At key 'n': Can receive only one value per step\. Use an Annotated key to handle multiple values\.",
    ):
        run.invoke(graph, {"n": 0})  # the input is a write of its own step


def test_reducers_begin_with_the_empty_value_of_their_type(run: Colour) -> None:
    class Many(TypedDict):
        number: Annotated[int, operator.add]
        text: Annotated[str, operator.add]
        table: Annotated[dict[str, int], lambda a, b: {**a, **b}]
        tags: Annotated[set[str], lambda a, b: a | b]

    graph = chain(
        ("a", lambda _: {"number": 1, "text": "x", "table": {"k": 1}, "tags": {"t"}}),
        schema=Many,
    )

    assert run.invoke(graph.compile(), {"number": 2}) == {
        "number": 3,
        "text": "x",
        "table": {"k": 1},
        "tags": {"t"},
    }


def test_a_type_that_cannot_be_made_empty_takes_the_first_write_as_it_is(run: Colour) -> None:
    class State(TypedDict):
        it: Annotated[Needs, lambda a, b: Needs(a.value + b.value)]

    graph = chain(
        ("a", lambda _: {"it": Needs(1)}), ("b", lambda _: {"it": Needs(2)}), schema=State
    ).compile()

    assert run.invoke(graph, {})["it"].value == 3


def test_required_and_not_required_are_looked_through(run: Colour) -> None:
    class State(TypedDict):
        log: NotRequired[Annotated[list[str], operator.add]]

    assert run.invoke(chain("a", "b", schema=State).compile(), {}) == {"log": ["a", "b"]}


# -- pydantic and dataclasses ----------------------------------------------------------------------------------------


class Model(BaseModel):
    x: int = 0
    y: int | None = 7
    z: str | None = None


@dataclass
class Data:
    x: int = 0
    items: Annotated[list[str], operator.add] = field(default_factory=list)


def test_a_pydantic_state_is_an_instance_in_nodes_and_a_dict_in_results(run: Colour) -> None:
    seen: list[Any] = []
    graph = chain(("a", lambda s: seen.append(s) or {"x": s.x + 1}), schema=Model).compile()

    assert run.invoke(graph, {"x": "1"}) == {"x": 2}
    assert seen == [Model(x=1)]


@pytest.mark.fact(33)
def test_a_bad_input_of_a_pydantic_state_names_the_task_it_was_for(run: Colour) -> None:
    graph = chain(("n", lambda _: None), schema=Model).compile()

    with pytest.raises(ValidationError) as caught:
        run.invoke(graph, {"x": "no number"})

    assert "Before task with name 'n' and path" in reported(caught.value)
    assert "During task" not in reported(caught.value)


@pytest.mark.fact(33)
def test_a_bad_output_is_kept_as_it_is_and_fails_the_next_node(run: Colour) -> None:
    bad = ("a", lambda _: {"x": "no number"})
    assert run.invoke(chain(bad, schema=Model).compile(), {}) == {"x": "no number"}

    with pytest.raises(ValidationError) as caught:
        run.invoke(chain(bad, ("b", lambda _: None), schema=Model).compile(), {})

    assert "Before task with name 'b'" in reported(caught.value)


@pytest.mark.fact(31, 32)
def test_a_returned_model_writes_what_is_not_none_and_what_was_set(run: Colour) -> None:
    def result(returned: Any) -> Any:
        return run.invoke(
            chain(("a", lambda _: returned), schema=Model).compile(), {"x": 1, "y": 2, "z": "before"}
        )

    assert result(Model(x=9)) == {"x": 9, "y": 7, "z": "before"}  # y falls back to its default
    assert (
        result(Model(x=9, z=None)) == {"x": 9, "y": 7, "z": "before"}
        or result(Model(x=9, z=None))["z"] is None
    )
    assert result(Command(update=Model(x=9))) == {"x": 9, "y": 7, "z": "before"}
    assert result({"x": 9}) == {"x": 9, "y": 2, "z": "before"}


@pytest.mark.fact(31)
def test_a_returned_dataclass_writes_every_field(run: Colour) -> None:
    graph = chain(("a", lambda _: Data(x=5)), schema=Data).compile()

    assert run.invoke(graph, {"x": 1, "items": ["in"]}) == {"x": 5, "items": ["in"]}
    assert run.invoke(graph, Data(3, ["i"])) == {"x": 5, "items": ["i"]}


@pytest.mark.fact(34)
def test_an_object_changed_in_place_counts_when_it_is_returned(run: Colour) -> None:
    def changes(state: Data) -> Data | None:
        state.x = 9
        return state

    def forgets(state: Data) -> None:
        state.x = 9

    class Plain(TypedDict):
        x: int

    assert run.invoke(chain(("a", changes), schema=Data).compile(), {"x": 1})["x"] == 9
    assert run.invoke(chain(("a", forgets), schema=Data).compile(), {"x": 1})["x"] == 1


@pytest.mark.fact(34)
def test_a_list_that_a_node_changes_in_place_does_not_leak_into_the_state(run: Colour, db: Any) -> None:
    def leaks(state: Log) -> None:
        state["log"].append("leak")

    graph = chain(("a", leaks), "b").compile(db)

    assert run.invoke(graph, {"log": ["in"]}, thread("t")) == {"log": ["in", "b"]}
    assert run.state(graph, thread("t")).values == {"log": ["in", "b"]}


@pytest.mark.fact(34)
def test_neither_the_callers_input_nor_a_deque_is_changed_by_a_node(run: Colour) -> None:
    class State(TypedDict):
        q: deque[int]
        given: list[int]

    def leaks(state: State) -> None:
        state["q"].append(1)
        state["given"].append(1)

    given = [0]
    result = run.invoke(chain(("a", leaks), schema=State).compile(), {"q": deque([0]), "given": given})

    assert result == {"q": deque([0]), "given": [0]}
    assert given == [0]


def test_an_instance_of_the_schema_is_what_version_two_gives(run: Colour) -> None:
    result = run.invoke(chain(("a", lambda _: {"x": 4}), schema=Model).compile(), {"x": 1}, version="v2")

    assert result.value == Model(x=4)
    assert result.interrupts == ()


# -- channels --------------------------------------------------------------------------------------------------------


def test_overwrite_replaces_the_value_and_drops_the_other_writes_of_the_step(run: Colour) -> None:
    for written in (Overwrite(["only"]), {"__overwrite__": ["only"]}):
        graph = fan("a", ("b", lambda _, w=written: {"log": w}), "c").compile()

        assert run.invoke(graph, {"log": ["in"]})["log"] == ["only"]


def test_two_overwrites_in_one_step_are_an_error(run: Colour) -> None:
    graph = fan(("a", lambda _: {"log": Overwrite([1])}), ("b", lambda _: {"log": Overwrite([2])})).compile()

    with pytest.raises(InvalidUpdateError, match="Can receive only one Overwrite value per super-step"):
        run.invoke(graph, {})


def test_an_ephemeral_value_lives_for_one_step(run: Colour, db: Any) -> None:
    class State(TypedDict, total=False):
        flash: Annotated[str, EphemeralValue]
        log: Annotated[list[Any], operator.add]

    reads = lambda s: {"log": [s.get("flash")]}  # noqa: E731 - used twice
    graph = chain(("a", lambda _: {"flash": "!"}), ("b", reads), ("c", reads), schema=State).compile(db)

    assert run.invoke(graph, {}, thread("t")) == {"log": ["!", None]}


def test_an_untracked_value_lives_for_the_run_and_is_never_saved(run: Colour, db: Any) -> None:
    class State(TypedDict, total=False):
        handle: Annotated[Any, UntrackedValue]
        log: Annotated[list[Any], operator.add]

    unsaveable = object()
    graph = chain(
        ("a", lambda _: {"handle": unsaveable}),
        ("b", lambda s: {"log": [s["handle"] is unsaveable]}),
        ("c", lambda s: {"log": [s["handle"] is unsaveable]}),
        schema=State,
    ).compile(db)
    run.invoke(graph, {}, thread("t"))

    assert run.state(graph, thread("t")).values == {"log": [True, True]}
    assert all("handle" not in seen.values for seen in run.history(graph, thread("t")))


def test_a_topic_is_the_list_of_a_steps_writes(run: Colour) -> None:
    class State(TypedDict, total=False):
        now: Annotated[list[int], Topic(int)]
        all: Annotated[list[int], Topic(int, accumulate=True)]
        log: Annotated[list[Any], operator.add]

    writes = lambda _: {"now": 1, "all": [1, 2]}  # noqa: E731 - used twice
    reads = lambda s: {"log": [(s.get("now"), s.get("all"))]}  # noqa: E731 - used twice
    graph: Any = StateGraph(State)
    graph.add_node("a", writes).add_node("b", writes).add_node("c", reads).add_node("d", reads)
    graph.add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], "c").add_edge("c", "d")

    assert run.invoke(graph.compile(), {})["log"] == [([1, 1], [1, 2, 1, 2]), (None, [1, 2, 1, 2])]


def test_a_value_after_finish_is_readable_when_nothing_else_is_due(run: Colour) -> None:
    class State(TypedDict, total=False):
        late: Annotated[str, LastValueAfterFinish]
        log: Annotated[list[Any], operator.add]

    graph = chain(
        ("a", lambda _: {"late": "now"}), ("b", lambda s: {"log": [s.get("late")]}), schema=State
    ).compile()

    assert run.invoke(graph, {}) == {"late": "now", "log": [None]}


def test_managed_values_are_seen_by_nodes_and_nobody_else(run: Colour, db: Any) -> None:
    class State(TypedDict, total=False):
        log: Annotated[list[Any], operator.add]
        left: RemainingSteps
        last: IsLastStep

    sees = lambda s: {"log": [(s["left"], s["last"])]}  # noqa: E731 - used twice
    graph = chain(("a", sees), ("b", sees), schema=State).compile(db)

    assert run.invoke(graph, {}, {**thread("t"), "recursion_limit": 3}) == {"log": [(2, False), (1, True)]}
    assert run.state(graph, thread("t")).values == {"log": [(2, False), (1, True)]}


@pytest.mark.fact(41)
def test_remaining_steps_count_down_from_the_limit(run: Colour) -> None:
    class State(TypedDict, total=False):
        log: Annotated[list[Any], operator.add]
        left: RemainingSteps

    graph = chain(("a", lambda s: {"log": [s["left"]]}), schema=State).compile()

    assert run.invoke(graph, {}, {"recursion_limit": 10}) == {"log": [9]}


@pytest.mark.fact(30)
def test_a_command_may_write_a_key_twice(run: Colour, db: Any) -> None:
    graph = chain(("a", lambda _: Command(update=[("log", [1]), ("log", [2])]))).compile(db)

    assert run.invoke(graph, {}, thread("t")) == {"log": [1, 2]}
    before = run.history(graph, thread("t"))[1]
    assert before.tasks[0].result == {"log": {"$writes": [[1], [2]]}}


# -- the state's values survive their thread ---------------------------------------------------------------------------


def test_values_of_reducers_go_on_where_the_thread_stopped(run: Colour, db: Any) -> None:
    graph = chain("a").compile(db)

    run.invoke(graph, {"log": [1]}, thread("t"))

    assert run.invoke(graph, {"log": [2]}, thread("t")) == {"log": [1, "a", 2, "a"]}


def test_untracked_values_are_taken_out_of_saved_sends(run: Colour, db: Any) -> None:
    class State(TypedDict, total=False):
        handle: Annotated[Any, UntrackedValue]
        log: Annotated[list[Any], operator.add]

    graph: Any = StateGraph(State)
    graph.add_node("w", lambda s: {"log": [sorted(s)]}).add_node("a", lambda _: {"handle": "h"}).add_edge(
        START, "a"
    )
    graph.add_conditional_edges("a", lambda s: [Send("w", {**s, "i": 1})], ["w"])
    compiled = graph.compile(db, interrupt_before=["w"])
    run.invoke(compiled, {}, thread("t"))

    assert run.invoke(compiled, None, thread("t"))["log"] == [["i", "log"]]
    assert at(run.state(compiled, thread("t")).config)
