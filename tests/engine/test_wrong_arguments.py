"""Arguments that cannot be right: an error of ours that names what was given, before anything ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.kit import Colour, Log, chain, logs, thread
from perdure import connect
from perdure.checkpoint.memory import InMemorySaver
from perdure.errors import PerdureError
from perdure.graph import StateGraph
from perdure.types import RetryPolicy


@pytest.mark.parametrize(
    ("draw", "says"),
    [
        (lambda g: g.compile(store=5), r"store=5: .*\bint\b.*BaseStore.*InMemoryStore"),
        (lambda g: g.compile(store=connect("memory://")), r"a Database.*compile\(db\).*db\.store"),
        (lambda g: g.compile(store=InMemorySaver), "BaseStore"),
        (lambda g: g.compile(checkpointer=5), "checkpointer.*BaseCheckpointSaver.*Received int"),
        (lambda g: g.add_node("b", logs("b"), retry_policy=5), "node 'b': retry_policy.*RetryPolicy.*5"),
        (lambda g: g.add_node("b", logs("b"), retry_policy=[5]), "node 'b': retry_policy.*RetryPolicy.*5"),
        (lambda g: g.add_node("b", logs("b"), metadata=5), "node 'b': metadata.*dict.*5"),
        (lambda g: g.set_node_defaults(retry_policy=5), "retry_policy.*RetryPolicy.*5"),
    ],
)
def test_a_drawing_refuses_what_is_no_such_thing(draw: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        draw(chain("a"))


def test_a_node_that_was_refused_was_not_added() -> None:
    drawing: Any = StateGraph(Log)
    with pytest.raises(TypeError):
        drawing.add_node("a", logs("a"), metadata=5)

    drawing.add_node("a", logs("a"), metadata={"team": "green"}, retry_policy=(RetryPolicy(),))


@pytest.mark.parametrize(
    ("config", "kind", "says"),
    [
        (5, TypeError, "config=5: .*dict"),
        ("t", TypeError, "config='t': .*dict"),
        ({"configurable": 5}, TypeError, "configurable=5: .*dict"),
        ({"metadata": 5}, TypeError, "metadata=5: .*dict"),
        ({"tags": 5}, TypeError, "tags=5: .*list of strings"),
        ({"tags": "green"}, TypeError, "tags='green': .*list of strings"),
        ({"tags": [5]}, TypeError, r"tags=\[5\]: .*list of strings"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency=0: .*at least 1"),
        ({"max_concurrency": -1}, ValueError, "max_concurrency=-1: .*at least 1"),
        ({"max_concurrency": "x"}, ValueError, "max_concurrency='x': .*integer"),
        ({"max_concurrency": True}, ValueError, "max_concurrency=True: .*integer"),
        ({"recursion_limit": "x"}, ValueError, "recursion_limit.*'x'.*integer"),
        ({"recursion_limit": 2.5}, ValueError, "recursion_limit.*2.5.*integer"),
        ({"recursion_limit": 0}, ValueError, "recursion_limit must be at least 1"),
    ],
)
def test_a_run_refuses_a_config_that_cannot_be_right(
    run: Colour, config: Any, kind: type[Exception], says: str
) -> None:
    ran: list[int] = []
    graph = chain(("a", lambda state: ran.append(1))).compile()

    for call in (
        lambda: run.invoke(graph, {}, config),
        lambda: run.stream(graph, {}, config),
        lambda: run.batch(graph, [{}], config),
        lambda: run.invoke(graph.with_config({"tags": ["a"], "metadata": {"a": 1}}), {}, config),
    ):
        with pytest.raises(kind, match=says):
            call()
    assert ran == []


def test_configs_of_other_kinds_of_mappings_and_numbers_are_fine(run: Colour) -> None:
    from types import MappingProxyType

    config = MappingProxyType({"tags": ("a",), "metadata": MappingProxyType({"k": 1}), "max_concurrency": 1})

    assert run.invoke(chain("a").compile(), {}, config) == {"log": ["a"]}
    assert run.invoke(chain("a").compile(), {}, {"max_concurrency": None, "tags": None}) == {"log": ["a"]}


def test_state_methods_refuse_a_wrong_config(run: Colour) -> None:
    graph = chain("a").compile(InMemorySaver())

    for call in (
        lambda: run.state(graph, 5),
        lambda: run.history(graph, 5),
        lambda: run.update(graph, 5, {}),
    ):
        with pytest.raises(TypeError, match="config=5"):
            call()
    with pytest.raises(TypeError, match="config=5"):
        graph.with_config(5)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("mode", ["messages", "tools"])
def test_a_stream_mode_of_a_later_release_says_so(run: Colour, mode: str) -> None:
    graph = chain("a").compile()
    for wanted in (mode, ["values", mode]):
        with pytest.raises(PerdureError, match=f"'{mode}' arrives with a later release.*status.md"):
            run.stream(graph, {}, thread("t"), stream_mode=wanted)


@pytest.mark.parametrize("mode", ["colours", 5, [5]])
def test_an_unknown_stream_mode_is_named(run: Colour, mode: Any) -> None:
    with pytest.raises(ValueError, match=r"stream mode.*Known: values, updates"):
        run.stream(chain("a").compile(), {}, stream_mode=mode)


@pytest.mark.parametrize(
    ("url", "says"), [(5, "5: .*'sqlite:///agent.db'"), (Path("a.db"), "'sqlite:///a.db'"), (None, "None: ")]
)
def test_connect_refuses_what_is_no_url(url: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        connect(url)


def test_connect_refuses_what_is_no_key(tmp_path: Path) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match=r"encryption is a int.*32-byte key.*Cipher"):
        connect(f"sqlite:///{tmp_path}/a.db", encryption=wrong)

    assert list(tmp_path.iterdir()) == []
