"""Listings: the items of a subtree that meet a filter, in an order, from a cursor on.

Here: reading row by row until there are enough. Not here: what a filter means (`filters.py`), orders (`ordering.py`),
ranking by a query.
Newest first is read by pages and ends when the listing is full. Any other order reads all items of the subtree, but
holds `offset + limit` of them at most.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from perdure.errors import QueryError
from perdure.storage.contract import ItemRow, Namespace, Snapshot
from perdure.storage.cursors import mark_cursor, mark_of, position_cursor, position_of
from perdure.storage.filter_tree import parse_filter
from perdure.storage.filters import Predicate, predicate_of
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import search_item_of, value_if, value_of
from perdure.storage.neighbours import beside, laid_out
from perdure.storage.ordering import Ordering, Position, SortKey, parse_order
from perdure.storage.path_ranges import PathRanges
from perdure.storage.preselect import preselections
from perdure.storage.staging import Layer, read_items, read_marked
from perdure.store.base import RankBy, SearchItem, SearchOp

__all__ = ["Answer", "listing", "refuse_order"]

Answer: TypeAlias = Callable[[Snapshot, Sequence[Layer]], list[SearchItem]]
_Found: TypeAlias = Callable[[Snapshot, Sequence[Layer]], list[tuple[ItemRow, SearchItem]]]

_PAGE: Final = 500  # rows fetched at once where a filter may drop any of them


def listing(
    codec: ItemCodec, op: SearchOp, prefix: Namespace, limit: int, offset: int, neighbours: int
) -> Answer:
    """How a search without a query is answered.

    Raises:
        QueryError: its filter, its order or its cursor cannot be right.
    """
    tree = None if op.filter is None else parse_filter(op.filter)
    fits = (
        predicate_of(tree) if tree is not None and op.filter else None
    )  # {}: every item, nothing to look at
    wanted = preselections(tree) if tree is not None and codec.in_clear(prefix) else []
    order = parse_order(op.order_by)
    if order is None:
        mark = None if op.after is None else mark_of(op.after)
        found = _newest_first(codec, prefix, fits, wanted, mark, limit, offset)
    else:
        after = None if op.after is None else position_of(op.after, order)
        found = _ordered(codec, prefix, fits, wanted, order, after, limit, offset)
    explain = isinstance(op.rank_by, RankBy) and op.rank_by.explain

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[SearchItem]:
        pairs = found(snapshot, layers)
        near = beside(snapshot, layers, [row for row, _ in pairs], neighbours)
        return laid_out(codec, [item for _, item in pairs], near, explain=explain)

    return answer if limit else lambda snapshot, layers: []


def refuse_order(op: SearchOp) -> None:
    """Raises QueryError for an order or a cursor beside a query: what is ranked stands in the order of its scores."""
    for name, given in (("order_by", op.order_by), ("after", op.after)):
        if given is not None:
            raise QueryError(
                f"{name}= beside query=: the items found are in the order of their scores. Leave {name} out, or search "
                "without a query."
                + (" Pages of a ranked search are made with offset=." if name == "after" else ""),
                part=name,
            )


def _newest_first(
    codec: ItemCodec,
    prefix: Namespace,
    fits: Predicate | None,
    wanted: Sequence[PathRanges],
    mark: int | None,
    limit: int,
    offset: int,
) -> _Found:
    page = _PAGE if fits is not None else max(1, min(limit + offset, _PAGE))

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[tuple[ItemRow, SearchItem]]:
        found = read_marked(snapshot, layers, prefix, page, mark, wanted, limit + offset)
        if fits is None:
            return [
                (row, search_item_of(row, value_of(codec, row), cursor=mark_cursor(at)))
                for at, row in islice(found, offset, offset + limit)
            ]
        meeting = ((at, row, value) for at, row in found if (value := value_if(codec, row, fits)) is not None)
        return [
            (row, search_item_of(row, value, cursor=mark_cursor(at)))
            for at, row, value in islice(meeting, offset, offset + limit)
        ]

    return answer


def _ordered(
    codec: ItemCodec,
    prefix: Namespace,
    fits: Predicate | None,
    wanted: Sequence[PathRanges],
    order: Ordering,
    after: Position | None,
    limit: int,
    offset: int,
) -> _Found:
    behind = None if after is None else order.sort_key(after)

    def placed(snapshot: Snapshot, layers: Sequence[Layer]) -> Iterator[tuple[SortKey, Position, ItemRow]]:
        for row in read_items(snapshot, layers, prefix, _PAGE, wanted):
            value: dict[str, Any] | None = None
            if fits is not None:
                value = value_if(codec, row, fits)
            elif order.path is not None:
                value = value_of(codec, row)
            if value is not None or fits is None:
                position = order.position(row, value)
                at = order.sort_key(position)
                if behind is None or behind < at:
                    yield at, position, row

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[tuple[ItemRow, SearchItem]]:
        # The rows, not their values: what is skipped by `offset` is decoded for its place only.
        first = heapq.nsmallest(offset + limit, placed(snapshot, layers), key=lambda found: found[0])
        return [
            (row, search_item_of(row, value_of(codec, row), cursor=position_cursor(order, position)))
            for _, position, row in first[offset:]
        ]

    return answer
