"""`recall`: a node that looks into memory and puts what it finds into the state.

Here: what is asked, where, and what comes back. Not here: how it is found (the store), texts of messages (`wording.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast

from typing_extensions import TypedDict

from perdure.errors import QueryError
from perdure.memory.node import MemoryNode, Namespaces, OfState, Place, Reach, user_function
from perdure.memory.wording import text_of
from perdure.storage.item_batch import counted
from perdure.storage.item_search import ItemSearch

__all__ = ["Recalled", "recall"]

Filter: TypeAlias = "dict[str, Any] | OfState | None"
"""As in `search(filter=)`, or a function of the state that gives one."""

_OWN: Final = frozenset({"self", "namespace_prefix", "query", "filter", "limit", "mode", "explain"})


class Recalled(TypedDict):
    """A memory in the state: `SearchItem.dict()`, plain JSON, so that every checkpoint can keep it.

    Attributes:
        namespace: the path it is filed under.
        key: its name there.
        value: what was put.
        created_at: when the key was first written, ISO 8601.
        updated_at: when this value was written, ISO 8601.
        score: how well it fits, greater is better, comparable within one answer; None where nothing was asked.
    """

    namespace: list[str]
    key: str
    value: dict[str, Any]
    created_at: str
    updated_at: str
    score: float | None


def recall(
    query_from: str | OfState = "messages",
    *,
    namespace: Namespaces,
    limit: int = 10,
    filter: Filter = None,
    mode: Literal["text", "vector", "hybrid"] | None = None,
    into: str = "memories",
    on_empty: Literal["recent", "nothing"] = "recent",
    name: str = "recall",
    **search: object,
) -> MemoryNode:
    """A node that searches memory and returns `{into: [...]}`, the memories that fit, best first, as `Recalled`.

    What is found replaces what the key held, unless the state has a reducer for it. The node sees what its own run has
    written in earlier steps, as all nodes do. For blocking and async runs.

    Args:
        query_from: the state key that has the query: text, or messages, of which the last one's text is taken; or a
            function of the state, sync or async, that may ask for `runtime` as nodes do and gives text or a message.
        namespace: where to look: labels, with names in braces that each call fills in from its context, or else from its
            config's `configurable`: `("users", "{user_id}")`; or a function of the state that gives a namespace. All
            below it is searched; `()` is all that the graph may see.
        limit: at most so many, from 1.
        filter: only items that meet it, see `docs/reference/filters.md`; or a function of the state that gives one.
        mode: by words, by meaning, or by both; None: by what the store has.
        into: the state key for what is found.
        on_empty: what comes when the query is empty or blank: the most recently updated memories, or none.
        name: of the node.
        search: further arguments of the store's `search`: `weights`, `refresh_ttl`.

    Raises:
        TypeError: an argument that `search` does not have, or a function that cannot be called with the state.
        ScopeError: `namespace` is no template. The node raises it for a call that does not fill it in.
        QueryError: a number or a name that cannot be right. The node raises it for a state key that is not set or has no
            text in it, and what `search` raises.
    """
    return _Recall(query_from, namespace, limit, filter, mode, into, on_empty, name, search)


class _Recall(MemoryNode):
    def __init__(
        self,
        query_from: str | OfState,
        namespace: Namespaces,
        limit: int,
        filter: Filter,
        mode: str | None,
        into: str,
        on_empty: str,
        name: str,
        search: Mapping[str, object],
    ) -> None:
        super().__init__(name)
        if on_empty not in ("recent", "nothing"):
            raise QueryError(f"on_empty={on_empty!r}: give 'recent' or 'nothing'.", part="on_empty")
        if not isinstance(into, str) or not into:  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
            raise QueryError(f"into={into!r}: give the name of a state key.", part="into")
        _check_search(search)
        self._key = query_from if isinstance(query_from, str) else None
        self._query = (
            None if isinstance(query_from, str) else user_function(query_from, "recall(query_from=)")
        )
        self._place = Place(namespace, "recall")
        self._filter = (
            filter if filter is None or isinstance(filter, dict) else user_function(filter, "recall(filter=)")
        )
        self._options = {**search, "limit": counted("limit", limit, least=1)}
        if mode is not None:
            self._options["mode"] = mode
        self._into = into
        self._on_empty = on_empty

    async def run(self, state: object, reach: Reach) -> dict[str, Any]:
        """The memories that fit."""
        query = await self._asked(state, reach)
        if not query.strip():
            if self._on_empty == "nothing":
                return {self._into: []}
            query = ""
        where = await self._place.namespace(state, reach)
        condition: object = self._filter
        if condition is not None and not isinstance(condition, dict):
            condition = await reach.answer(condition, state)
        found = await reach.search(where, {**self._options, "query": query or None, "filter": condition})
        return {self._into: [item.dict() for item in found]}

    async def _asked(self, state: object, reach: Reach) -> str:
        if self._query is not None:
            return text_of(await reach.answer(self._query, state), f"what {self._query.name} gave")
        key = cast("str", self._key)
        return text_of(_value(state, key), f"state[{key!r}]")


def _value(state: object, key: str) -> object:
    """What the state has there. Raises QueryError if there is nothing."""
    if isinstance(state, Mapping):
        fields = cast("Mapping[str, object]", state)
        if key in fields:
            return fields[key]
        keys = ", ".join(map(repr, fields)) or "none"
    else:
        if hasattr(state, key):
            return getattr(state, key)
        keys = f"those of a {type(state).__name__}"
    raise QueryError(
        f"recall takes its query from the state key {key!r}, which is not set; set are {keys}. Nothing was read. Set it, or"
        " name another by query_from=, or give a function of the state.",
        part=key,
    )


def _check_search(search: Mapping[str, object]) -> None:
    known = inspect.signature(ItemSearch.search).parameters.keys() - _OWN
    for option in search:
        if option not in known:
            raise TypeError(
                f"recall() has no argument {option!r}. Beside its own, a search knows {', '.join(sorted(known))}."
            )
