"""Searches, with more to say than the interface has: by words, by meaning, by both.

Here: the two methods, which every store of ours and every scope of one has. Not here: how they are answered
(`finding.py`, `listing.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeAlias, cast

from perdure.errors import QueryError
from perdure.store.base import BaseStore, RankBy, SearchItem

__all__ = ["ItemSearch"]

Mode: TypeAlias = Literal["text", "vector", "hybrid"]


class ItemSearch(BaseStore):
    """Part of a store."""

    supports_ranking = True

    def search(
        self,
        namespace_prefix: tuple[str, ...],
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
        order_by: str | None = None,
        after: str | None = None,
        rank_by: RankBy | None = None,
        neighbours: int = 0,
        mode: Mode | None = None,
        weights: tuple[float, float] | None = None,
        explain: bool = False,
    ) -> list[SearchItem]:
        """Items whose namespace begins with the prefix: the best for `query` first; without one the newest first.

        Args:
            namespace_prefix: whole labels, compared literally; `()` is everything.
            query: what is looked for; any text. `""` is none. `"words in quotes"` have to stand one after the other,
                `begin*` stands for all words that begin so.
            filter: fields with the value they must have, or with operators: see `docs/reference/filters.md`.
            limit: at most so many.
            offset: skipping so many.
            refresh_ttl: whether their time starts anew; None: as the store is configured.
            order_by: an order for a search without a query, see `BaseStore.search`.
            after: the `cursor` of an item of an earlier search in that order; not beside a query.
            rank_by: how the query ranks: by what, whether what is new or important counts more, whether items that are
                alike stand apart, a second judge. See `RankBy`.
            neighbours: with each item found come so many that were stored just before it in its namespace, and so many just
                behind: marked by `neighbour_of`, not counted in `limit`, whether they meet the filter or not.
            mode: rank by words (`"text"`), by meaning (`"vector"`), or by both (`"hybrid"`); None: by both where the store
                has an embedding model, else by words. Short for `rank_by=RankBy(mode=...)`, as are the next two.
            weights: how much words and meaning count in `"hybrid"`; None: half and half.
            explain: whether items tell in `explanation` where their score came from.

        Returns items with a `score`, greater is better, comparable within one answer. By words it is BM25; by meaning the
        cosine, the inner product or minus the distance; by both a number up to 1 (see `docs/reference/search.md`).

        Raises:
            InvalidNamespaceError: no item can be filed there.
            QueryError: a filter, a query, a ranking or a number that cannot be right. A `ValueError`.
            EmbeddingError: the embedding model failed.
            Exception: whatever `rank_by.rerank` raises, as it is.

        Method: Robertson & Zaragoza, Foundations and Trends in Information Retrieval 3(4), 2009, for words.
        """
        ranking = _ranking(rank_by, mode, weights, explain)
        op = self._search_op(
            namespace_prefix, query, filter, limit, offset, refresh_ttl, order_by, after, ranking, neighbours
        )
        return cast("list[SearchItem]", self.batch([op])[0])

    async def asearch(
        self,
        namespace_prefix: tuple[str, ...],
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
        order_by: str | None = None,
        after: str | None = None,
        rank_by: RankBy | None = None,
        neighbours: int = 0,
        mode: Mode | None = None,
        weights: tuple[float, float] | None = None,
        explain: bool = False,
    ) -> list[SearchItem]:
        """As `search`."""
        ranking = _ranking(rank_by, mode, weights, explain)
        op = self._search_op(
            namespace_prefix, query, filter, limit, offset, refresh_ttl, order_by, after, ranking, neighbours
        )
        return cast("list[SearchItem]", (await self.abatch([op]))[0])


def _ranking(
    given: RankBy | None, mode: Mode | None, weights: tuple[float, float] | None, explain: bool
) -> RankBy | None:
    """What was asked for, in one; None: nothing was. Raises QueryError where it was said twice."""
    if given is None:
        if mode is None and weights is None and not explain:
            return None
        return RankBy(mode, explain=explain) if weights is None else RankBy(mode, weights, explain)
    for name, short in (("mode", mode), ("weights", weights)):
        if short is not None:
            raise QueryError(f"{name}={short!r} beside rank_by=: say it in rank_by={given!r}.", part=name)
    return replace(given, explain=True) if explain and isinstance(given, RankBy) else given  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
