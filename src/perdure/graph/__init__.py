"""Drawing graphs: `StateGraph`, `START`, `END`.

Here: the public names. The drawing is in `builder.py`, the public class in `state.py`. Not here: running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.constants import END, START

if TYPE_CHECKING:
    from perdure.graph.state import CompiledStateGraph, StateGraph

__all__ = ["END", "START", "CompiledStateGraph", "StateGraph"]


def __getattr__(name: str) -> Any:
    # `state` stands above the engine, this package below it: the public class is fetched when somebody asks.
    if name in ("CompiledStateGraph", "StateGraph"):
        from perdure.graph import state

        return getattr(state, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
