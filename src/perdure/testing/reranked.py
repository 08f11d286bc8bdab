"""What a second judge of a search's best items may do, as functions that raise AssertionError: see `perdure.testing.stores`.

`RERANKED_CHECKS` and `ASYNC_RERANKED_CHECKS` hold for stores with the default index: English, all texts of a value.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from math import nan
from typing import Any, Final, TypeVar

from perdure.errors import QueryError
from perdure.storage.item_store import ItemStore
from perdure.store.base import GetOp, PutOp, RankBy, SearchItem, SearchOp

__all__ = ["ASYNC_RERANKED_CHECKS", "RERANKED_CHECKS"]

E = TypeVar("E", bound=BaseException)

NOTES: Final = ("users", "ada", "notes")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def _keys(found: list[SearchItem]) -> list[str]:
    return [item.key for item in found]


def _raised(kind: type[E], act: Callable[[], object]) -> E:
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def a_second_judge_has_the_last_word(store: ItemStore) -> None:
    """Of the best: by scores, or by an order. Those behind them keep their order; pages cut one order."""
    for n in range(9):
        store.put(NOTES, str(n), {"text": "tea " * (n + 1) + "water"})
    before = _keys(store.search((), query="tea"))
    asked: list[tuple[str, list[str]]] = []

    def by_key(query: str, items: list[SearchItem]) -> list[float]:
        asked.append((query, _keys(items)))
        return [-int(item.key) for item in items]

    found = store.search((), query="tea", rank_by=RankBy(rerank=by_key, rerank_top=4, explain=True))
    assert asked == [("tea", before[:4])]
    assert _keys(found) == sorted(before[:4]) + before[4:]
    assert [item.score for item in found[:4]] == [-int(key) for key in sorted(before[:4])]
    told: Any = found[0].explanation
    assert told["rerank_score"] == found[0].score == told["score"]
    assert before[told["first_place"]] == found[0].key
    for limit, offset in ((2, 0), (2, 2), (4, 3), (3, 5)):
        page = store.search(
            (), query="tea", rank_by=RankBy(rerank=by_key, rerank_top=4), limit=limit, offset=offset
        )
        assert _keys(page) == _keys(found)[offset : offset + limit]
    asked.clear()
    behind = store.search((), query="tea", rank_by=RankBy(rerank=by_key, rerank_top=4), offset=4)
    assert _keys(behind) == before[4:]
    assert store.search((), query="zebra", rank_by=RankBy(rerank=by_key)) == []
    assert store.search((), query="tea", rank_by=RankBy(rerank=by_key), limit=0) == []
    assert asked == []  # the page lies behind what it judges, or there is nothing to judge
    turned = store.search((), query="tea", rank_by=RankBy(rerank=lambda query, items: items[::-1]))
    assert _keys(turned) == before[::-1]
    same = store.search(
        (),
        query="tea",
        rank_by=RankBy(rerank=lambda query, items: tuple(1 for _ in items)),
        filter={"n": None},
    )
    assert _keys(same) == before


def a_judge_holds_nothing_up(store: ItemStore) -> None:
    """While it works, others write, and it may ask the store itself; what it read is as of before."""
    store.put(NOTES, "a", {"text": "tea"})
    store.put(NOTES, "b", {"text": "tea too"})

    def slow(query: str, items: list[SearchItem]) -> list[SearchItem]:
        del query
        other = threading.Thread(target=store.put, args=(NOTES, "c", {"text": "tea"}))
        other.start()
        other.join(timeout=20)
        assert not other.is_alive(), "a writer waits for the reranker"
        assert store.get(NOTES, "c") is not None
        return items

    assert sorted(_keys(store.search((), query="tea", rank_by=RankBy(rerank=slow)))) == ["a", "b"]


def what_a_judge_raises_or_gets_wrong_is_told(store: ItemStore) -> None:
    """Its own error reaches the caller as it is; an answer that fits no item is refused; nothing of the batch is written."""
    store.put(NOTES, "a", {"text": "tea"})
    store.put(NOTES, "b", {"text": "tea"})

    def broken(query: str, items: list[SearchItem]) -> list[float]:
        raise ConnectionError(f"no route to the judge of {query!r}, {len(items)} items")

    error = _raised(ConnectionError, lambda: store.search((), query="tea", rank_by=RankBy(rerank=broken)))
    assert "rerank" in "".join(error.__notes__)
    op = SearchOp((), query="tea", rank_by=RankBy(rerank=broken))
    _raised(ConnectionError, lambda: store.batch([PutOp(NOTES, "c", {"text": "x"}), op]))
    assert store.get(NOTES, "c") is None
    stranger = SearchItem(NOTES, "z", {}, BEGIN, BEGIN)
    wrong: tuple[Callable[[list[SearchItem]], Any], ...] = (
        lambda items: None,
        lambda items: "ab",
        lambda items: [1.0],
        lambda items: [1.0, 2.0, 3.0],
        lambda items: [1.0, nan],
        lambda items: [1.0, None],
        lambda items: [1.0, True],
        lambda items: [1.0, "2"],
        lambda items: items[:1],
        lambda items: [items[0], items[0]],
        lambda items: [items[0], stranger],
        lambda items: [items[0], 1.0],
        lambda items: {item.key: 1.0 for item in items},
    )
    for answer in wrong:
        rerank: Any = partial(_said, answer)
        refused = _raised(
            QueryError,
            lambda rerank=rerank: store.search((), query="tea", rank_by=RankBy(rerank=rerank)),
        )
        assert refused.part == "rerank"


def _said(answer: Callable[[list[SearchItem]], Any], query: str, items: list[SearchItem]) -> Any:
    assert query == "tea"
    return answer(items)


def a_judge_in_a_scope_sees_names_of_the_scope(store: ItemStore) -> None:
    """Whichever way it answers."""
    scope = store.scoped(("users",)).scoped(("ada",))
    for n in range(4):
        scope.put(("notes",), str(n), {"text": "tea " * (n + 1)})
        store.put(("users", "bob"), str(n), {"text": "tea"})
    seen: set[tuple[str, ...]] = set()

    def turned(query: str, items: list[SearchItem]) -> list[SearchItem]:
        assert query == "tea"
        seen.update(item.namespace for item in items)
        return items[::-1]

    def scored(query: str, items: list[SearchItem]) -> list[float]:
        return [float(place) for place, _ in enumerate(turned(query, items))]

    before = _keys(scope.search((), query="tea"))
    for rerank in (turned, scored):
        found = scope.search((), query="tea", rank_by=RankBy(rerank=rerank))
        assert _keys(found) == before[::-1]
        assert {item.namespace for item in found} == {("notes",)}
    assert seen == {("notes",)}


async def async_judges_are_awaited(store: ItemStore) -> None:
    """With plain judges and async ones, in `asearch` and in batches; a plain search of an async judge says what to do."""
    for n in range(4):
        await store.aput(NOTES, str(n), {"text": "tea " * (n + 1), "n": n})

    async def later(query: str, items: list[SearchItem]) -> list[float]:
        assert query == "tea"
        assert await store.aget(NOTES, "0") is not None
        return [-float(item.key) for item in items]

    def at_once(query: str, items: list[SearchItem]) -> list[SearchItem]:
        del query
        assert threading.current_thread() is not threading.main_thread()
        return sorted(items, key=lambda item: item.key)

    for rerank in (later, at_once):
        found = await store.asearch(NOTES, query="tea", rank_by=RankBy(rerank=rerank))
        assert _keys(found) == ["0", "1", "2", "3"]
        answers = await store.abatch(
            [
                GetOp(NOTES, "1"),
                SearchOp(NOTES, query="tea", rank_by=RankBy(rerank=rerank)),
                PutOp(NOTES, "new", {"text": "tea"}),
                SearchOp(NOTES, limit=1),
            ]
        )
        found: Any = answers[1]
        assert _keys(found) == ["0", "1", "2", "3"]
        await store.adelete(NOTES, "new")
        inside = await store.scoped(("users",)).asearch((), query="tea", rank_by=RankBy(rerank=rerank))
        assert _keys(inside) == ["0", "1", "2", "3"]
    error = _raised(QueryError, lambda: store.search(NOTES, query="tea", rank_by=RankBy(rerank=later)))
    assert error.part == "rerank"
    assert "asearch" in str(error)


RERANKED_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    a_second_judge_has_the_last_word,
    a_judge_holds_nothing_up,
    what_a_judge_raises_or_gets_wrong_is_told,
    a_judge_in_a_scope_sees_names_of_the_scope,
)
ASYNC_RERANKED_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (async_judges_are_awaited,)
