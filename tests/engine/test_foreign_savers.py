"""Somebody else's saver: a class with methods of its own, which are called instead of the joint commit."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kit import Colour, Log, at, chain, fan, questions, thread
from perdure.checkpoint.memory import InMemorySaver
from perdure.errors import Conflict
from perdure.store.memory import InMemoryStore
from perdure.types import Command, interrupt


class CountingSaver(InMemorySaver):
    """Overrides what the joint commit would pass by."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: list[str] = []

    def put(self, *args: Any, **options: Any) -> Any:
        self.puts.append(args[2]["source"])
        return super().put(*args, **options)


@pytest.fixture
def saver() -> CountingSaver:
    return CountingSaver()


def asks(state: Log) -> Log:
    return {"log": [interrupt("?")]}


def test_its_methods_are_called_for_every_checkpoint(run: Colour, saver: CountingSaver) -> None:
    graph = chain("a", "b").compile(saver)

    assert run.invoke(graph, {}, thread("t")) == {"log": ["a", "b"]}

    assert saver.puts == ["input", "loop", "loop", "loop"]
    history = run.history(graph, thread("t"))
    assert [seen.next for seen in history] == [(), ("b",), ("a",), ("__start__",)]
    assert [seen.metadata["step"] for seen in history] == [2, 1, 0, -1]
    assert [at(seen.parent_config) for seen in history[:-1]] == [at(seen.config) for seen in history[1:]]


def test_questions_updates_and_branches_work(run: Colour, saver: CountingSaver) -> None:
    graph = fan("a", ("q", asks)).compile(saver)
    assert questions(run.invoke(graph, {}, thread("t"))) == ["?"]
    asked = run.state(graph, thread("t"))
    assert (asked.values, asked.next) == ({"log": ["a"]}, ("q",))

    assert run.invoke(graph, Command(resume="A"), thread("t")) == {"log": ["a", "A"]}
    assert questions(run.invoke(graph, None, asked.config)) == ["?"]
    run.update(graph, thread("t"), {"n": 5}, as_node="q")
    assert run.state(graph, thread("t")).values == {"log": ["a"], "n": 5}


def test_a_copy_stands_beside_its_checkpoint(run: Colour, saver: CountingSaver) -> None:
    graph = chain("a", "b").compile(saver)
    run.invoke(graph, {}, thread("t"))
    old = run.history(graph, thread("t"))[1]

    copy = run.state(graph, run.update(graph, old.config, None, as_node="__copy__"))

    assert (copy.metadata["source"], copy.next, copy.values) == ("fork", old.next, old.values)
    assert copy.parent_config == old.parent_config


def test_exit_saves_once(run: Colour, saver: CountingSaver) -> None:
    graph = chain("a", "b").compile(saver)

    run.invoke(graph, {}, thread("t"), durability="exit")

    assert saver.puts == ["loop"]
    assert run.state(graph, thread("t")).values == {"log": ["a", "b"]}


def test_memory_is_written_before_the_checkpoint(run: Colour, saver: CountingSaver) -> None:
    def remembers(state: Log, *, store: Any) -> Log:
        store.put(("notes",), "k", {"n": 1})
        return {"log": ["a"]}

    store = InMemoryStore()
    graph = chain(("a", remembers)).compile(checkpointer=saver, store=store)
    run.invoke(graph, {}, thread("t"))

    assert store.get(("notes",), "k").value == {"n": 1}  # type: ignore[union-attr]  # it is there


def test_a_saver_that_fails_fails_the_run(
    run: Colour, saver: CountingSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError("disk full")

    graph = chain("a").compile(saver)
    with monkeypatch.context() as patch:
        patch.setattr(saver, "put", full)
        with pytest.raises(OSError, match="disk full"):
            run.invoke(graph, {}, thread("t"))

    assert run.invoke(graph, {}, thread("t")) == {"log": ["a"]}


def test_two_calls_at_once_are_a_conflict_here_too(saver: CountingSaver) -> None:
    graph = chain("a", "b").compile(saver)
    chunks: Any = graph.stream({}, thread("t"))
    next(chunks)

    with pytest.raises(Conflict):
        graph.invoke({}, thread("t"))
    chunks.close()
    assert graph.invoke(None, thread("t")) == {"log": ["a", "b"]}


class Refusal(Exception):
    """A saver's own error."""


@pytest.mark.fact(136)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("method", ["get_tuple", "put", "put_writes", "get_next_version"])
def test_what_the_saver_raises_reaches_the_caller(run: Colour, method: str, durability: str) -> None:
    def refuse(self: Any, *_: Any, **__: Any) -> Any:
        raise Refusal(method)

    async def arefuse(self: Any, *_: Any, **__: Any) -> Any:
        raise Refusal(method)

    twin = {} if method == "get_next_version" else {f"a{method}": arefuse}
    saver: Any = type("Refusing", (InMemorySaver,), {method: refuse, **twin})()
    graph = fan("a", ("q", asks)).compile(saver)  # one finishes, one asks: there is something to record

    with pytest.raises(Refusal, match=method):
        run.invoke(graph, {}, thread("t"), durability=durability)
