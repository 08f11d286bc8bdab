"""The type variables of graphs: what a state, an input, an output, a context may be.

Imports nothing of Perdure; anybody may import it.
"""

from __future__ import annotations

from dataclasses import Field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from typing_extensions import TypedDict, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["ContextT", "InputT", "NodeInputT", "OutputT", "StateLike", "StateT"]


class _DataclassLike(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class _TypedDictLike(TypedDict):
    pass


StateLike: TypeAlias = "_TypedDictLike | _DataclassLike | BaseModel"
"""What a state schema may describe: a TypedDict, a dataclass, a pydantic model."""

StateT = TypeVar("StateT", bound=StateLike)
"""A graph's state."""
InputT = TypeVar("InputT", bound=StateLike, default=StateT)
"""What a graph takes; its state unless said otherwise."""
OutputT = TypeVar("OutputT", bound=StateLike, default=StateT)
"""What a graph gives; its state unless said otherwise."""
NodeInputT = TypeVar("NodeInputT", bound=StateLike)
"""What one node takes."""
ContextT = TypeVar("ContextT", bound="StateLike | None", default=None)
"""What a run is told besides its input; nothing unless said otherwise."""
