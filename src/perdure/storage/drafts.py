"""The best items as the scores have them, and what is made of them when the snapshot is over: judged anew, set apart, cut.

Order of work: scores, the reranker, diversity, the page; then neighbours, which were fetched with the draft. Of items
behind the best `top` the order stays, so that pages cut one order.
Here: `Draft`, `Finish`. Not here: scores (`ranked.py`), the reranker's call (`reranking.py`), the arithmetic of diversity
(`diversity.py`), which neighbours (`neighbours.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from perdure.storage.diversity import Alike, spread
from perdure.storage.item_codec import ItemCodec
from perdure.storage.neighbours import Beside, laid_out
from perdure.storage.reranking import Verdict, ajudged, judged
from perdure.store.base import RankBy, SearchItem

__all__ = ["Draft", "Finish", "finish_of"]

DIVERSE: Final = 100
"""Diversity chooses among so many of the best, where there is no reranker."""


class Draft(NamedTuple):
    """Items that fit, best first, the first `top` and those behind them that the page needs."""

    items: list[SearchItem]
    relevance: list[float]  # of each, from 0 to 1; empty where diversity is not asked for
    alike: Alike | None  # how alike the first `top` are
    near: Beside


class _Placed(NamedTuple):
    """One of the best, on its way."""

    place: int  # in the draft
    score: float | None
    relevance: float
    parts: dict[str, Any]  # for `explain`


class Finish:
    """From a draft to the answer.

    Attributes:
        top: how many of the best are looked at anew.
    """

    def __init__(self, codec: ItemCodec, query: str, rank_by: RankBy, limit: int, offset: int) -> None:
        self._codec = codec
        self._query = query
        self._rank_by = rank_by
        self._limit = limit
        self._offset = offset
        self.top = rank_by.rerank_top if rank_by.rerank is not None else DIVERSE

    def blocking(self, draft: Draft) -> list[SearchItem]:
        """The answer; calls the reranker, so no snapshot may be open."""
        rerank, best = self._rank_by.rerank, draft.items[: self.top]
        verdict = judged(rerank, self._query, best) if rerank is not None and best else None
        return self._answer(draft, verdict)

    async def awaited(self, draft: Draft) -> list[SearchItem]:
        """As `blocking`."""
        rerank, best = self._rank_by.rerank, draft.items[: self.top]
        verdict = await ajudged(rerank, self._query, best) if rerank is not None and best else None
        return self._answer(draft, verdict)

    def _answer(self, draft: Draft, verdict: Verdict | None) -> list[SearchItem]:
        placed = self._judged(draft, verdict)
        if draft.alike is not None:
            placed = self._apart(placed, draft.alike)
        items = [self._item(draft, one) for one in placed] + draft.items[self.top :]
        page = items[self._offset : self._offset + self._limit]
        return laid_out(self._codec, page, draft.near, explain=self._rank_by.explain)

    def _judged(self, draft: Draft, verdict: Verdict | None) -> list[_Placed]:
        """The best, in the reranker's order if there is one."""
        items = draft.items[: self.top]
        if verdict is None:
            relevance = draft.relevance or [0.0] * len(items)
            return [_Placed(place, item.score, relevance[place], {}) for place, item in enumerate(items)]
        relevance = _relevance(verdict)
        placed: list[_Placed] = []
        for place in verdict.order:
            score = items[place].score if verdict.scores is None else verdict.scores[place]
            told = {
                "rerank_score": None if verdict.scores is None else score,
                "first_score": items[place].score,
                "first_place": place,
            }
            placed.append(_Placed(place, score, relevance[place], told))
        return placed

    def _apart(self, placed: list[_Placed], alike: Alike) -> list[_Placed]:
        """Set apart by diversity; as many as the page needs."""
        diversity = float(self._rank_by.diversity)

        def likeness(number: int, others: Sequence[int]) -> Sequence[float]:
            return alike.to(placed[number].place, [placed[other].place for other in others])

        order = spread([one.relevance for one in placed], likeness, diversity)
        found: list[_Placed] = []
        for number, closest in islice(order, min(self._offset + self._limit, self.top)):
            one = placed[number]
            told = {
                "relevance": one.relevance,
                "similarity": closest,
                "diversity_penalty": diversity * closest,
            }
            found.append(one._replace(parts={**one.parts, **told}))
        return found

    def _item(self, draft: Draft, one: _Placed) -> SearchItem:
        item = draft.items[one.place]
        item.score = one.score
        if item.explanation is not None:
            item.explanation = {**item.explanation, "score": one.score, **one.parts}
        return item


def _relevance(verdict: Verdict) -> list[float]:
    """Of each place, from 0 to 1: the scores from the least to the greatest; of an order alone, by rank."""
    count = len(verdict.order)
    if verdict.scores is None:
        return [1 - rank / count for rank in sorted(range(count), key=verdict.order.__getitem__)]
    halves = [score / 2 for score in verdict.scores]  # so that no difference is beyond the greatest number
    low, high = min(halves), max(halves)
    return [(half - low) / (high - low) if high > low else 1.0 for half in halves]


def finish_of(codec: ItemCodec, query: str, rank_by: RankBy, limit: int, offset: int) -> Finish | None:
    """What has to be done with the best; None: nothing, or the page lies behind them."""
    if limit == 0 or (rank_by.rerank is None and not rank_by.diversity):
        return None
    finish = Finish(codec, query, rank_by, limit, offset)
    return finish if offset < finish.top else None
