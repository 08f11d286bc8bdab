"""How values are sent: binary, integers of 64 bits, and whole columns as arrays, made without a call a value where possible.

One text of a statement has always the same types, so that the server prepares it once.
https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES (arrays: `array_send` of the server)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

__all__ = ["Bytes", "Cells", "Ints", "columns_in", "columns_of", "sent"]

_BYTEA, _INT8, _TEXT, _BYTEAS, _INT8S = 17, 20, 25, 1001, 1016  # catalog/pg_type.dat
_UNKNOWN: Final = 0
_HEAD: Final = struct.Struct(
    "!5i"
)  # dimensions, whether any is NULL, type of an element, how many, first subscript
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_INT: Final = struct.Struct("!iq")
_LONG: Final = struct.Struct("!q")
_MOST_CELLS: Final = 64
_UNSAID: Final = [(_UNKNOWN,) * size for size in range(_MOST_CELLS)]


class Ints(list[int | None]):
    """A column of integers."""


class Bytes(list[bytes | None]):
    """A column of bytes."""


class Cells(tuple[int | bytes | None, ...]):
    """Values of a statement that says their types itself, so that one that is missing has its type, too."""

    __slots__ = ()


def sent(values: Sequence[object]) -> tuple[tuple[int, ...], list[bytes | None]]:
    """The values' types, and their bytes."""
    if type(values) is Cells:
        return _UNSAID[len(values)], [
            _LONG.pack(value) if type(value) is int else value  # pyright: ignore[reportReturnType] - bytes or None
            for value in values
        ]
    types: list[int] = []
    bound: list[bytes | None] = []
    for value in values:
        match value:
            case Ints():
                types.append(_INT8S)
                bound.append(_ints(value))
            case Bytes():
                types.append(_BYTEAS)
                bound.append(_bytes(value))
            case bytes():
                types.append(_BYTEA)
                bound.append(value)
            case int():
                types.append(_INT8)
                bound.append(_LONG.pack(value))
            case str():
                types.append(_TEXT)
                bound.append(value.encode())
            case None:
                types.append(_UNKNOWN)
                bound.append(None)
            case _:
                raise TypeError(f"{value!r} cannot be sent to Postgres")
    return tuple(types), bound


@lru_cache(maxsize=256)
def _of_ints(count: int) -> struct.Struct:
    return struct.Struct("!5i" + "iq" * count)


def _ints(column: Ints) -> bytes:
    size = len(column)
    if size == 1 and column[0] is not None:
        return _of_ints(1).pack(1, 0, _INT8, 1, 1, 8, column[0])
    if None not in column:
        values: list[Any] = [8] * (2 * size)
        values[1::2] = column
        return _of_ints(size).pack(1, 0, _INT8, size, 1, *values)
    parts = [_NULL if value is None else _INT.pack(8, value) for value in column]
    return _HEAD.pack(1, 1, _INT8, size, 1) + b"".join(parts)


def _bytes(column: Bytes) -> bytes:
    parts: list[bytes] = [_HEAD.pack(1, 1 if None in column else 0, _BYTEA, len(column), 1)]
    for value in column:
        if value is None:
            parts.append(_NULL)
        else:
            parts += (_LENGTH.pack(len(value)), value)
    return b"".join(parts)


def columns_of(kinds: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Ints | Bytes]:
    """Rows of values as columns of these types."""
    columns: Iterable[Any] = zip(*rows, strict=True)
    return [
        Ints(column) if kind == "bigint" else Bytes(column)
        for kind, column in zip(kinds, columns, strict=True)
    ]


def columns_in(kinds: Sequence[str], values: Sequence[Any]) -> list[Ints | Bytes]:
    """As `columns_of`, of rows whose values stand one after the other."""
    width = len(kinds)
    return [
        Ints(values[place::width]) if kind == "bigint" else Bytes(values[place::width])
        for place, kind in enumerate(kinds)
    ]
