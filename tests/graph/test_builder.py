"""The drawing board: what may be drawn, and what is refused, with the culprit named."""

from __future__ import annotations

import logging
import operator
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal

import pytest
from typing_extensions import TypedDict

from perdure.constants import END, START
from perdure.errors import PerdureError
from perdure.graph.builder import GraphBuilder
from perdure.graph.compile import build_spec
from perdure.types import CachePolicy, Command, RetryPolicy, TracePolicy


class State(TypedDict):
    x: int


class Private(TypedDict):
    secret: str


def node(state: State) -> None: ...


def other(state: State) -> None: ...


@pytest.fixture
def board() -> Any:
    return GraphBuilder(State).add_node("a", node).add_node("b", node)


@pytest.mark.fact(10)
def test_everything_that_adds_returns_the_builder() -> None:
    board: Any = GraphBuilder(State)

    same = [
        board.add_node("a", node),
        board.add_node(other),
        board.add_edge("a", "other"),
        board.add_edge(["a"], "other"),
        board.add_conditional_edges("a", lambda s: "a"),
        board.add_sequence([("c", node), ("d", node)]),
        board.set_entry_point("a"),
        board.set_conditional_entry_point(lambda s: "a"),
        board.set_finish_point("d"),
        board.set_node_defaults(retry_policy=RetryPolicy()),
        board.validate(),
    ]

    assert all(one is board for one in same)


@pytest.mark.fact(1)
def test_enum_members_stand_for_their_values_as_names() -> None:
    class Names(StrEnum):
        A = "a"

    class Mixed(str, Enum):  # noqa: UP042 - the kind that formats as its own name
        B = "b"

    class Only(Enum):
        C = "c"

    board: Any = GraphBuilder(State)
    board.add_node(Names.A, node).add_node(Mixed.B, node).add_node(Only.C, node)
    board.add_edge(START, Names.A).add_edge([Names.A, Mixed.B], Only.C).add_edge(Only.C, Mixed.B)
    board.add_conditional_edges(Mixed.B, lambda s: "x", {"x": Only.C})

    assert list(board.nodes) == ["a", "b", "c"]
    assert board.edges == {("__start__", "a"), ("c", "b")}
    assert board.waiting_edges == {(("a", "b"), "c")}
    assert board.branches["b"]["condition"].ends == ("c",)


