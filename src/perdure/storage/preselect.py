"""What of a filter a database may preselect by: one path of the value, and the ranges in which what stands there lies.

    {"status": "open", "age": {"$gte": 18}}   ->   status in ["open", "open"]; age in [18, infinity]

A preselection gives more than the filter, never less: the predicate of `filters.py` decides on every row. So ranges
include their ends, and numbers that databases read from text differently by their last bit get a margin.

Here: `PathRanges` of a parsed filter, and of a path alone. Pure. Not here: SQL, indexes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeGuard, cast

from perdure.errors import QueryError
from perdure.storage.filter_paths import Path
from perdure.storage.filter_tree import AllOf, At, Node, Test
from perdure.storage.path_ranges import TEXT_KEPT, PathRanges, Range

__all__ = ["declared_path", "declared_paths", "preselections"]

_STEPS: Final = 8
_RANGES: Final = 64
_CONDITIONS: Final = (
    8  # more narrow little, each costs something a row, and a statement can hold so many only
)
_EXACT: Final = 1 << 53  # integers below are the same in every reader
_MARGIN: Final = 1e-12
_LARGE: Final = 1.7e308
_SMALL: Final = 5e-324
_LEAST_TEXT: Final = b""
_GREATEST_TEXT: Final = b"\xff"  # above all UTF-8
_UNSAFE: Final = frozenset({'"', "\\", *map(chr, range(32)), "\x7f"})


def preselections(node: Node) -> list[PathRanges]:
    """What every value that meets the filter has: a few of its conditions, those that narrow most first; may be empty."""
    found: list[PathRanges] = []
    for part in node.parts if isinstance(node, AllOf) else (node,):
        if isinstance(part, At) and (ways := _ways(part.path)):
            for test in part.condition.parts if isinstance(part.condition, AllOf) else (part.condition,):
                ranges = _ranges(test) if isinstance(test, Test) else None
                if ranges is not None:
                    found.append(PathRanges(part.path.text, ways, ranges))
    return sorted(found, key=lambda one: (not one.exact, len(one.ranges)))[:_CONDITIONS]


def declared_paths(given: object) -> tuple[PathRanges, ...]:
    """The paths of `indexes=`; without ranges.

    Raises:
        QueryError: no list, or something in it that is no path which an index can have.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise QueryError(f"indexes={given!r}: give a list of paths of the value.", part="indexes")
    return tuple(map(declared_path, cast("Sequence[object]", given)))


def declared_path(text: object) -> PathRanges:
    """The path of an index that somebody declares; without ranges.

    Raises:
        QueryError: it is no path that an index can have.
    """
    if not isinstance(text, str):
        raise QueryError(
            f"indexes: {text!r} is a {type(text).__name__}; give paths of the value.", part="indexes"
        )
    path = Path(text)
    ways = _ways(path)
    if not ways:
        why = (
            "'[*]' finds many values, and an index has one of each item"
            if path.many
            else f"an index takes 1 to {_STEPS} names or list indexes, without quotes, backslashes and control signs"
        )
        raise QueryError(f"indexes: {text[:80]!r} cannot be indexed: {why}.", part="indexes")
    return PathRanges(path.text, ways, ())


def _ways(path: Path) -> tuple[tuple[str | int, ...], ...]:
    if path.many or not 1 <= len(path.steps) <= _STEPS or not _UNSAFE.isdisjoint(path.text):
        return ()
    try:
        path.text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return ()
    steps: list[str | int] = [step for step in path.steps if step is not None]
    found = [(*steps[:at], path.literal(at)) for at in range(len(steps))]
    return tuple(dict.fromkeys([*found, tuple(steps)]))


def _ranges(test: Test) -> tuple[Range, ...] | None:
    name, operand = test.operator, test.operand
    if name != "in":
        one = _of_one(name, operand)
        return None if one is None else (one,)
    found = [_of_one("eq", one) for one in operand]
    texts = {one for one in found if one is not None and isinstance(one[0], bytes)}
    numbers = [one for one in found if one is not None and _of_numbers(one)]
    if not found or None in found or len(found) > _RANGES:
        return None
    return (*sorted(texts), *_merged(numbers))


def _of_one(name: str, operand: object) -> Range | None:
    if isinstance(operand, str):
        return _of_text(name, operand)
    if isinstance(operand, int | float):
        return _of_number(name, operand)
    return None


def _of_text(name: str, operand: str) -> tuple[bytes, bytes] | None:
    if "\0" in operand:  # older databases end a text there
        return None
    try:
        end = operand[:TEXT_KEPT].encode()
    except UnicodeEncodeError:
        return None
    match name:
        case "eq":
            return end, end
        case "gt" | "gte":
            return end, _GREATEST_TEXT
        case "lt" | "lte":
            return _LEAST_TEXT, end
        case _:
            return None


def _of_number(name: str, operand: float) -> tuple[float, float] | None:
    least, greatest = _around(operand)
    match name:
        case "eq":
            return least, greatest
        case "gt" | "gte":
            return least, math.inf
        case "lt" | "lte":
            return -math.inf, greatest
        case _:
            return None


def _around(number: float) -> tuple[float, float]:
    if isinstance(number, int) and abs(number) < _EXACT:
        return int(number), int(number)
    try:
        near = float(number)
    except OverflowError:
        near = math.inf if number > 0 else -math.inf
    if math.isinf(
        near
    ):  # what is read as an infinity may be the largest number there is, or what is just below
        return (_LARGE, near) if near > 0 else (near, -_LARGE)
    margin = abs(near) * _MARGIN + _SMALL
    return near - margin, near + margin


def _of_numbers(one: Range) -> TypeGuard[tuple[float, float]]:
    return not isinstance(one[0], bytes)


def _merged(ranges: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same without overlaps, so that no item is met twice."""
    found: list[tuple[float, float]] = []
    for least, greatest in sorted(ranges):
        if found and least <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], greatest)
        else:
            found.append((least, greatest))
    return found
