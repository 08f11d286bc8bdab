"""Where items of a database stand among those of their namespace.

Here: the questions of `around` and what their answers mean. Not here: rows to values (`snapshot.py`), what is nearest
(`storage/standing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final, TypeAlias

from perdure.codec import encode_namespace
from perdure.storage.contract import ItemRow, Standing
from perdure.storage.standing import Anchors, Near, nearest

__all__ = ["around", "merged"]

_AT_ONCE: Final = 64  # anchors that one statement asks for: few texts to prepare
_LAST: Final = (1 << 63) - 1

Ask: TypeAlias = Callable[..., list[Any]]


def around(
    ask_many: Ask,
    read: Callable[[list[Any]], list[ItemRow]],
    anchors: Anchors,
    count: int,
    below: int,
    at: int,
) -> list[Near]:
    """For each anchor the nearest live items on either side that were last written by a version below, and live at `at`.

    Args:
        ask_many: the answers of a block to many rows of values, and others behind them.
        read: rows of `items` to values.
        anchors: namespaces, and where in them.
        count: how many on either side.
        below: a version.
        at: microseconds.
    """
    most = max(0, min(count, _LAST))
    found: list[dict[int, tuple[Standing, ItemRow]]] = [{} for _ in anchors]
    for first in range(0, len(anchors), _AT_ONCE):
        some = [
            (number, encode_namespace(anchors[number][0]), *anchors[number][1], below, at)
            for number in range(first, min(first + _AT_ONCE, len(anchors)))
        ]
        rows = ask_many("around", some, most, most, most, most)  # an answer may come twice
        for (number, item, *_), row in zip(rows, read([row[2:] for row in rows]), strict=True):
            found[number][item] = (row.created_at, item), row
    return [merged(near.values(), at, count) for near, (_, at) in zip(found, anchors, strict=True)]


def merged(near: Iterable[tuple[Standing, ItemRow]], anchor: Standing, count: int) -> Near:
    """The nearest of these on either side, in order."""
    before, behind = nearest(sorted(near, key=itemgetter(0)), anchor, count)
    return before + behind
