"""What stands at declared paths of items, as rows: a number or the beginning of a text in bytes that are ordered as filters order.

They are made with the item's version by whoever writes it, by the code that decides about filters: so a range of them has all that
a filter may want, and whatever else is in the value does no harm.

Here: values as bytes, rows of a commit. Pure. Not here: declaring (`declaring.py`), what is wanted (`preselect.py`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from perdure.codec import bytes_to_text, text_to_bytes
from perdure.storage.filter_paths import Path
from perdure.storage.path_ranges import TEXT_KEPT, Range

__all__ = ["Declared", "bounds_of", "declared_of", "rows_of", "values_at"]

_DOUBLE: Final = struct.Struct(">d")
_BITS: Final = struct.Struct(">Q")
_SIGN: Final = 1 << 63
_ALL_BITS: Final = (1 << 64) - 1
_NUMBER, _TEXT = b"\1", b"\2"
_WIDTH: Final = 13  # of `add_version`
_VERSION, _ITEM, _ENDED, _VALUE = 0, 1, 5, 10  # places in it


class Declared(NamedTuple):
    """A path that somebody declared."""

    no: int
    path: Path


def declared_of(rows: Iterable[tuple[Any, ...]]) -> tuple[Declared, ...]:
    """Of rows that begin with number and name."""
    return tuple(Declared(no, _path(name)) for no, name, *_ in rows)


@lru_cache(maxsize=256)
def _path(name: bytes) -> Path:
    return Path(bytes_to_text(name))


def bounds_of(ranges: Sequence[Range]) -> tuple[list[bytes], list[bytes]]:
    """Least and greatest of each, as values are filed."""
    least, greatest = zip(*[(_filed(low), _filed(high)) for low, high in ranges], strict=True)
    return list(least), list(greatest)


def _filed(end: float | bytes) -> bytes:
    return _TEXT + end if isinstance(end, bytes) else _of_number(end)


def values_at(declared: Sequence[Declared], value: bytes | None) -> list[bytes | None]:
    """What the item has at each path; None: nothing that an index has, or its value is not to be read."""
    if value is None or not value.startswith(b"{"):  # sealed, or not ours
        return [None] * len(declared)
    try:
        decoded = json.loads(bytes_to_text(value))
    except (ValueError, RecursionError):
        return [None] * len(declared)
    return [_of(one.path.one(decoded)) for one in declared]


def _of(value: object) -> bytes | None:
    if isinstance(value, str):
        return _TEXT + text_to_bytes(value[:TEXT_KEPT])
    return _of_number(value) if isinstance(value, int | float) else None


def _of_number(number: float) -> bytes:
    """Eight bytes in the order of numbers: of IEEE 754, those below zero turned round, the others above them."""
    try:
        number = float(number) + 0.0  # -0.0 is 0.0
    except OverflowError:
        number = float("inf") if number > 0 else float("-inf")
    (bits,) = _BITS.unpack(_DOUBLE.pack(number))
    return _NUMBER + _BITS.pack(bits ^ _ALL_BITS if bits & _SIGN else bits | _SIGN)


def rows_of(
    declared: Sequence[Declared], versions: Sequence[Any], new: Iterable[int]
) -> tuple[list[tuple[int, int, int, bytes]], list[tuple[int, int]]]:
    """What a commit does to the rows of items: (item, path, version, value) that are set, (item, path) that go.

    Args:
        declared: the paths.
        versions: the values of `add_version`, one row behind the other.
        new: items that were not there before.
    """
    fresh = set(new)
    last = {versions[at + _ITEM]: at for at in range(0, len(versions), _WIDTH)}
    kept: list[tuple[int, int, int, bytes]] = []
    gone: list[tuple[int, int]] = []
    for item, at in last.items():
        live = versions[at + _ENDED] is None
        for one, value in zip(
            declared, values_at(declared, versions[at + _VALUE] if live else None), strict=True
        ):
            if value is not None:
                kept.append((item, one.no, versions[at + _VERSION], value))
            elif item not in fresh:
                gone.append((item, one.no))
    return kept, gone
