"""How values are sent: integers of 64 bits, and whole columns as binary arrays, made without a call a value where possible.

One text of a statement has always the same types, so that the server prepares it once.
https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES (arrays: `array_send` of the server)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from perdure.storage.postgres.driver import Dumper, pq, psycopg

__all__ = ["Bytes", "Ints", "columns_of", "teach"]

_INT8, _BYTEA, _INT8S, _BYTEAS = 20, 17, 1016, 1001  # catalog/pg_type.dat
_HEAD: Final = struct.Struct(
    "!5i"
)  # dimensions, whether any is NULL, type of an element, how many, first subscript
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_INT: Final = struct.Struct("!iq")


class Ints(list[int | None]):
    """A column of integers."""


class Bytes(list[bytes | None]):
    """A column of bytes."""


@lru_cache(maxsize=256)
def _of_ints(count: int) -> struct.Struct:
    return struct.Struct("!5i" + "iq" * count)


class _IntsDumper(Dumper):
    format = pq.Format.BINARY
    oid = _INT8S

    def dump(self, obj: Any) -> bytes:
        column: list[int | None] = obj
        if None not in column:
            values: list[Any] = [8] * (2 * len(column))
            values[1::2] = column
            return _of_ints(len(column)).pack(1, 0, _INT8, len(column), 1, *values)
        parts = [_NULL if value is None else _INT.pack(8, value) for value in column]
        return _HEAD.pack(1, 1, _INT8, len(column), 1) + b"".join(parts)


class _BytesDumper(Dumper):
    format = pq.Format.BINARY
    oid = _BYTEAS

    def dump(self, obj: Any) -> bytes:
        column: list[bytes | None] = obj
        parts: list[bytes] = [_HEAD.pack(1, 1 if None in column else 0, _BYTEA, len(column), 1)]
        for value in column:
            if value is None:
                parts.append(_NULL)
            else:
                parts += (_LENGTH.pack(len(value)), value)
        return b"".join(parts)


class _IntDumper(Dumper):
    format = pq.Format.BINARY
    oid = _INT8

    def dump(self, obj: Any) -> bytes:
        return int(obj).to_bytes(8, "big", signed=True)


def teach(connection: psycopg.Connection[Any]) -> None:
    """The connection sends `Ints`, `Bytes` and `int` so."""
    adapters = connection.adapters
    adapters.register_dumper(Ints, _IntsDumper)
    adapters.register_dumper(Bytes, _BytesDumper)
    adapters.register_dumper(int, _IntDumper)


def columns_of(kinds: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Ints | Bytes]:
    """Rows of values as columns of these types."""
    columns: Iterable[Any] = zip(*rows, strict=True)
    return [
        Ints(column) if kind == "bigint" else Bytes(column)
        for kind, column in zip(kinds, columns, strict=True)
    ]
