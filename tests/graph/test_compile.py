"""What the engine is given: channels, nodes, triggers, and the meaning of input."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from perdure.channels import EphemeralValue, NamedBarrierValue
from perdure.constants import END, START
from perdure.errors import InvalidUpdateError
from perdure.graph.builder import GraphBuilder
from perdure.graph.compile import build_spec
from perdure.graph.spec import GraphSpec
from perdure.managed import RemainingSteps
from perdure.types import Send


class State(TypedDict):
    x: int
    log: Annotated[list[str], operator.add]
    left: RemainingSteps


class Input(TypedDict):
    x: int
    wish: str


class Output(TypedDict):
    log: list[str]


class Private(TypedDict):
    secret: str


def private(secret: Private) -> None: ...


def node(state: State) -> None: ...


def compiled(board: Any, **options: Any) -> GraphSpec:
    return build_spec(board, name="g", **options)


@pytest.fixture
def spec() -> GraphSpec:
    board: Any = GraphBuilder(State, input_schema=Input, output_schema=Output)
    board.add_node("b", node).add_node("a", node).add_node("c", private, metadata={"team": "green"})
    board.add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], "c").add_edge("b", "a").add_edge(
        "c", END
    )
    board.add_conditional_edges("c", lambda s: ["a", END, Send("b", 1)])
    return compiled(board, interrupt_before=["a"], interrupt_after="*")


def test_every_key_of_every_schema_is_a_channel_in_the_order_they_were_declared(spec: GraphSpec) -> None:
    assert spec.state_keys == ("x", "log", "wish", "secret")
    assert spec.output_keys == ("log",)
    assert list(spec.managed) == ["left"]


def test_edges_are_channels(spec: GraphSpec) -> None:
    assert isinstance(spec.channels["__start__"], EphemeralValue)
    assert spec.channels["branch:to:a"] == EphemeralValue(Any, guard=False)
    assert spec.channels["join:a+b:c"] == NamedBarrierValue(str, {"a", "b"})
    assert all(channel.key == key for key, channel in spec.channels.items())


def test_a_node_has_all_its_triggers_and_writes_its_plain_edges(spec: GraphSpec) -> None:
    assert spec.nodes["c"].triggers == ("branch:to:c", "join:a+b:c")
    assert spec.nodes["a"].edges == (("join:a+b:c", "a"),)
    assert spec.nodes["b"].edges == (("branch:to:a", None), ("join:a+b:c", "b"))
    assert spec.nodes["c"].edges == ()
    assert spec.nodes["c"].metadata == {"team": "green"}
    assert spec.trigger_to_nodes == {
        "__start__": ("__start__",),
        "branch:to:a": ("a",),
        "branch:to:b": ("b",),
        "branch:to:c": ("c",),
        "join:a+b:c": ("c",),
    }


def test_a_node_sees_its_own_schema_and_may_write_every_key(spec: GraphSpec) -> None:
    assert spec.nodes["a"].read == ("x", "log", "left")
    assert spec.nodes["c"].read == ("secret",)
    assert spec.nodes["c"].writes({"x": 1, "secret": "s", "wish": "w", "left": 3}) == [
        ("x", 1),
        ("secret", "s"),
        ("wish", "w"),
    ]


def test_a_path_function_sees_what_its_node_sees_unless_it_says_otherwise(spec: GraphSpec) -> None:
    (branch,) = spec.nodes["c"].branches
    assert branch.read == ("secret",)
    assert branch.route(["a", END, Send("b", 1)]) == ["a", Send("b", 1)]

    def by_wish(state: Input) -> str:
        return "a"

    board: Any = GraphBuilder(State).add_node("a", node).add_conditional_edges(START, by_wish)
    assert compiled(board).nodes[START].branches[0].read == ("x", "wish")
    board = GraphBuilder(State).add_node("a", node).add_conditional_edges(START, lambda s: "a")
    assert compiled(board).nodes[START].branches[0].read == ("x", "log", "left")


def test_the_hidden_first_node_turns_the_input_into_writes_of_the_input_s_keys(spec: GraphSpec) -> None:
    start = spec.nodes[START]
    assert start.hidden
    assert start.read == "__start__"
    assert start.edges == (("branch:to:a", None), ("branch:to:b", None))

    ((channel, taken),) = spec.read_input({"x": 1, "wish": "w", "log": ["not an input"]})

    assert channel == "__start__"
    assert start.call.sync is not None
    assert start.writes(start.call.sync(taken)) == [("x", 1), ("wish", "w")]


def test_pairs_as_input_may_name_a_key_twice_also_after_they_were_saved_as_lists(spec: GraphSpec) -> None:
    ((_, taken),) = spec.read_input([("x", 1), ("x", 2), ("log", [])])

    assert spec.nodes[START].writes(taken) == [("x", 1), ("x", 2)]
    assert spec.nodes[START].writes([list(pair) for pair in taken]) == [("x", 1), ("x", 2)]


def test_an_input_that_is_no_input_is_refused_before_anything_runs(spec: GraphSpec) -> None:
    with pytest.raises(InvalidUpdateError, match="The input is 5 of type int"):
        spec.read_input(5)


def test_breakpoints_are_kept_and_checked(spec: GraphSpec) -> None:
    assert spec.interrupt_before == ("a",)
    assert spec.interrupt_after == "*"

    board: Any = GraphBuilder(State).add_node("a", node).add_edge(START, "a")
    with pytest.raises(ValueError, match="Interrupt node `z` not found"):
        compiled(board, interrupt_after=["z"])


def test_a_state_of_one_value_has_the_one_key_root() -> None:
    board: Any = GraphBuilder(Annotated[list[int], operator.add])  # type: ignore[arg-type]  # no class for checkers
    spec = compiled(board.add_node("a", lambda s: s).add_edge(START, "a"))

    assert spec.state_keys == spec.output_keys == spec.nodes["a"].read == "__root__"
    assert spec.nodes[START].writes(spec.read_input([1])[0][1]) == [("__root__", [1])]
    assert spec.nodes["a"].writes([2]) == [("__root__", [2])]


class Model(BaseModel):
    x: int
    y: str = "d"


@pytest.mark.fact(33)
def test_an_input_that_a_model_refuses_is_an_error_with_the_node_s_name_and_its_output_is_not_checked() -> (
    None
):
    board: Any = GraphBuilder(Model).add_node("n", lambda s: {"x": "bad"}).add_edge(START, "n")
    spec = compiled(board)
    build = spec.nodes["n"].build
    assert build is not None

    with pytest.raises(ValidationError) as raised:
        build({"x": "bad"})

    assert raised.value.__notes__ == ["Before task with name 'n' and path '('__pregel_pull', 'n')'"]
    assert spec.nodes["n"].writes({"x": "bad"}) == [("x", "bad")]
    assert build({"x": "3"}) == Model(x=3)
    assert spec.output_type is not None
    assert spec.output_type({"x": 1}) == Model(x=1)


class Colour(Enum):
    RED = 1


@dataclass
class Visit:
    on: date
    colour: Colour


def test_the_classes_that_a_thread_may_hold_are_listed_for_the_codec() -> None:
    class Diary(TypedDict):
        visits: Annotated[list[Visit], operator.add]
        model: Model | None

    board: Any = GraphBuilder(Diary).add_node("a", private).add_edge(START, "a")

    assert set(compiled(board).types) == {Diary, Private, Visit, date, Colour, Model}


class Graph:
    """Has the mark of a compiled graph."""

    __perdure_graph__ = True

    def invoke(self, state: Any, config: Any = None) -> Any: ...

    async def ainvoke(self, state: Any, config: Any = None) -> Any: ...


a_graph = Graph()


def test_compiled_graphs_are_found_in_nodes_that_are_hold_or_close_over_them() -> None:
    inner = Graph()

    class Holder:
        def __init__(self) -> None:
            self.graph = inner

        def method(self, state: State) -> Any:
            return self.graph.invoke(state)

        def __call__(self, state: State) -> Any:
            return a_graph.invoke(state)

    def takes(graph: Graph, state: State) -> None: ...

    board: Any = GraphBuilder(State).add_edge(START, "itself").add_node("itself", inner)
    board.add_node("closure", lambda s: inner.invoke(s)).add_node("module", lambda s: a_graph.invoke(s))
    board.add_node("method", Holder().method).add_node("object", Holder())
    board.add_node("partial", functools.partial(takes, inner)).add_node("none", node)
    nodes = compiled(board).nodes

    found = {name: nodes[name].subgraphs for name in board.nodes}
    assert found == {
        "itself": (inner,),
        "closure": (inner,),
        "module": (a_graph,),
        "method": (inner,),
        "object": (inner, a_graph),
        "partial": (inner,),
        "none": (),
    }


def test_a_compiled_graph_shares_no_channel_with_its_builder() -> None:
    board: Any = GraphBuilder(State).add_node("a", node).add_edge(START, "a")
    one, two = compiled(board), compiled(board)

    one.channels["log"].update([["seen"]])

    assert two.channels["log"].get() == []
    assert board.channels["log"].get() == []
