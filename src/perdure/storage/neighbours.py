"""Items that were stored right before and behind those that were found, in the same namespace: what `neighbours=` asks for.

As the reader sees the namespace: what a task staged stands among what is committed, as it will when its step commits (see
`staged_standing.py`); what is deleted, expired, or somebody else's and staged is not there. Filters are not looked at: what
does not meet one may well be what explains a hit.
Here: which items, and the answer with them. Not here: where items stand (`standing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TypeAlias

from perdure.storage.contract import ItemRow, Namespace, Snapshot, Standing
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import search_item_of, value_of
from perdure.storage.staged_standing import staged_standing
from perdure.storage.staging import Layer
from perdure.storage.standing import nearest
from perdure.store.base import SearchItem

__all__ = ["Beside", "beside", "laid_out"]

Place: TypeAlias = tuple[Namespace, str]
Beside: TypeAlias = dict[Place, tuple[list[ItemRow], list[ItemRow]]]
"""Of each item found: those before it, those behind it, in order."""


def beside(snapshot: Snapshot, layers: Sequence[Layer], rows: Sequence[ItemRow], count: int) -> Beside:
    """The neighbours of these items, at most `count` on either side. Two questions to the database, however many items."""
    if not count or not rows:
        return {}
    staged = staged_standing(snapshot, layers, rows)
    anchors = [(row.namespace, staged.of(row)) for row in rows]
    found: Beside = {}
    for row, (space, at), near in zip(
        rows, anchors, snapshot.around(anchors, count + staged.most), strict=True
    ):
        committed = [one for one in near if (space, one[1].key) not in staged.touched]
        before, behind = _sides(committed, staged.live.get(space, []), at, count)
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
