"""A search with a query: the items that fit it by their words, by their meaning, or by both; best first.

Here: what is asked, what a store has to answer it with, and from the ranked items to the answer or its draft. Not here:
the order (`ranked.py`), what may stand in a ranking (`rank_checks.py`), what is done with a draft (`drafts.py`), searches
without a query (`listing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

from perdure.errors import QueryError
from perdure.storage.contract import Namespace, Snapshot
from perdure.storage.counts import MOST
from perdure.storage.diversity import Alike
from perdure.storage.drafts import Draft, Finish, finish_of
from perdure.storage.filters import compile_filter
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import search_item_of
from perdure.storage.neighbours import beside, laid_out
from perdure.storage.overlay import Overlay
from perdure.storage.rank_checks import check_ranking
from perdure.storage.ranked import PAGE, Asked, Hit, Question, Ranked
from perdure.storage.staging import Layer
from perdure.store.base import SearchItem, SearchOp

__all__ = ["Finding", "Question", "finding"]

Reading: TypeAlias = Callable[[Snapshot, Sequence[Layer]], list[SearchItem] | Draft]


class Finding(NamedTuple):
    """How a search with a query is answered.

    Attributes:
        read: the answer, within a snapshot; a draft of it where there is more to do when the snapshot is over.
        question: what the model has to be asked before; None: nothing.
        finish: what there is to do with the draft; None: there is none.
        prompt: whether all that is found is fetched by one question, most likely.
    """

    read: Reading
    question: Question | None
    finish: Finish | None
    prompt: bool


def finding(
    codec: ItemCodec, op: SearchOp, prefix: Namespace, limit: int, offset: int, neighbours: int
) -> Finding:
    """How a search with a query is answered.

    Raises:
        QueryError: a filter, a query or a ranking that cannot be right, or a store that has nothing to search by.
    """
    asked = _asked(codec, op, prefix)
    fits = compile_filter(op.filter) if op.filter else None
    drops = fits is not None or (asked.words is not None and bool(asked.words.phrases))
    finish = finish_of(codec, asked.text, asked.rank_by, limit, offset)
    first, end = offset, offset + limit
    if finish is not None:
        first, end = 0, min(max(finish.top, end), 2 * MOST)

    def read(snapshot: Snapshot, layers: Sequence[Layer]) -> list[SearchItem] | Draft:
        if limit == 0:
            return []
        ranked = Ranked(Overlay(snapshot, layers, prefix), codec, asked, None if drops else end, end)
        best = list(islice(ranked.hits(fits), first, end))
        near = beside(snapshot, layers, [hit.row for hit in best], neighbours)
        items = [_item(ranked, hit, explain=asked.rank_by.explain) for hit in best]
        if finish is None:
            return laid_out(codec, items, near, explain=asked.rank_by.explain)
        if not asked.rank_by.diversity:
            return Draft(items, [], None, near)
        top = best[: finish.top]
        return Draft(items, [ranked.relevance(hit) for hit in top], _alike(asked, ranked, top), near)

    return Finding(read, asked.question, finish, not drops and not neighbours and end <= PAGE)


def _item(ranked: Ranked, hit: Hit, *, explain: bool) -> SearchItem:
    return search_item_of(hit.row, hit.value, hit.score, explanation=ranked.parts(hit) if explain else None)


def _alike(asked: Asked, ranked: Ranked, hits: Sequence[Hit]) -> Alike:
    filer = asked.filer

    def terms(place: int) -> frozenset[str]:
        hit = hits[place]
        return frozenset() if filer is None else filer.telling(hit.value, hit.row.paths)

    return Alike([ranked.vectors(hit) for hit in hits], terms)


def _asked(codec: ItemCodec, op: SearchOp, prefix: Namespace) -> Asked:
    query = op.query
    if not isinstance(query, str):
        raise QueryError(f"query={query!r} is a {type(query).__name__}; give a string.", part="query")
    rank_by = check_ranking(op.rank_by)
    mode, filer, embedder = rank_by.mode, codec.filer, codec.embedder
    if filer is None and embedder is None:
        why = (
            "is encrypted, and was opened without plaintext="
            if codec.cipher is not None
            else "was opened without a text index"
        )
        raise QueryError(
            f"query={query[:80]!r}: this store {why}, so there are no words to search by. Use filter=.",
            part="query",
        )
    if mode is None:
        mode = "hybrid" if filer and embedder else "text" if filer else "vector"
    if mode != "vector" and filer is None:
        raise QueryError(f"mode={mode!r}: this store was opened without a text index.", part="mode")
    if mode != "text" and embedder is None:
        raise QueryError(
            f"mode={mode!r}: this store has no embedding model. Open it with index={{'embed': ..., 'dims': ...}}, or"
            " search with mode='text'.",
            part="mode",
        )
    words = filer.query(query) if filer is not None and mode != "vector" else None
    question = Question(query, prefix) if mode != "text" else None
    return Asked(query, words, filer, question, embedder, rank_by)
