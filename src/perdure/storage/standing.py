"""Where items of a namespace stand: in the order in which they were made.

A standing is an item's `created_at` with its number, by which those that were made at one time (by one commit, say) stand
as their keys were first written. Replacing an item leaves it where it is; deleting and putting it again makes it anew.
Here: what is nearest. Not here: numbers and rows (the backends), what a task staged (`neighbours.py`). Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TypeAlias, TypeVar

from perdure.storage.contract import ItemRow, Namespace, Standing

__all__ = ["Anchors", "Near", "all_near", "in_order", "nearest"]

T = TypeVar("T")
Place: TypeAlias = tuple[Namespace, str]
Anchors: TypeAlias = Sequence[tuple[Namespace, Standing]]
Near: TypeAlias = list[tuple[Standing, ItemRow]]


def in_order(rows: Iterable[ItemRow], numbers: Mapping[Place, int]) -> Near:
    """The rows by where they stand; `numbers` has one for each."""
    found = [((row.created_at, numbers[row.namespace, row.key]), row) for row in rows]
    return sorted(found, key=itemgetter(0))


def nearest(
    ordered: Sequence[tuple[Standing, T]], anchor: Standing, count: int
) -> tuple[list[tuple[Standing, T]], list[tuple[Standing, T]]]:
    """At most `count` just before the anchor, and as many just behind it, in order; not what stands there itself."""
    before = bisect_left(ordered, anchor, key=itemgetter(0))
    behind = bisect_right(ordered, anchor, key=itemgetter(0))
    return list(ordered[max(0, before - count) : before]), list(ordered[behind : behind + count])


def all_near(
    anchors: Anchors,
    count: int,
    rows_of: Callable[[Namespace], list[ItemRow]],
    numbers_of: Callable[[Sequence[Place]], Mapping[Place, int]],
) -> list[Near]:
    """For each anchor what is nearest among the rows of its namespace, in order."""
    standing: dict[Namespace, Near] = {}
    for space in {space for space, _ in anchors}:
        rows = rows_of(space)
        standing[space] = in_order(rows, numbers_of([(row.namespace, row.key) for row in rows]))
    return [
        [*before, *behind]
        for space, at in anchors
        for before, behind in [nearest(standing[space], at, count)]
    ]
