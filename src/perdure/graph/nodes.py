"""What may be a node or a path function, for type checkers: one small protocol for each set of injectables.

Here: types only. How a function is looked at when the program runs: `inspect.py`.
The state is positional-only, so its parameter may have any name; what is injected goes by name. A checker finds the one
member of the union that a function or lambda has the shape of, and so knows the types of a lambda's parameters, too.
Imports types of `runtime` and `store.base`; imported by `builder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from typing_extensions import TypeVar

from perdure.typing import ContextT

if TYPE_CHECKING:
    from perdure.runtime import Runtime
    from perdure.store.base import BaseStore
    from perdure.types import StreamWriter

__all__ = ["NodeInput", "RunnableNode", "StateNode"]

NodeInput = TypeVar("NodeInput")
"""What one node takes. Not only states: the argument of a `Send` may be anything."""

S = TypeVar("S", contravariant=True)

Config: TypeAlias = Any
"""Programs annotate it in two ways that exclude each other: `dict[str, Any]` and LangChain's `RunnableConfig`."""
Result: TypeAlias = Any
"""Or an awaitable of it. What a node may return is checked when it returns (`result.py`)."""


class RunnableNode(Protocol):
    """A `Runnable` of LangChain, a compiled graph, or anything else with these two methods."""

    def invoke(self, input: Result, config: Config = None, /) -> Result:
        """Runs it, blocking."""
        ...

    def ainvoke(self, input: Result, config: Config = None, /) -> Result:
        """Runs it, awaited."""
        ...


class _Plain(Protocol[S]):
    def __call__(self, state: S, /) -> Result: ...


class _Config(Protocol[S]):
    def __call__(self, state: S, /, *, config: Config) -> Result: ...


class _Store(Protocol[S]):
    def __call__(self, state: S, /, *, store: BaseStore) -> Result: ...


class _Writer(Protocol[S]):
    def __call__(self, state: S, /, *, writer: StreamWriter) -> Result: ...


class _Runtime(Protocol[S, ContextT]):
    def __call__(self, state: S, /, *, runtime: Runtime[ContextT]) -> Result: ...


class _ConfigStore(Protocol[S]):
    def __call__(self, state: S, /, *, config: Config, store: BaseStore) -> Result: ...


class _ConfigWriter(Protocol[S]):
    def __call__(self, state: S, /, *, config: Config, writer: StreamWriter) -> Result: ...


class _ConfigRuntime(Protocol[S, ContextT]):
    def __call__(self, state: S, /, *, config: Config, runtime: Runtime[ContextT]) -> Result: ...


class _StoreWriter(Protocol[S]):
    def __call__(self, state: S, /, *, store: BaseStore, writer: StreamWriter) -> Result: ...


class _StoreRuntime(Protocol[S, ContextT]):
    def __call__(self, state: S, /, *, store: BaseStore, runtime: Runtime[ContextT]) -> Result: ...


class _WriterRuntime(Protocol[S, ContextT]):
    def __call__(self, state: S, /, *, writer: StreamWriter, runtime: Runtime[ContextT]) -> Result: ...


class _ConfigStoreWriter(Protocol[S]):
    def __call__(self, state: S, /, *, config: Config, store: BaseStore, writer: StreamWriter) -> Result: ...


class _ConfigStoreRuntime(Protocol[S, ContextT]):
    def __call__(
        self, state: S, /, *, config: Config, store: BaseStore, runtime: Runtime[ContextT]
    ) -> Result: ...


class _ConfigWriterRuntime(Protocol[S, ContextT]):
    def __call__(
        self, state: S, /, *, config: Config, writer: StreamWriter, runtime: Runtime[ContextT]
    ) -> Result: ...


class _StoreWriterRuntime(Protocol[S, ContextT]):
    def __call__(
        self, state: S, /, *, store: BaseStore, writer: StreamWriter, runtime: Runtime[ContextT]
    ) -> Result: ...


class _ConfigStoreWriterRuntime(Protocol[S, ContextT]):
    def __call__(
        self,
        state: S,
        /,
        *,
        config: Config,
        store: BaseStore,
        writer: StreamWriter,
        runtime: Runtime[ContextT],
    ) -> Result: ...


StateNode: TypeAlias = (
    RunnableNode
    | _Plain[NodeInput]
    | _Config[NodeInput]
    | _Store[NodeInput]
    | _Writer[NodeInput]
    | _Runtime[NodeInput, ContextT]
    | _ConfigStore[NodeInput]
    | _ConfigWriter[NodeInput]
    | _ConfigRuntime[NodeInput, ContextT]
    | _StoreWriter[NodeInput]
    | _StoreRuntime[NodeInput, ContextT]
    | _WriterRuntime[NodeInput, ContextT]
    | _ConfigStoreWriter[NodeInput]
    | _ConfigStoreRuntime[NodeInput, ContextT]
    | _ConfigWriterRuntime[NodeInput, ContextT]
    | _StoreWriterRuntime[NodeInput, ContextT]
    | _ConfigStoreWriterRuntime[NodeInput, ContextT]
)
"""A function of the state and any of `config`, `store`, `writer`, `runtime`; sync or async; or a `Runnable`."""
