"""Items preselected by what their values have at a path: by an index that somebody declared, or row by row in SQL.

An index is one on an expression over the value's JSON, so SQLite keeps it for every writer, whether he declared it or
not. It holds the first characters of texts only, and a database's JSON is not Python's: what is found is more than was
wanted, never less, and the caller's predicate decides.

Here: expressions, statements, declaring. Not here: what is wanted (`preselect.py`), snapshots.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from heapq import merge
from itertools import islice
from typing import Any, Final

from perdure.storage.path_ranges import TEXT_KEPT, PathRanges, Range
from perdure.storage.sqlite.statements import Q

__all__ = ["USABLE", "declaration", "preselected"]

USABLE: Final = sqlite3.sqlite_version_info >= (3, 38)
"""Older ones may have been built without JSON."""

_SORTED: Final = 2000  # rows of an index that are sorted for a page; more are rather read from the newest on
_CONDITION: Final = "/* condition */"
_INDEX: Final = "/* index */"
_FIXED: Final = 5  # parameters of every statement

Ask = Callable[[str, Sequence[Any]], list[Any]]


def declaration(path: PathRanges) -> tuple[str, str]:
    """The name of the path's index, and the statement that makes it."""
    name = _name(path.ways)
    expression = _expression("value", path.ways)
    return name, (
        f"CREATE INDEX IF NOT EXISTS {name} ON perdure_versions (item >> 32, {expression}, version) WHERE ended IS NULL"
    )


def preselected(
    ask: Ask,
    bounds: tuple[bytes, bytes],
    few: bool,
    wanted: Sequence[PathRanges],
    before: int,
    limit: int,
    now: int,
) -> list[Any]:
    """Rows as of `items_of_few`; `few`: the subtree has few namespaces."""
    values = (*bounds, before, limit, now)
    for one in wanted:
        name = _name(one.ways)
        if not ask(Q["index_of_paths"], (name,)):
            continue
        others = [other for other in wanted if other is not one]
        if one.exact:
            found = [
                ask(
                    _by_index("preselected_by_index", one.ways, (first,), others),
                    _bound(values, [(first,)], others),
                )
                for first in one.ranges
            ]
            newest = merge(*found, key=lambda row: -row[2]) if len(found) > 1 else found[0]
            return list(islice(newest, limit))
        count = _by_index("count_by_index", one.ways, one.ranges, [])
        ((rows,),) = ask(count, _bound((*bounds, before, _SORTED + 1, now), [one.ranges], []))
        if rows <= _SORTED:
            text = _by_index("preselected_by_index", one.ways, one.ranges, others)
            return ask(text, _bound(values, [one.ranges], others))
    text = _by_rows("preselected_of_few" if few else "preselected_of_many", wanted)
    return ask(text, _bound(values, [], wanted))


def _bound(
    values: tuple[Any, ...], first: Sequence[Sequence[Range]], others: Sequence[PathRanges]
) -> list[Any]:
    found = list(values)
    for ranges in (*first, *(other.ranges for other in others)):
        for least, greatest in ranges:
            found += [least] if least == greatest else [least, greatest]
    return found


def _by_index(
    name: str, ways: tuple[tuple[str | int, ...], ...], ranges: Sequence[Range], others: Sequence[PathRanges]
) -> str:
    shapes = tuple((other.ways, tuple(map(_shape, other.ranges))) for other in others)
    return _text(name, (ways, tuple(map(_shape, ranges))), shapes)


def _by_rows(name: str, wanted: Sequence[PathRanges]) -> str:
    return _text(name, None, tuple((one.ways, tuple(map(_shape, one.ranges))) for one in wanted))


def _shape(one: Range) -> tuple[bool, bool]:
    """What of a range its statement depends on: whether it is of texts, whether it is one value."""
    return isinstance(one[0], bytes), one[0] == one[1]


_Shapes = tuple[tuple[tuple[str | int, ...], ...], tuple[tuple[bool, bool], ...]]


@lru_cache(maxsize=256)
def _text(name: str, first: _Shapes | None, others: tuple[_Shapes, ...]) -> str:
    text, place = Q[name], _FIXED + 1
    conditions: list[str] = []
    if first is not None:
        condition, place = _within(_expression("w.value", first[0]), first[1], place)
        conditions.append(condition)
        text = text.replace(_INDEX, f"INDEXED BY {_name(first[0])}")
    for ways, shapes in others:
        condition, place = _within(_expression("w.value", ways), shapes, place)
        # What is no JSON is left to the caller, whose decoder says so.
        conditions.append(f"({condition} OR NOT json_valid(CAST(w.value AS TEXT)))")
    return text.replace(_CONDITION, "".join(f"AND {condition} " for condition in conditions))


def _within(expression: str, shapes: Sequence[tuple[bool, bool]], place: int) -> tuple[str, int]:
    parts: list[str] = []
    for of_text, single in shapes:
        numbers = [place] if single else [place, place + 1]
        place += len(numbers)
        bound = [f"+CAST(?{number} AS TEXT)" if of_text else f"?{number}" for number in numbers]
        parts.append(
            f"{expression} = {bound[0]}" if single else f"{expression} BETWEEN {bound[0]} AND {bound[1]}"
        )
    return (parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"), place


def _name(ways: tuple[tuple[str | int, ...], ...]) -> str:
    return "perdure_path_" + blake2b(_expression("value", ways).encode(), digest_size=10).hexdigest()


@lru_cache(maxsize=1024)
def _expression(value: str, ways: tuple[tuple[str | int, ...], ...]) -> str:
    """What stands at the path, or NULL; of a text its beginning. A literal key is tried first, as in filters."""
    text = f"CAST({value} AS TEXT)"
    found = [f"json_extract({text}, {_quoted(_json_path(way))})" for way in ways]
    one = found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"
    cut = f"CASE typeof({one}) WHEN 'text' THEN substr({one}, 1, {TEXT_KEPT}) ELSE {one} END"
    return f"CASE WHEN json_valid({text}) THEN {cut} END"


def _json_path(steps: tuple[str | int, ...]) -> str:
    parts = [
        f'."{step}"' if isinstance(step, str) else f"[{step}]" if step >= 0 else f"[#{step}]"
        for step in steps
    ]
    return "$" + "".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
