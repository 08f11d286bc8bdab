"""Items that were stored right before and behind those that were found, in the same namespace: what `neighbours=` asks for.

As the reader sees the namespace: what a task staged stands among what is committed, as it will when its step commits;
what is deleted, expired, or somebody else's and staged is not there. Filters are not looked at: what does not meet one may
well be what explains a hit.
Here: which items, and the answer with them. Not here: where items stand (`standing.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from perdure.storage.contract import ItemRow, Namespace, Snapshot, Standing
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import search_item_of, value_of
from perdure.storage.staging import Layer, Operation, staged_in
from perdure.storage.standing import in_order, nearest
from perdure.store.base import SearchItem

__all__ = ["Beside", "beside", "laid_out"]

Place: TypeAlias = tuple[Namespace, str]
Beside: TypeAlias = dict[Place, tuple[list[ItemRow], list[ItemRow]]]
"""Of each item found: those before it, those behind it, in order."""

_NEW: Final = 1 << 62  # above every number of a committed item


def beside(snapshot: Snapshot, layers: Sequence[Layer], rows: Sequence[ItemRow], count: int) -> Beside:
    """The neighbours of these items, at most `count` on either side. Two questions to the database, however many items."""
    if not count or not rows:
        return {}
    spaces = {row.namespace for row in rows}
    staged: dict[Namespace, dict[str, Operation]] = {space: {} for space in spaces}
    for operation in staged_in(layers, ()):
        if operation.namespace in spaces:
            staged[operation.namespace][operation.key] = operation
    touched = [(space, key) for space, several in staged.items() for key in several]
    numbers = snapshot.numbers(list(dict.fromkeys([*((row.namespace, row.key) for row in rows), *touched])))
    for place in _made_here(layers, spaces):
        numbers.setdefault(place, _NEW + len(numbers))
    live = {space: in_order(_rows(snapshot, several.values()), numbers) for space, several in staged.items()}
    anchors = [(row.namespace, (row.created_at, numbers[row.namespace, row.key])) for row in rows]
    hidden = max(map(len, staged.values()))
    found: Beside = {}
    for row, (space, at), near in zip(rows, anchors, snapshot.around(anchors, count + hidden), strict=True):
        committed = [one for one in near if one[1].key not in staged[space]]
        before, behind = _sides(committed, live[space], at, count)
        found[space, row.key] = before, behind
    return found


def _sides(
    committed: list[tuple[Standing, ItemRow]],
    live: list[tuple[Standing, ItemRow]],
    at: Standing,
    count: int,
) -> tuple[list[ItemRow], list[ItemRow]]:
    if live:
        committed = sorted([*committed, *live], key=itemgetter(0))
    before, behind = nearest(committed, at, count)
    return [row for _, row in before], [row for _, row in behind]


def _rows(snapshot: Snapshot, operations: Iterable[Operation]) -> list[ItemRow]:
    rows = [operation.row(snapshot) for operation in operations]
    return [row for row in rows if row is not None]


def _made_here(layers: Sequence[Layer], spaces: set[Namespace]) -> list[Place]:
    """Places that are written by what is staged, in the order of their first writes."""
    made = [
        (operation.namespace, operation.key)
        for layer in layers
        for operation in list(layer.operations)
        if operation.namespace in spaces and operation.value is not None
    ]
    return list(dict.fromkeys(made))


def laid_out(
    codec: ItemCodec, found: Sequence[SearchItem], near: Beside, *, explain: bool = False
) -> list[SearchItem]:
    """The answer: each item found between its neighbours, every item once, those that were found in their own places."""
    if not near:
        return list(found)
    shown = {(item.namespace, item.key) for item in found}
    answer: list[SearchItem] = []

    def add(rows: list[ItemRow], hit: SearchItem) -> None:
        for row in rows:
            if (row.namespace, row.key) not in shown:
                shown.add((row.namespace, row.key))
                answer.append(_neighbour(codec, row, hit, explain=explain))

    for hit in found:
        before, behind = near[hit.namespace, hit.key]
        add(before, hit)
        answer.append(hit)
        add(behind, hit)
    return answer


def _neighbour(codec: ItemCodec, row: ItemRow, hit: SearchItem, *, explain: bool) -> SearchItem:
    explanation = {"neighbour_of": hit.key} if explain else None
    item = search_item_of(row, value_of(codec, row), cursor=hit.cursor, explanation=explanation)
    item.neighbour_of = hit.key
    return item
