"""Searches, with more to say than the interface has: by words, by meaning, by both.

Here: the two methods, which every store of ours and every scope of one has. Not here: how they are answered
(`finding.py`, `listing.py`).
"""

from __future__ import annotations

from typing import Any, Literal, cast

from perdure.store.base import BaseStore, RankBy, SearchItem

__all__ = ["ItemSearch"]


class ItemSearch(BaseStore):
    """Part of a store."""

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
        mode: Literal["text", "vector", "hybrid"] | None = None,
        weights: tuple[float, float] = (0.5, 0.5),
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
            mode: rank by words (`"text"`), by meaning (`"vector"`), or by both (`"hybrid"`); None: by both where the store
                has an embedding model, else by words.
            weights: how much words and meaning count in `"hybrid"`.
            explain: whether items tell in `explanation` where their score came from.

        Returns items with a `score`, greater is better, comparable within one answer. By words it is BM25; by meaning the
        cosine, the inner product or minus the distance; by both a number up to 1 (see `docs/reference/search.md`).

        Raises:
            InvalidNamespaceError: no item can be filed there.
            QueryError: a filter, a query, a mode or a number that cannot be right. A `ValueError`.
            EmbeddingError: the embedding model failed.

        Method: Robertson & Zaragoza, Foundations and Trends in Information Retrieval 3(4), 2009, for words.
        """
        op = self._search_op(namespace_prefix, query, filter, limit, offset, refresh_ttl, order_by, after)
        return cast("list[SearchItem]", self.batch([op._replace(rank_by=RankBy(mode, weights, explain))])[0])

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
        mode: Literal["text", "vector", "hybrid"] | None = None,
        weights: tuple[float, float] = (0.5, 0.5),
        explain: bool = False,
    ) -> list[SearchItem]:
        """As `search`."""
        op = self._search_op(namespace_prefix, query, filter, limit, offset, refresh_ttl, order_by, after)
        op = op._replace(rank_by=RankBy(mode, weights, explain))
        return cast("list[SearchItem]", (await self.abatch([op]))[0])