@pytest.mark.fact(2)
@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda g: g.add_node("a", node), "Node `a` already present."),
        (lambda g: g.add_node(START, node), "Node `__start__` is reserved."),
        (lambda g: g.add_node(END, node), "Node `__end__` is reserved."),
        (
            lambda g: g.add_node("p:q", node),
            "':' is a reserved character and is not allowed in the node names.",
        ),
        (
            lambda g: g.add_node("p|q", node),
            "'|' is a reserved character and is not allowed in the node names.",
        ),
        (lambda g: g.add_node("", node), "needs a name"),
        (lambda g: g.add_edge(END, "a"), "END cannot be a start node"),
        (lambda g: g.add_edge("a", START), "START cannot be an end node"),
        (lambda g: g.add_edge(["a", END], "b"), "END cannot be a start node"),
        (lambda g: g.add_edge(["a", "q"], "b"), "Need to add_node `q` first"),
        (lambda g: g.add_edge(["a", "b"], "q"), "Need to add_node `q` first"),
        (lambda g: g.add_edge([], "a"), "empty list"),
        (lambda g: g.add_sequence([]), "Sequence requires at least one node."),
        (
            lambda g: g.add_sequence([node, node]),
            "Node names must be unique: node with the name 'node' already exists",
        ),
        (
            lambda g: g.add_sequence([("a", node)]),
            "Node names must be unique: node with the name 'a' already exists",
        ),
        (lambda g: g.add_edge("x", "a").validate(), "Found edge starting at unknown node 'x'"),
        (lambda g: g.add_conditional_edges("x", other).validate(), "Found edge starting at unknown node 'x'"),
        (lambda g: g.add_edge(START, "x").validate(), "Found edge ending at unknown node `x`"),
        (lambda g: g.add_edge(START, "a").validate(["x"]), "Interrupt node `x` not found"),
        (
            lambda g: g.validate(),
            "Graph must have an entrypoint: add at least one edge from START to another node",
        ),
        (
            lambda g: g.add_edge(START, "a").add_conditional_edges("a", lambda s: "p", {"p": "x"}).validate(),
            "At 'a' node, 'condition' branch found unknown target 'x'",
        ),
    ],
)
def test_what_is_no_graph_is_refused_with_its_culprit(board: Any, draw: Any, text: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - its text is compared below
        draw(board)

    assert text in str(raised.value)


def test_a_refused_addition_leaves_the_drawing_as_it_was(board: Any) -> None:
    with pytest.raises(TypeError):
        board.add_node("bad", lambda state, something: None)
    with pytest.raises(ValueError, match="unique"):
        board.add_sequence([("c", node), ("a", node)])

    assert list(board.nodes) == ["a", "b"]
    assert board.edges == set()


def test_a_name_without_a_function_is_refused() -> None:
    with pytest.raises(TypeError, match="says nothing of what it does"):
        GraphBuilder(State).add_node("a")  # type: ignore[call-overload]  # that is the point


@pytest.mark.fact(3)
def test_edges_may_come_before_their_nodes_and_nodes_may_be_unreachable() -> None:
    board: Any = GraphBuilder(State)

    board.add_edge(START, "late").add_node("late", node).add_node("alone", node)

    assert board.validate() is board


@pytest.mark.fact(4)
def test_two_conditional_edges_of_a_node_need_two_names(board: Any) -> None:
    board.add_conditional_edges("a", node).add_conditional_edges("a", lambda s: "b")
    assert list(board.branches["a"]) == ["node", "condition"]

    with pytest.raises(ValueError, match="Branch with name `condition` already exists for node `a`"):
        board.add_conditional_edges("a", lambda s: "b")
    with pytest.raises(ValueError, match="Branch with name `node` already exists"):
        board.add_conditional_edges("a", node)


@pytest.mark.fact(9)
def test_what_is_drawn_after_compile_is_logged_and_changes_nothing_compiled(
    board: Any, caplog: pytest.LogCaptureFixture
) -> None:
    spec = build_spec(board.add_edge(START, "a"), name="g")

    with caplog.at_level(logging.WARNING, logger="perdure.graph"):
        board.add_node("c", node).add_edge("a", "c")

    assert len(caplog.records) == 2
    assert "c" not in spec.nodes
    assert spec.nodes["a"].edges == ()
    assert "c" in build_spec(board, name="g").nodes


@pytest.mark.fact(11)
def test_a_node_s_own_schema_is_the_explicit_one_else_the_inferred_one_else_the_state() -> None:
    def private(secret: Private) -> None: ...

    board: Any = GraphBuilder(State)
    board.add_node("inferred", private).add_node("plain", lambda s: None)
    board.add_node("explicit", node, input_schema=Private)

    schemas = {name: drawn.schema.type for name, drawn in board.nodes.items()}
    assert schemas == {"inferred": Private, "plain": State, "explicit": Private}
    assert list(board.channels) == ["x", "secret"]


@pytest.mark.fact(12)
def test_named_destinations_are_checked_and_change_no_edge(board: Any) -> None:
    def jumps(state: State) -> Command[Literal["a", "b"]]:
        return Command(goto="a")

    board.add_edge(START, "a").add_node("jumps", jumps).add_node(
        "given", node, destinations={"a": "again", END: "done"}
    )

    assert board.nodes["jumps"].destinations == {"a": None, "b": None}
    assert board.nodes["given"].destinations == {"a": "again", END: "done"}
    assert build_spec(board, name="g").nodes["jumps"].edges == ()
    with pytest.raises(ValueError, match="Found edge ending at unknown node `nobody`"):
        board.add_node("wrong", node, destinations=("nobody",)).validate()


@pytest.mark.fact(13)
def test_default_retry_policies_reach_all_nodes_without_their_own() -> None:
    default, own = RetryPolicy(max_attempts=7), RetryPolicy(max_attempts=2)
    board: Any = GraphBuilder(State).add_node("before", node)
    board.set_node_defaults(retry_policy=default)
    board.add_node("own", node, retry_policy=[own, default]).add_node("none", node, retry_policy=())

    nodes = build_spec(board.add_edge(START, "before"), name="g").nodes

    assert nodes["before"].retry == (default,)
    assert nodes["own"].retry == (own, default)
    assert nodes["none"].retry == ()
    assert nodes[START].retry == ()


@pytest.mark.fact(123)
def test_a_retry_on_that_is_no_class_sequence_or_function_is_refused_when_it_is_given(board: Any) -> None:
    with pytest.raises(TypeError, match="retry_on must be an Exception class"):
        board.add_node("c", node, retry_policy=RetryPolicy(retry_on=object()))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="retry_policy is a RetryPolicy"):
        board.add_node("c", node, retry_policy=[3])


@pytest.mark.parametrize(
    "later",
    [
        {"defer": True},
        {"cache_policy": CachePolicy()},
        {"error_handler": node},
        {"timeout": 3},
        {"trace_policy": TracePolicy()},
    ],
)
def test_what_comes_with_a_later_release_is_refused_and_not_ignored(
    board: Any, later: dict[str, Any]
) -> None:
    with pytest.raises(PerdureError, match=f"{next(iter(later))}= arrives with a later release"):
        board.add_node("c", node, **later)

    assert "c" not in board.nodes


def test_a_state_of_one_value_ignores_schemas_it_guesses_and_refuses_those_that_do_not_fit() -> None:
    @dataclass
    class Part:
        y: int

    def of_a_send(part: Part) -> None: ...

    board: Any = GraphBuilder(Annotated[list[int], operator.add])  # type: ignore[arg-type]  # no class for checkers
    board.add_node(of_a_send)

    assert board.nodes["of_a_send"].schema.read == "__root__"
    with pytest.raises(ValueError, match="input schema of node 'b' is Part"):
        board.add_node("b", of_a_send, input_schema=Part)
