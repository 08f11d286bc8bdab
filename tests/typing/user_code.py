"""A user's program under pyright strict. Nothing here is run by itself: the checker must find no error and no `Unknown`.

Every `# pyright: ignore[...]` stands at a mistake that the checker has to find: were it not found, the needless ignore
would be the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_type

from typing_extensions import TypedDict

from perdure.config import get_store
from perdure.constants import END, START
from perdure.graph.state import CompiledStateGraph, StateGraph
from perdure.memory import (
    Consolidated,
    MemoryNode,
    Recalled,
    aconsolidate,
    consolidate,
    consolidation,
    content_key,
    estimate_tokens,
    format_memories,
    recall,
    remember,
)
from perdure.runtime import Runtime
from perdure.store.base import BaseStore, Contract, Item, Op
from perdure.store.base import Result as OpResult
from perdure.types import Command, RetryPolicy, Send, StreamWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perdure.database import Database
    from perdure.store.memory import InMemoryStore


def add(left: list[str], right: list[str]) -> list[str]:
    return left + right


class State(TypedDict):
    question: str
    log: Annotated[list[str], add]


class Secret(TypedDict):
    note: str


class Input(TypedDict):
    question: str


@dataclass
class Result:
    log: list[str]


@dataclass
class User:
    name: str


# ---- one node for each set of injectables


def plain(state: State) -> State:
    return state


def with_config(state: State, config: dict[str, Any]) -> dict[str, Any]:
    return {"log": [str(config)]}


def with_store(state: State, *, store: BaseStore | None) -> dict[str, Any]:
    return {"log": [str(store)]}


def with_writer(state: State, writer: StreamWriter) -> None:
    writer(state["question"])


def with_runtime(state: State, runtime: Runtime[User]) -> dict[str, Any]:
    return {"log": [runtime.context.name]}


def with_config_store(state: State, config: dict[str, Any], store: BaseStore) -> dict[str, Any]:
    return {"log": [str(config), str(store)]}


def with_config_writer(state: State, config: dict[str, Any], *, writer: StreamWriter) -> None:
    writer(config)


def with_config_runtime(state: State, config: dict[str, Any], runtime: Runtime[User]) -> None: ...


def with_store_writer(state: State, *, store: BaseStore, writer: StreamWriter) -> None: ...


def with_store_runtime(state: State, store: BaseStore, runtime: Runtime[User]) -> None: ...


def with_writer_runtime(state: State, writer: StreamWriter, runtime: Runtime[User]) -> None: ...


def with_config_store_writer(
    state: State, config: dict[str, Any], store: BaseStore, writer: StreamWriter
) -> None: ...


def with_config_store_runtime(
    state: State, config: dict[str, Any], store: BaseStore, runtime: Runtime[User]
) -> None: ...


def with_config_writer_runtime(
    state: State, config: dict[str, Any], writer: StreamWriter, runtime: Runtime[User]
) -> None: ...


def with_store_writer_runtime(
    state: State, store: BaseStore, writer: StreamWriter, runtime: Runtime[User]
) -> None: ...


def with_all(
    state: State, config: dict[str, Any], store: BaseStore, writer: StreamWriter, runtime: Runtime[User]
) -> None: ...


async def asynchronous(state: State, runtime: Runtime[User]) -> dict[str, Any]:
    return {"log": [runtime.context.name]}


def by_another_name(anything: State, /) -> dict[str, Any]:
    return {"question": anything["question"]}


def private(secret: Secret, *, runtime: Runtime[User]) -> dict[str, Any]:
    return {"log": [secret["note"]]}


def one_word(word: str) -> dict[str, Any]:
    return {"log": [word]}


def jumps(state: State) -> Command[Literal["plain", "private"]]:
    return Command(update={"question": ""}, goto="plain" if state["log"] else "private")


class Greeter:
    def __call__(self, state: State, runtime: Runtime[User]) -> dict[str, Any]:
        return {"log": [runtime.context.name]}

    def method(self, state: State, config: dict[str, Any]) -> dict[str, Any]:
        return {"log": [str(config)]}

    async def later(self, state: State) -> dict[str, Any]:
        return {"log": [state["question"]]}


def drawn() -> StateGraph[State, User, Input, Result]:
    builder = StateGraph(State, User, input_schema=Input, output_schema=Result)
    assert_type(builder, StateGraph[State, User, Input, Result])

    builder.add_node(plain).add_node(with_config).add_node(with_store).add_node(with_writer).add_node(
        with_runtime
    )
    builder.add_node(with_config_store).add_node(with_config_writer).add_node(with_config_runtime)
    builder.add_node(with_store_writer).add_node(with_store_runtime).add_node(with_writer_runtime)
    builder.add_node(with_config_store_writer).add_node(with_config_store_runtime)
    builder.add_node(with_config_writer_runtime).add_node(with_store_writer_runtime).add_node(with_all)
    builder.add_node(asynchronous, retry_policy=RetryPolicy(max_attempts=2), metadata={"team": "green"})
    builder.add_node(private).add_node(one_word).add_node(jumps, destinations={"plain": "again"})

    builder.add_node("named", plain).add_node("a", asynchronous).add_node("all", with_all)
    builder.add_node("positional", by_another_name).add_node("word", one_word).add_node("p", private)
    builder.add_node("object", Greeter()).add_node("method", Greeter().method).add_node(
        "later", Greeter().later
    )
    builder.add_node("seen through", plain, input_schema=State).add_node("note", private, input_schema=Secret)

    return builder


def lambdas(builder: StateGraph[State, User, Input, Result]) -> None:
    # A lambda has no annotations: the types of its parameters come from the one set of injectables that fits it.
    builder.add_node("plain lambda", lambda state: {"log": [assert_type(state, State)["question"]]})
    builder.add_node(
        "runtime", lambda s, runtime: {"log": [assert_type(runtime, Runtime[User]).context.name]}
    )
    builder.add_node("config", lambda state, config: {"log": [state["question"], assert_type(config, Any)]})
    builder.add_node(
        "store", lambda state, store: {"log": [state["question"], str(assert_type(store, BaseStore))]}
    )
    builder.add_node("writer", lambda state, writer: assert_type(writer, StreamWriter)(state["question"]))
    builder.add_node(
        "two", lambda s, config, runtime: {"log": [s["question"], str(config), runtime.context.name]}
    )
    builder.add_node(
        "own", lambda secret: {"log": [assert_type(secret, Secret)["note"]]}, input_schema=Secret
    )


def edges(builder: StateGraph[State, User, Input, Result]) -> None:
    def path(state: State) -> Literal["plain", "private"]:
        return "plain" if state["log"] else "private"

    async def fan_out(state: State, runtime: Runtime[User]) -> list[Send | str]:
        return [*(Send("one_word", word) for word in state["question"].split()), END, runtime.context.name]

    def by_note(secret: Secret) -> bool:
        return bool(secret["note"])

    builder.add_edge(START, "plain").add_edge(["plain", "private"], "jumps").set_finish_point("jumps")
    builder.add_conditional_edges("plain", path).add_conditional_edges("private", fan_out, ["plain", END])
    builder.add_conditional_edges("jumps", by_note, {True: "plain", False: END})
    builder.add_conditional_edges("all", lambda state: assert_type(state, State)["question"])
    builder.add_sequence([plain, ("second", private), asynchronous]).set_entry_point("plain")
    builder.set_node_defaults(retry_policy=[RetryPolicy()]).validate(interrupt=["plain"])


def generics() -> None:
    # Without schemas of their own, input and output are the state, and there is no context.
    assert_type(StateGraph(State), StateGraph[State, None, State, State])
    assert_type(StateGraph(State).add_node(plain), StateGraph[State, None, State, State])


def compiled(builder: StateGraph[State, User, Input, Result]) -> None:
    graph = builder.compile(interrupt_before=["plain"], name="words")
    assert_type(graph, CompiledStateGraph[State, User, Input, Result])
    assert_type(graph.builder, StateGraph[State, User, Input, Result])

    # A compiled graph is a node like any other, whatever its own state is.
    inner = StateGraph(Secret).add_node(private_only).add_edge(START, "private_only").compile()
    assert_type(inner, CompiledStateGraph[Secret, None, Secret, Secret])
    builder.add_node("inner", inner).add_sequence([("first", plain), ("second", inner)])


def private_only(secret: Secret) -> Secret:
    return secret


def wrong(state: State, other: int) -> dict[str, Any]:
    return {"log": [str(other)]}


def wrong_context(state: State, runtime: Runtime[Result]) -> dict[str, Any]:
    return {"log": runtime.context.log}


def wrong_store(state: State, store: int) -> dict[str, Any]:
    return {"log": [str(store)]}


def mistakes(builder: StateGraph[State, User, Input, Result]) -> None:
    builder.add_node("a", wrong)  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("b", wrong_context)  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("c", wrong_store)  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("d", plain, input_schema=Secret)  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("e", 5)  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_node("f")  # pyright: ignore[reportCallIssue, reportArgumentType]
    builder.add_edge(START, 5)  # pyright: ignore[reportArgumentType]


# ---- memory that is written safely


def one_more(value: dict[str, Any] | None) -> dict[str, Any]:
    return {"n": (value or {"n": 0})["n"] + 1}


def remembers(state: State, *, store: BaseStore) -> None:
    store.put(("notes",), "a", {"n": 1}, if_absent=True)
    store.put(("notes",), "a", {"n": 2}, if_version=3)
    store.delete(("notes",), "a", if_version=3)
    assert_type(store.update(("notes",), "a", one_more), Item | None)
    store.update(("notes",), "a", lambda value: None if value is None else {"n": value["n"]})
    assert_type(store.direct, BaseStore)
    store.direct.put(("log",), "a", {"seen": True})


async def remembers_later(state: State, runtime: Runtime[User]) -> None:
    store = runtime.store
    assert store is not None
    await store.aput(("notes",), "a", {"n": 1}, if_absent=True)
    await store.aput(("notes",), "a", {"n": 2}, if_version=3)
    await store.adelete(("notes",), "a", if_version=3)
    assert_type(await store.aupdate(("notes",), "a", one_more), Item | None)
    await store.direct.aput(("log",), "a", {"seen": True})


def through_faces(memory: InMemoryStore, database: Database) -> None:
    memory.direct.update(("notes",), "a", one_more)
    database.store.direct.put(("notes",), "a", {}, if_absent=True)
    get_store().update(("notes",), "a", one_more)
    database.store.update(("notes",), "a", 5)  # pyright: ignore[reportArgumentType]


class SomebodysStore(BaseStore):
    def batch(self, ops: Iterable[Op]) -> list[OpResult]:
        return [None for _ in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[OpResult]:
        return self.batch(ops)


def with_memory(builder: StateGraph[State, User, Input, Result]) -> None:
    builder.add_node(remembers).add_node(remembers_later).compile(store=SomebodysStore())


# ---- nodes that remember


def facts(state: State) -> list[str]:
    return state["log"]


async def facts_later(state: State, runtime: Runtime[User]) -> tuple[str, dict[str, Any]] | None:
    return runtime.context.name, {"log": state["log"]}


def whose(state: State, runtime: Runtime[User]) -> tuple[str, ...]:
    return ("users", runtime.context.name)


def joined(items: list[Item]) -> dict[str, Any] | None:
    return {"text": items[0].key} if len(items) > 2 else None


async def joined_later(items: list[Item]) -> str:
    return items[0].key


def memory_nodes(builder: StateGraph[State, User, Input, Result]) -> None:
    mine = ("users", "{name}")
    assert_type(recall(namespace=mine), MemoryNode)
    builder.add_node(recall("question", namespace=mine, limit=5, mode="text", into="log", weights=(0.5, 0.5)))
    builder.add_node("by function", recall(lambda state: state["question"], namespace=whose))
    builder.add_node("filtered", recall(namespace=mine, filter={"kind": "taste"}, on_empty="nothing"))
    builder.add_node("made filter", recall(namespace=mine, filter=lambda state: {"kind": state["question"]}))
    builder.add_node(remember(facts, namespace=mine)).add_node(
        "later", remember(facts_later, namespace=whose)
    )
    builder.add_node("kept", remember(lambda state: state["log"][-1], namespace=mine, ttl=60, index=["text"]))
    builder.add_node(
        "keyed", remember(facts, namespace=mine, key=lambda fact: str(fact["about"]), rewrite=True)
    )
    builder.add_sequence([consolidation(namespace=mine, merge=joined_later, into="log")])
    recall("question", namespace=mine, mode="words")  # pyright: ignore[reportArgumentType]
    recall("question")  # pyright: ignore[reportCallIssue]
    remember(facts, namespace="users")  # pyright: ignore[reportArgumentType]


def tidied(store: BaseStore) -> None:
    report = consolidate(store, ("users",), above=0.8, merge=joined, dry_run=True)
    assert_type(report, Consolidated)
    for one in report.merged:
        assert_type(one.items, tuple[Item, ...])
        assert_type(one.value, dict[str, Any])
    assert_type(report.dict(), dict[str, Any])
    consolidate(store, ("users",), above="0.8")  # pyright: ignore[reportArgumentType]


async def tidied_later(store: BaseStore) -> None:
    assert_type(await aconsolidate(store, ("users",), merge=joined_later), Consolidated)


def prompted(store: BaseStore, found: list[Recalled]) -> str:
    assert_type(content_key("tea"), str)
    assert_type(estimate_tokens("tea"), int)
    text = format_memories(
        found, budget=100, count=len, template="{text} ({score:.1f})", left_out="({n} more)"
    )
    text += format_memories(store.search(("users",)), template=lambda memory: str(memory), cut=True)
    return text + format_memories(["tea"], budget=1.5)  # pyright: ignore[reportArgumentType]


# ---- memory contracts


def newer(value: dict[str, Any], version: int) -> dict[str, Any]:
    return {**value, "name": value.get("name", str(version))}


def contracts() -> list[Contract]:
    old = Contract(("users", "*"), Secret)
    assert_type(old.version, int)
    Contract(("users",), "User")  # pyright: ignore[reportArgumentType]
    return [old, Contract(("users", "*", "profile"), User, version=2, migrate=newer)]
