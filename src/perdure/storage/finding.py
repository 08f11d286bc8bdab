"""A search with a query: the items that fit it, best first.

Here: what is asked, and every refusal. Not here: scores (`text/ranking.py`), searches without a query (`listing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from perdure.errors import QueryError
from perdure.storage.contract import Namespace, Snapshot
from perdure.storage.filters import compile_filter
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import search_item_of
from perdure.storage.listing import Answer
from perdure.storage.staging import Layer
from perdure.storage.text.ranking import ranked
from perdure.store.base import SearchItem, SearchOp

__all__ = ["finding"]


def finding(codec: ItemCodec, op: SearchOp, prefix: Namespace, limit: int, offset: int) -> Answer:
    """The items that have words of `op.query` and meet its filter, best first.

    Raises:
        QueryError: a filter or a query that cannot be right, or a store that has no words to search by.
    """
    query, filer = op.query, codec.filer
    if not isinstance(query, str):
        raise QueryError(f"query={query!r} is a {type(query).__name__}; give a string.", part="query")
    if filer is None:
        why = "is encrypted" if codec.cipher is not None else "was opened without a text index"
        raise QueryError(
            f"query={query[:80]!r}: this store {why}, so there are no words to search by. Use filter=.",
            part="query",
        )
    fits = compile_filter(op.filter) if op.filter else None
    words = filer.query(query)
    enough = None if fits is not None or words.phrases else limit + offset

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[SearchItem]:
        if limit == 0:
            return []
        hits = ranked(snapshot, layers, prefix, words, filer, codec, enough)
        fitting = (hit for hit in hits if fits is None or fits(hit.value))
        return [
            search_item_of(hit.row, hit.value, hit.score) for hit in islice(fitting, offset, offset + limit)
        ]

    return answer
