"""What the memory nodes have in common: both colours from one body, the user's functions, whose memory it is.

A node here has `invoke` and `ainvoke`, so a graph runs it blocking or awaited; its body is written once and waits only
at ports, as the engine's does. Here: `MemoryNode`, `Reach`, `Place`. Not here: what the nodes do.
"""

from __future__ import annotations

import contextvars
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

from perdure.current import TaskHandle, current_task
from perdure.engine.async_ports import AsyncPorts
from perdure.engine.blocking_ports import BlockingPorts
from perdure.engine.driving import drive
from perdure.engine.execute import async_only
from perdure.errors import PerdureError
from perdure.graph.inspect import user_code
from perdure.graph.nodes import StateNode
from perdure.graph.spec import Call
from perdure.pregel.memory_scope import checked_template, filled
from perdure.storage.item_search import ItemSearch
from perdure.store.base import BaseStore, Item, NotProvided, NotSupported, SearchItem
from perdure.store.base.ops import check_labels

__all__ = [
    "Colour",
    "MemoryNode",
    "Namespaces",
    "OfState",
    "Place",
    "Reach",
    "Ttl",
    "settled",
    "user_function",
]

T = TypeVar("T")

OfState: TypeAlias = StateNode[Any, Any]
"""A function of the state and any of `config`, `store`, `writer`, `runtime`, sync or async, or a `Runnable`: written as a node is."""
Namespaces: TypeAlias = "tuple[str, ...] | OfState"
"""A template with names in braces, `("users", "{user_id}")`, or a function of the state that gives a namespace."""
Ttl: TypeAlias = "float | NotProvided | None"
"""Minutes to live; None: for ever; not given: as the store was opened."""


class Colour(Protocol):
    """What of the engine's ports is needed here: whether it blocks, and where slow code runs."""

    blocking: bool

    async def storage(self, work: Callable[[], T]) -> T:
        """The result of blocking work on a database."""
        ...

    async def user_code(self, work: Callable[[], T]) -> T:
        """The result of sync code that may take its time."""
        ...


