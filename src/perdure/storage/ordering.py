"""The order of a listing: `order_by=` parsed, and where an item stands in it.

Here: `Ordering`, `Position`. Not here: positions as text (`cursors.py`), reading (`listing.py`).
Pure. The order is total and the same on every backend: items without the value last, in both directions; then by kind:
null, booleans, numbers, strings, all else by its JSON text; ties by namespace and key, upwards in both directions.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from perdure.errors import QueryError
from perdure.storage.contract import ItemRow, Namespace
from perdure.storage.filter_paths import MISSING, Path

__all__ = ["Ordering", "Position", "SortKey", "parse_order"]

_OF_VALUE: Final = "value."
_OF_ITEM: Final = ("created_at", "updated_at", "key")

NONE, NULL, BOOLEAN, NUMBER, TEXT, OTHER = range(-1, 5)
"""Kinds of what is ordered by; NONE: nothing stands there."""


class _Down:
    """Sorts the other way round."""

    __slots__ = ("of",)

    def __init__(self, of: Any) -> None:
        self.of = of

    def __lt__(self, other: _Down) -> bool:
        return other.of < self.of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and self.of == other.of

    __hash__ = None  # pyright: ignore[reportAssignmentType] - it is compared only


SortKey: TypeAlias = tuple[bool, int, Any, Namespace, str]


@dataclass(frozen=True, slots=True)
class Position:
    """Where an item stands: what it is ordered by, and what decides among equals.

    Attributes:
        kind: of `by`.
        by: a number, text or boolean; None where there is nothing or null.
        namespace: the item's.
        key: the item's.
    """

    kind: int
    by: Any
    namespace: Namespace
    key: str


@dataclass(frozen=True, slots=True)
class Ordering:
    """An order that a listing has instead of newest first.

    Attributes:
        name: the order as text, one text an order.
        descending: greatest first.
        path: what of the value decides; None: what `field` of the item does.
        field: `"created_at"`, `"updated_at"` or `"key"`; empty with a path.
    """

    name: str
    descending: bool
    path: Path | None
    field: str

    def position(self, row: ItemRow, value: dict[str, Any] | None) -> Position:
        """Where the item stands. `value` is looked at only if there is a path."""
        if self.path is None:
            kind, by = (
                (TEXT, row.key)
                if self.field == "key"
                else (NUMBER, row.created_at if self.field == "created_at" else row.updated_at)
            )
        else:
            kind, by = _kind_of(self.path.one(value))
        return Position(kind, by, row.namespace, row.key)

    def sort_key(self, position: Position) -> SortKey:
        """What sorts as the order says; equal for no two items."""
        kind, by = position.kind, position.by
        last = kind == NONE
        if by is None:
            by = 0
        if self.descending and not last:
            kind, by = -kind, _Down(by)
        return (last, kind, by, position.namespace, position.key)


def parse_order(order_by: object) -> Ordering | None:
    """The order that `order_by=` asks for; None: newest first.

    Raises:
        QueryError: it is no text, names nothing, or has a `[*]`, by which an item would stand in many places.
    """
    if order_by is None:
        return None
    if not isinstance(order_by, str):
        raise QueryError(
            f"order_by={order_by!r} is a {type(order_by).__name__}; write one text, e.g. '-created_at', 'key' or a path "
            "of the value like 'user.age'.",
            part="order_by",
        )
    descending = order_by.startswith("-")
    name = order_by[descending:]
    if name in _OF_ITEM:
        return Ordering(order_by, descending, None, name)
    path = Path(name.removeprefix(_OF_VALUE))
    if not path.text:
        raise QueryError(
            f"order_by={order_by!r} names nothing. Write one of {', '.join(_OF_ITEM)}, or a path of the value.",
            part="order_by",
        )
    if path.many:
        raise QueryError(
            f"order_by={order_by!r}: '[*]' finds many values, and an item stands in one place only. Name one element, "
            "such as '[0]' or '[-1]'.",
            part="order_by",
        )
    return Ordering(f"{'-' if descending else ''}{_OF_VALUE}{path.text}", descending, path, "")


def _kind_of(value: object) -> tuple[int, Any]:
    if value is MISSING:
        return NONE, None
    match value:
        case None:
            return NULL, None
        case bool():
            return BOOLEAN, value
        case int():
            return NUMBER, value
        case float() if math.isfinite(
            value
        ):  # others come from a store's own reader only, and NaN has no place
            return NUMBER, value
        case str():
            return TEXT, value
        case _:
            # `default`: a store's own reader may make dates and the like of what is stored.
            return OTHER, json.dumps(
                value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
            )
