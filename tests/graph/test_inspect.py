"""What is seen in users' functions: names, what they want injected, which schema, where they lead."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Optional

import pytest
from typing_extensions import TypedDict

from perdure.graph.inspect import UserCode, name_of, user_code
from perdure.runtime import Runtime
from perdure.types import Command, StreamWriter

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class State(TypedDict):
    x: int


class BaseStore:
    """Known by its name, as the real one is."""


class InMemoryStore(BaseStore): ...


@dataclass
class NodeError: ...


def seen(thing: object) -> UserCode:
    return user_code(thing, role="node 'n'")


def wants(thing: object) -> dict[str, str]:
    return dict(seen(thing).call.wants)


# ---- injection


def test_a_function_of_the_state_alone_wants_nothing() -> None:
    def node(state: State) -> None: ...

    assert wants(node) == {}
    assert wants(lambda s: s) == {}
    assert wants(len) == {}


def test_parameters_are_filled_by_name_positional_or_keyword_only() -> None:
    def node(state, config, store, *, writer, runtime, previous): ...  # type: ignore[no-untyped-def]  # as users write

    assert wants(node) == {n: n for n in ("config", "store", "writer", "runtime", "previous")}


def test_the_right_annotations_are_known_as_strings_in_unions_and_by_name_only() -> None:
    def strings(state: State, config: RunnableConfig, store: BaseStore, writer: StreamWriter) -> None: ...
    def optional(state: State, config: RunnableConfig | None, store: BaseStore | None) -> None: ...
    def old(state: State, config: Optional[RunnableConfig], store: Optional[BaseStore]) -> None: ...  # noqa: UP045
    def plain(state: State, config: dict[str, Any], writer: Callable[[Any], None]) -> None: ...
    def anything(state: State, config: Any, store: Any, runtime: Runtime[State]) -> None: ...

    assert wants(strings) == {"config": "config", "store": "store", "writer": "writer"}
    assert wants(optional) == wants(old) == {"config": "config", "store": "store"}
    assert wants(plain) == {"config": "config", "writer": "writer"}
    assert wants(anything) == {"config": "config", "store": "store", "runtime": "runtime"}


@pytest.mark.parametrize(
    ("parameter", "annotation", "advice"),
    [
        ("config", int, "Annotate it `RunnableConfig`"),
        ("store", InMemoryStore, "it is annotated InMemoryStore. Annotate it `BaseStore`"),
        ("writer", int, "Annotate it `StreamWriter`"),
        ("error", NodeError, "only error handlers get an `error`"),
        ("context", int, "a node is given the state and, by name"),
        ("rt", Runtime[State], "Name it `runtime`"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_with_node_and_parameter(
    parameter: str, annotation: Any, advice: str
) -> None:
    scope: dict[str, Any] = {"annotation": annotation}
    exec(f"def node(state, {parameter}: annotation): ...", scope)  # noqa: S102 - a function for each name

    with pytest.raises(TypeError, match=f"Parameter '{parameter}' of node 'n' .*{advice}"):
        seen(scope["node"])


def test_a_parameter_that_cannot_be_filled_but_has_a_default_keeps_it() -> None:
    def node(
        state: State, store: InMemoryStore | None = None, count: int = 3, *args: int, **more: int
    ) -> None: ...

    assert wants(node) == {}


def test_what_is_injected_goes_by_name_so_it_cannot_be_positional_only() -> None:
    def node(state: State, config: dict[str, Any], /) -> None: ...

    with pytest.raises(TypeError, match="positional-only"):
        seen(node)


@pytest.mark.parametrize("name", ["config", "store", "writer", "runtime"])
def test_the_first_parameter_is_the_state_and_a_name_that_says_otherwise_is_refused(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def node({name}): ...", scope)  # noqa: S102 - a function for each name

    with pytest.raises(TypeError, match=f"first parameter of node 'n' is named '{name}'"):
        seen(scope["node"])


def test_a_function_without_a_place_for_the_state_is_refused() -> None:
    def nothing() -> None: ...
    def keyword(*, state: State) -> None: ...

    for node in (nothing, keyword):
        with pytest.raises(TypeError, match="takes no positional argument"):
            seen(node)


def test_something_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match=r"node 'n' is 5 of type int. Expected a Runnable or a callable"):
        seen(5)


# ---- kinds of callables


def test_partials_keep_what_is_bound_and_want_the_rest() -> None:
    def node(prefix: str, state: State, config: dict[str, Any], store: BaseStore) -> None: ...

    assert wants(functools.partial(node, "p", store=BaseStore())) == {"config": "config"}


def test_methods_and_objects_are_seen_without_their_self() -> None:
    class Node:
        def __call__(self, state: State, runtime: Runtime[None]) -> Command[Literal["a"]]:
            return Command(goto="a")

        async def method(self, state: State, config: dict[str, Any]) -> None: ...

    assert wants(Node()) == {"runtime": "runtime"}
    assert seen(Node()).schema is State
    assert seen(Node()).jumps == ("a",)
    assert wants(Node().method) == {"config": "config"}
    assert seen(Node().method).schema is State


def test_async_is_seen_in_functions_partials_methods_and_objects() -> None:
    async def node(state: State) -> None: ...

    class Node:
        async def __call__(self, state: State) -> None: ...

        async def method(self, state: State) -> None: ...

    for thing in (
        node,
        functools.partial(node),
        functools.partial(functools.partial(node)),
        Node(),
        Node().method,
    ):
        call = seen(thing).call
        assert call.sync is None
        assert call.asynchronous is thing
    assert seen(functools.partial(Node())).call.sync is None
    assert seen(lambda s: s).call.asynchronous is None


def test_a_decorator_that_passes_keywords_on_shows_the_function_within() -> None:
    def node(state: State, config: dict[str, Any]) -> None: ...

    @functools.wraps(node)
    def passes(*args: Any, **kwargs: Any) -> None: ...

    @functools.wraps(node)
    def takes_the_state(state: State) -> None: ...

    assert wants(passes) == {"config": "config"}
    assert wants(takes_the_state) == {}


def test_a_built_in_without_a_signature_is_called_with_the_state() -> None:
    assert wants(operator.itemgetter("x")) == {}
    assert wants(dict) == {}


class Chain:
    """Has the shape of LangChain's Runnables."""

    name = "chain"

    def invoke(self, state: Any, config: Any = None, **kwargs: Any) -> Any:
        return ("sync", state, config)

    async def ainvoke(self, state: Any, config: Any = None, **kwargs: Any) -> Any:
        return ("async", state, config)

    def get_name(self) -> str:
        return "the chain"