class Reach:
    """What a node's body reaches while it runs: its task, the task's store, the user's functions; all in one colour."""

    __slots__ = ("colour", "name", "store", "task")

    def __init__(self, name: str, task: TaskHandle, colour: Colour) -> None:
        """Raises PerdureError if the graph has no store."""
        store: object = task.store
        if not isinstance(store, BaseStore):
            raise PerdureError(
                f"{name} needs memory, but its graph was compiled without a store. Nothing was read or written. Write"
                " compile(perdure.connect(...)) or compile(store=...)."
            )
        self.name = name
        self.task = task
        self.store = store
        self.colour = colour

    async def answer(self, call: Call, state: object) -> object:
        """What a user's function says to the state; it may ask for `runtime`, `config`, `store` and `writer` as nodes do.

        Raises:
            TypeError: it is async, and this is a blocking call.
        """
        given = {name: self._wanted(what) for name, what in call.wants.items()}
        if self.colour.blocking:
            if call.sync is None:
                raise async_only(call)
            return await settled(call.sync(state, **given), self.colour, call.name)
        if call.asynchronous is not None:
            return await call.asynchronous(state, **given)
        assert call.sync is not None  # noqa: S101 - a call has one of the two
        context = contextvars.copy_context()
        made = await self.colour.user_code(partial(context.run, partial(call.sync, state, **given)))
        return await settled(made, self.colour, call.name)

    def _wanted(self, what: str) -> object:
        match what:
            case "config":
                return self.task.config()
            case "store":
                return self.store
            case "writer":
                return self.task.writer
            case _:
                runtime: Any = self.task.runtime
                return runtime if what == "runtime" else runtime.previous

    # The store, in this colour.

    async def search(self, prefix: tuple[str, ...], options: Mapping[str, Any]) -> list[SearchItem]:
        """As the store's `search`. Raises NotSupported for an option that a store of somebody else's does not have."""
        beyond = options.keys() - _INTERFACE
        if beyond and not isinstance(self.store, ItemSearch):
            raise NotSupported(
                f"{self.name}: {type(self.store).__name__} is a store of its own class, whose search has no"
                f" {min(beyond)}=. Nothing was read. Leave it out, or compile the graph with a store of Perdure's."
            )
        if self.colour.blocking:
            return self.store.search(prefix, **options)
        return await self.store.asearch(prefix, **options)

    async def get_many(self, places: Sequence[tuple[tuple[str, ...], str]]) -> list[Item | None]:
        """As the store's `get_many`."""
        return self.store.get_many(places) if self.colour.blocking else await self.store.aget_many(places)

    async def put(
        self, namespace: tuple[str, ...], key: str, value: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        """As the store's `put`."""
        if self.colour.blocking:
            self.store.put(namespace, key, value, **options)
        else:
            await self.store.aput(namespace, key, value, **options)


_INTERFACE: Final = frozenset({"query", "filter", "limit", "offset", "refresh_ttl", "order_by", "after"})


class MemoryNode(ABC):
    """A node for `StateGraph.add_node`, for blocking and async runs. Made by `recall`, `remember`, `consolidation`.

    Attributes:
        name: what the graph calls it unless `add_node` says otherwise.
    """

    def __init__(self, name: str) -> None:
        """With its name."""
        self.name = name

    def __repr__(self) -> str:
        return f"<memory node {self.name!r}>"

    @abstractmethod
    def run(self, state: object, reach: Reach) -> Coroutine[Any, Any, dict[str, Any] | None]:
        """The state's update. Waits only for `reach` and its colour."""

    def invoke(self, input: object, config: object = None, /) -> dict[str, Any] | None:
        """The update of the state `input`; called by the graph."""
        del config
        return drive(self.run(input, Reach(self.name, current_task(self.name), BlockingPorts())))

    async def ainvoke(self, input: object, config: object = None, /) -> dict[str, Any] | None:
        """As `invoke`."""
        del config
        return await self.run(input, Reach(self.name, current_task(self.name), AsyncPorts()))


class Place:
    """Whose memory a node works with: a template that each call fills in, or a function of the state.

    Args:
        given: what the user gave as `namespace=`.
        of: whose argument it is, for messages.
        least: how many labels there must be.
    """

    __slots__ = ("_call", "_fixed", "_of", "_template")

    def __init__(self, given: Namespaces, of: str, *, least: int = 0) -> None:
        """Raises ScopeError or InvalidNamespaceError for no template, TypeError for a function that is called otherwise."""
        self._of = f"{of}(namespace=)"
        self._call: Call | None = None
        self._template: tuple[str, ...] = ()
        if isinstance(given, tuple | list | str) or given is None:  # pyright: ignore[reportUnnecessaryComparison] - untyped callers come here, too
            if given != () or least:
                self._template = checked_template(given or (), self._of) or ()
        else:
            self._call = user_function(given, self._of)
        self._fixed = not any("{" in label or "}" in label for label in self._template)
        if self._fixed:
            check_labels(self._template)

    async def namespace(self, state: object, reach: Reach) -> tuple[str, ...]:
        """The namespace for this call.

        Raises:
            ScopeError: the call does not say what the template needs.
            InvalidNamespaceError: the function gave what is no namespace.
        """
        if self._call is not None:
            return check_labels(cast("tuple[str, ...]", await reach.answer(self._call, state)))
        if self._fixed:
            return self._template
        runtime: Any = reach.task.runtime
        configurable: dict[str, Any] = reach.task.config().get("configurable") or {}
        so = "Nothing was read or written."
        return filled(self._template, runtime.context, configurable, of=self._of, so=so)


def user_function(thing: object, of: str) -> Call:
    """How a user's function of the state is called. It is written like a node: sync or async, a `Runnable`, what is injected.

    Raises:
        TypeError: it cannot be called with the state; the message names the parameter.
    """
    return user_code(thing, role=of).call


async def settled(made: object, colour: Colour, name: str) -> object:
    """The result of a sync function, awaited if it is an awaitable after all. Raises TypeError where nobody can wait."""
    if not inspect.isawaitable(made):
        return made
    if not colour.blocking:
        return await made
    if inspect.iscoroutine(made):
        made.close()
    raise TypeError(
        f"{name} returned something to be awaited, and this is a blocking call. Use its async twin (`await"
        " graph.ainvoke(...)`, `await aconsolidate(...)`), or a function that is not async."
    )
