"""Cursors: where a listing goes on, as opaque text.

Here: positions to text and back, and every refusal of a text that is none. Not here: what an order is (`ordering.py`).
A cursor says where its own item stood and nothing of other items. It is checked for its shape, not signed: whoever
writes one by hand gets a place in the order, never anything outside the listing's prefix or filter.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any, Final, cast

from perdure.errors import QueryError
from perdure.storage.contract import Namespace
from perdure.storage.item_json import ITEM_BYTES
from perdure.storage.ordering import BOOLEAN, NONE, NULL, NUMBER, OTHER, TEXT, Ordering, Position

__all__ = ["mark_cursor", "mark_of", "moved_in", "moved_out", "position_cursor", "position_of"]

_NEWEST: Final = "newest first"
_LONGEST: Final = 12 * ITEM_BYTES  # an item's value as text in JSON, every character escaped, in base 64


def mark_cursor(mark: int) -> str:
    """The cursor of a listing newest first; `mark` as `staging.read_marked` gives it."""
    return _written([_NEWEST, mark])


def mark_of(cursor: object) -> int:
    """The mark. Raises QueryError for another order's cursor, and for what is none."""
    match _read(cursor, _NEWEST):
        case [int() as mark] if not isinstance(mark, bool) and 0 < abs(mark) < 2**63:
            return mark
        case _:
            raise _malformed()


def position_cursor(order: Ordering, position: Position) -> str:
    """The cursor of a listing in this order."""
    return _written([order.name, position.kind, position.by, position.namespace, position.key])


def position_of(cursor: object, order: Ordering) -> Position:
    """The position. Raises QueryError for another order's cursor, and for what is none."""
    match _read(cursor, order.name):
        case [int() as kind, by, namespace, str() as key] if (
            not isinstance(kind, bool)
            and _fits(kind, by)
            and (order.path is not None or kind == (TEXT if order.field == "key" else NUMBER))
            and _is_namespace(namespace)
        ):
            return Position(kind, by, tuple(cast("list[str]", namespace)), key)
        case _:
            raise _malformed()


def moved_in(cursor: object, prefix: Namespace) -> str:
    """The cursor of a scope below the prefix, as the whole store knows it. Raises QueryError for what is none."""
    match _parts(cursor):
        case [str() as name, int() as mark] if name == _NEWEST:
            return _written([name, mark])
        case [
            str() as name,
            int() as kind,
            (None | str() | int() | float()) as by,
            namespace,
            str() as key,
        ] if _is_namespace(namespace):
            return _written([name, kind, by, [*prefix, *cast("list[str]", namespace)], key])
        case _:
            raise _malformed()


def moved_out(cursor: str, prefix: Namespace) -> str:
    """The whole store's cursor of an item below the prefix, as the scope knows it."""
    match _parts(cursor):
        case [name, kind, by, namespace, key]:
            return _written([name, kind, by, cast("list[str]", namespace)[len(prefix) :], key])
        case _:
            return cursor  # tells of no namespace


def _is_namespace(given: object) -> bool:
    return isinstance(given, list) and all(isinstance(label, str) for label in cast("list[object]", given))


def _fits(kind: int, by: object) -> bool:
    match kind:
        case _ if kind in (NONE, NULL):
            return by is None
        case _ if kind == BOOLEAN:
            return isinstance(by, bool)
        case _ if kind == NUMBER:
            return not isinstance(by, bool) and (
                isinstance(by, int) or (isinstance(by, float) and math.isfinite(by))
            )
        case _:
            return kind in (TEXT, OTHER) and isinstance(by, str)


def _written(parts: list[Any]) -> str:
    text = json.dumps(parts, separators=(",", ":"))  # ASCII: lone surrogates come through as well
    return base64.urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("=")


def _read(cursor: object, name: str) -> list[object]:
    """What follows the order's name."""
    match _parts(cursor):
        case [str() as made_for, *rest]:
            if made_for != name:
                raise QueryError(
                    f"after= was made by a search ordered by {made_for!r}, this one is ordered by {name!r}. Give the "
                    "same order_by, or begin again without after.",
                    part="after",
                )
            return rest
        case _:
            raise _malformed()


def _parts(cursor: object) -> list[object]:
    if not isinstance(cursor, str):
        raise QueryError(
            f"after= is a {type(cursor).__name__}; give the `cursor` of an item that an earlier search returned.",
            part="after",
        )
    if not cursor or len(cursor) > _LONGEST:
        raise _malformed()
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts: object = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _malformed() from None
    return cast("list[object]", parts) if isinstance(parts, list) else []


def _malformed() -> QueryError:
    return QueryError(
        "after= is no cursor of this store. Give the `cursor` of an item that an earlier search returned, unchanged.",
        part="after",
    )
