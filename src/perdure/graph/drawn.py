"""What stands on the drawing board: a node, a conditional edge. Plain values. Imports `inspect` and `schema`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from perdure.graph.inspect import UserCode
from perdure.graph.schema import Schema
from perdure.types import RetryPolicy

__all__ = ["DrawnBranch", "DrawnNode"]


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A node as it was added.

    Attributes:
        schema: what it takes; the graph's state unless said otherwise.
        destinations: where its `Command`s may lead, with labels for the drawing; None where nothing says so.
        retry: None: the graph's default.
    """

    name: str
    code: UserCode
    schema: Schema
    destinations: Mapping[str, str | None] | None = None
    retry: tuple[RetryPolicy, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class DrawnBranch:
    """A conditional edge as it was added.

    Attributes:
        mapping: from the path function's answers to nodes; None: its answers are nodes.
        schema: what the path function takes; None: the same as its node.
    """

    name: str
    code: UserCode
    mapping: Mapping[Hashable, str] | None = None
    schema: Schema | None = None

    @property
    def ends(self) -> tuple[str, ...]:
        """Where it may lead as far as is known: by the mapping, else by the `Literal` that the function returns."""
        return self.code.answers if self.mapping is None else tuple(dict.fromkeys(self.mapping.values()))
