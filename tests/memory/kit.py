"""Words of these tests: users' states, threads, a store of somebody else's, a model that is a table."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from typing_extensions import TypedDict

from engine.kit import Colour
from perdure.graph import START, StateGraph
from perdure.memory import Consolidated, MemoryNode, aconsolidate, consolidate
from perdure.store.base import BaseStore, Op, Result
from perdure.store.memory import InMemoryStore

ADA = ("users", "ada")
BOB = ("users", "bob")
MINE = ("users", "{user_id}")


class Chat(TypedDict, total=False):
    """A conversation and what was recalled for it."""

    messages: Annotated[list[Any], operator.add]
    question: Any
    memories: list[dict[str, Any]]
    report: dict[str, Any]
    log: Annotated[list[str], operator.add]


def graph_of(*nodes: MemoryNode | tuple[str, Any], schema: Any = Chat) -> Any:
    """A drawing with these nodes, one after the other."""
    drawing: Any = StateGraph(schema)
    before = START
    for node in nodes:
        name, action = node if isinstance(node, tuple) else (node.name, node)
        drawing.add_node(name, action).add_edge(before, name)
        before = name
    return drawing


def of(user: str, thread: str = "one") -> dict[str, Any]:
    """The config of a user's thread."""
    return {"configurable": {"thread_id": thread, "user_id": user}}


def texts(store: Any, prefix: tuple[str, ...] = ADA) -> list[str]:
    """What is remembered there, newest first."""
    return [item.value["text"] for item in store.search(prefix, limit=1000)]


class Foreign(BaseStore):
    """Somebody else's store: the interface and no more."""

    def __init__(self) -> None:
        self.inner = InMemoryStore()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self.inner.batch(ops)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await self.inner.abatch(ops)


class Table:
    """A model whose vectors are in a table; counts the texts it is asked for."""

    def __init__(self, rows: dict[str, list[float]]) -> None:
        self.rows = rows
        self.asked: list[str] = []

    def __call__(self, asked: Sequence[str]) -> list[list[float]]:
        self.asked += asked
        return [self.rows.get(text, [0.0, 0.0, 1.0]) for text in asked]


class Later(Table):
    """The same, async only."""

    async def __call__(self, asked: Sequence[str]) -> list[list[float]]:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().__call__(asked)


def tidy(run: Colour, store: Any, namespace: tuple[str, ...] = ADA, **options: Any) -> Consolidated:
    if run.blocking:
        return consolidate(store, namespace, **options)
    return asyncio.run(aconsolidate(store, namespace, **options))


def fill(store: Any, *some: str, namespace: tuple[str, ...] = ADA) -> None:
    """Items k0, k1 ..., the first of them the oldest."""
    for number, text in enumerate(some):
        store.put(namespace, f"k{number}", {"text": text})