async def test_a_runnable_is_known_by_its_shape_and_gets_the_config() -> None:
    call = seen(Chain()).call

    assert call.wants == {"config": "config"}
    assert call.sync is not None
    assert call.asynchronous is not None
    assert call.sync(1, config=2) == ("sync", 1, 2)
    assert await call.asynchronous(1, config=2) == ("async", 1, 2)


@pytest.mark.fact(1)
def test_a_node_is_named_after_its_function_its_runnable_or_its_class() -> None:
    class Node:
        def __call__(self, state: State) -> None: ...

        def method(self, state: State) -> None: ...

    def node(state: State) -> None: ...

    assert name_of(node) == "node"
    assert name_of(Node().method) == "method"
    assert name_of(Node()) == "Node"
    assert name_of(Chain()) == "the chain"
    assert name_of(functools.partial(node)) == "partial"


# ---- schemas and targets


@pytest.mark.fact(11)
def test_only_the_annotation_of_the_first_parameter_tells_the_schema_and_only_a_class_with_annotations() -> (
    None
):
    def first(state: State, config: dict[str, Any]) -> None: ...
    def second(state, runtime: Runtime[State]): ...  # type: ignore[no-untyped-def]  # as users write
    def not_a_class(state: dict[str, Any]) -> None: ...
    def union(state: State | None) -> None: ...
    def bare(state: int) -> None: ...
    def unknown(state: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - that is the point

    assert seen(first).schema is State
    for node in (second, not_a_class, union, bare, unknown, lambda s: s):
        assert seen(node).schema is None


def test_annotations_are_found_where_the_function_was_written() -> None:
    class Local(TypedDict):
        y: int

    def node(state: Local) -> None: ...

    assert seen(node).schema is Local


@pytest.mark.fact(12)
def test_a_command_s_literal_names_the_targets() -> None:
    def one(state: State) -> Command[Literal["a", "b"]]: ...  # type: ignore[empty-body]  # only looked at
    def union(state: State) -> dict[str, Any] | Command[Literal["a"]] | Command[Literal["b"]]: ...  # type: ignore[empty-body]
    def none(state: State) -> Command[str]: ...  # type: ignore[empty-body]  # only looked at
    async def later(state: State) -> Command[Literal["a"]]: ...  # type: ignore[empty-body]  # only looked at

    assert seen(one).jumps == seen(union).jumps == ("a", "b")
    assert seen(none).jumps == ()
    assert seen(later).jumps == ("a",)


def test_the_literals_of_a_path_function_name_its_ends() -> None:
    def one(state: State) -> Literal["a", "__end__"]: ...  # type: ignore[empty-body]  # only looked at
    def several(state: State) -> list[Literal["a", "b"]] | Literal["c"]: ...  # type: ignore[empty-body]

    assert seen(one).answers == ("a", "__end__")
    assert seen(several).answers == ("a", "b", "c")
