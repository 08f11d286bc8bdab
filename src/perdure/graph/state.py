"""`StateGraph`, whole: the drawing plus `compile`, and what `compile` gives.

Not here: the drawing's methods (`builder.py`), its checks (`validate.py`), running (`perdure.pregel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

from perdure.errors import PerdureError
from perdure.graph.builder import GraphBuilder
from perdure.graph.compile import build_spec
from perdure.graph.spec import GraphSpec
from perdure.pregel.compiled import CompiledGraph
from perdure.pregel.memory_scope import checked_template
from perdure.store.base import BaseStore
from perdure.types import ensure_valid_checkpointer
from perdure.typing import ContextT, InputT, OutputT, StateT

__all__ = ["CompiledStateGraph", "StateGraph"]


class CompiledStateGraph(
    CompiledGraph[StateT, ContextT, InputT, OutputT], Generic[StateT, ContextT, InputT, OutputT]
):
    """A graph that can be run; made by `StateGraph.compile`.

    Attributes:
        builder: the drawing it was made of. Drawing on does not change this graph.
    """

    def __init__(
        self, builder: StateGraph[StateT, ContextT, InputT, OutputT], spec: GraphSpec, **options: Any
    ) -> None:
        super().__init__(spec, **options)
        self.builder = builder

    @property
    def InputType(self) -> Any:
        """The schema of what a run takes."""
        return self.builder.input_schema

    @property
    def OutputType(self) -> Any:
        """The schema of what a run gives."""
        return self.builder.output_schema


class StateGraph(GraphBuilder[StateT, ContextT, InputT, OutputT], Generic[StateT, ContextT, InputT, OutputT]):
    """A graph whose nodes read and write one state. Draw it with `add_node` and `add_edge`, then `compile`."""

    def compile(
        self,
        checkpointer: Any = None,
        *,
        cache: Any = None,
        store: Any = None,
        interrupt_before: Sequence[str] | str | None = None,
        interrupt_after: Sequence[str] | str | None = None,
        debug: bool = False,
        name: str | None = None,
        transformers: Any = None,
        memory_scope: tuple[str, ...] | None = None,
    ) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
        """The graph, ready to run. The drawing can be compiled again, with other options.

        Args:
            checkpointer: a saver, to keep threads; a `Database` from `perdure.connect`, for its saver and its store;
                False: never save, even when called by a graph that does; None: no saver, or the caller's.
            cache: arrives with a later release.
            store: memory across threads.
            interrupt_before: node names (or "*") to stop before.
            interrupt_after: node names (or "*") to stop after.
            debug: print updates and values of every run.
            name: of the graph; "LangGraph" if not given, as programs expect.
            transformers: arrives with a later release.
            memory_scope: the part of the store that nodes take for the whole, with names in braces that every call fills
                in from its context, or from its config's `configurable`: `("users", "{user_id}")`. See `scoped` of stores.

        Raises:
            ValueError: the drawing is no graph yet: an unknown node, no entry point, and so on; names the culprit.
            TypeError: `checkpointer` is no saver, or `store` no store.
            ScopeError: `memory_scope` is no template. Also raised by a call that does not fill it in.
        """
        for option, given in (("cache", cache), ("transformers", transformers)):
            if given is not None:
                raise PerdureError(
                    f"compile({option}=...) arrives with a later release; see docs/reference/status.md."
                )
        database = getattr(checkpointer, "__perdure_database__", None)
        if database is not None:
            checkpointer, store = database.checkpointer, database.store if store is None else store
        ensure_valid_checkpointer(checkpointer)
        _check_store(store)
        spec = build_spec(
            self, name=name or "LangGraph", interrupt_before=interrupt_before, interrupt_after=interrupt_after
        )
        made = CompiledStateGraph(self, spec, checkpointer=checkpointer, store=store, debug=debug)
        made.memory_scope = checked_template(memory_scope)
        return made


def _check_store(store: object) -> None:
    """Raises TypeError for what is no store: found here, and not by the first node that writes."""
    if store is None or isinstance(store, BaseStore):
        return
    if hasattr(store, "__perdure_database__"):
        raise TypeError(
            "compile(store=...) was given a Database. Write compile(db) for its saver and its store, or store=db.store."
        )
    kind = type(store)
    raise TypeError(
        f"compile: store={store!r}: this is a {kind.__module__}.{kind.__qualname__}; expected a store, an instance of"
        " perdure.store.base.BaseStore such as InMemoryStore(), SqliteStore(...) or perdure.connect(...).store."
    )
