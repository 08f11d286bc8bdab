"""How a search ranks beyond its words, as functions that raise AssertionError: see `perdure.testing.stores`.

`RANKED_CHECKS` and `ASYNC_RANKED_CHECKS` hold for stores with the default index: English, all texts of a value.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any, Final, TypeVar

from perdure.errors import QueryError
from perdure.storage.item_store import ItemStore
from perdure.store.base import Importance, RankBy, Recency, SearchItem, SearchOp
from perdure.testing.fake_clock import FakeClock

__all__ = ["ASYNC_RANKED_CHECKS", "RANKED_CHECKS"]

E = TypeVar("E", bound=BaseException)

NOTES: Final = ("users", "ada", "notes")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAY: Final = timedelta(days=1)
NEW: Final = Recency(DAY, weight=1)
WEIGHTY: Final = Importance("weight", weight=1)


def _keys(found: list[SearchItem]) -> list[str]:
    return [item.key for item in found]


def _raised(kind: type[E], act: Callable[[], object]) -> E:
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def _near(score: float | None, expected: float) -> bool:
    return score is not None and abs(score - expected) < 1e-9


def what_is_new_counts_more(store: ItemStore) -> None:
    """Half as much with each half-life since the last write, by the clock; what is from later counts as from now."""
    with FakeClock(BEGIN) as clock:
        for key in ("old", "older", "new"):
            store.put(NOTES, key, {"text": "tea"})
        for key, days in (("older", 1), ("old", 1), ("new", 0)):
            store.put(NOTES, key, {"text": "tea"})
            clock.advance(days=days)

        found = store.search((), query="tea", rank_by=RankBy(recency=NEW))
        assert _keys(found) == ["new", "old", "older"]
        for item, recency in zip(found, (1, 0.5, 0.25), strict=True):
            assert _near(item.score, (1 + recency) / 2)
        clock.advance(days=-2)
        found = store.search((), query="tea", rank_by=RankBy(recency=NEW))
        assert [item.score for item in found] == [1.0, 1.0, 1.0]
        clock.advance(days=1000)
        store.update(NOTES, "older", lambda value: value)
        found = store.search((), query="tea", rank_by=RankBy(recency=Recency(DAY, weight=0.5)))
        assert _keys(found) == ["older", "new", "old"]
        assert _near(found[0].score, 1)
        assert _near(found[2].score, 1 / 1.5)


def a_number_of_the_value_counts(store: ItemStore) -> None:
    """Brought to 0..1 by the range that was given; what is missing or no number is 0, of several the greatest counts."""
    weights: dict[str, Any] = {
        "most": 1,
        "more than most": 70,
        "half": 0.5,
        "none": 0,
        "less": -3,
        "no number": "1",
        "truth": True,
        "a list": [1, 1],
        "null": None,
        "an object": {"x": 1},
    }
    for key, weight in weights.items():
        store.put(NOTES, key, {"text": "tea", "weight": weight}, index=["text"])
    store.put(NOTES, "missing", {"text": "tea"})

    found = store.search((), query="tea", rank_by=RankBy(importance=WEIGHTY), limit=99)
    scores = {item.key: item.score for item in found}
    assert scores.pop("most") == scores.pop("more than most") == 1.0
    assert scores.pop("half") == 0.75
    assert len(scores) == 8
    assert set(scores.values()) == {0.5}

    store.put(
        ("other",), "many", {"text": "tea", "marks": [{"of": 2}, {"of": 4}, {"of": "9"}, {}]}, index=["text"]
    )
    store.put(("other",), "huge", {"text": "tea", "marks": [{"of": 10**400}]})
    for path, fixed, expected in (
        ("marks[*].of", (0, 5), {"many": 0.9, "huge": 1.0}),
        ("marks[0].of", (0, 4), {"many": 0.75, "huge": 1.0}),
        ("marks", (0, 4), {"many": 0.5, "huge": 0.5}),
    ):
        ranking = RankBy(importance=Importance(path, 1, fixed))
        found = store.search(("other",), query="tea", rank_by=ranking)
        assert {item.key: item.score for item in found} == expected


def the_best_of_all_is_found(store: ItemStore) -> None:
    """Not only among the best by words: an item that fits least may be the best by far, on any page, under any filter."""
    with FakeClock(BEGIN) as clock:
        for n in range(400):
            words = "tea " * (1 + n % 7) + "and other words " * (n % 11)
            store.put(NOTES, f"{n:03}", {"text": words, "weight": (n * 37 % 101) / 100, "odd": n % 2})
            clock.advance(hours=1)
        ranking = RankBy(
            recency=Recency(10 * DAY, weight=0.7), importance=Importance("weight", weight=1.3), explain=True
        )

        whole = store.search((), query="tea", rank_by=ranking, limit=1000)
        scores = [item.score or 0.0 for item in whole]
        assert len(whole) == 400
        assert scores == sorted(scores, reverse=True)
        by_words = {item.key: item.score or 0.0 for item in store.search((), query="tea", limit=1000)}
        best = max(by_words.values())
        for item in whole:
            age = clock.now() - item.updated_at
            shares: Any = item.explanation
            expected = [
                by_words[item.key] / best / 3,
                0.5 ** (age / (10 * DAY)) * 0.7 / 3,
                item.value["weight"] * 1.3 / 3,
            ]
            for name, share in zip(("text", "recency", "importance"), expected, strict=True):
                assert _near(shares[f"{name}_share"], share), name
            assert _near(item.score, sum(expected))
        for limit, offset in ((1, 0), (10, 0), (10, 10), (7, 93), (100, 350)):
            page = store.search((), query="tea", rank_by=ranking, limit=limit, offset=offset)
            assert _keys(page) == _keys(whole)[offset : offset + limit]
        odd = store.search((), query="tea", rank_by=ranking, limit=20, offset=5, filter={"odd": 1})
        assert _keys(odd) == [item.key for item in whole if item.value["odd"]][5:25]
        assert (
            _keys(odd)[:3] != [key for key in by_words if int(key) % 2][5:8]
        )  # the words alone say otherwise


def items_that_are_alike_stand_apart(store: ItemStore) -> None:
    """The more diversity, the further behind is what says the same as a better one; the best stays first."""
    store.put(NOTES, "green", {"text": "green tea in the morning"})
    store.put(NOTES, "copy", {"text": "green tea, in the morning"})
    store.put(NOTES, "black", {"text": "black tea at night with sugar and cake"})

    def order(diversity: float, **more: Any) -> list[str]:
        ranking = RankBy(diversity=diversity)
        return _keys(store.search((), query="green tea morning", rank_by=ranking, **more))

    assert order(0) == ["copy", "green", "black"]
    assert order(0.1) == ["copy", "green", "black"]
    assert order(0.9) == order(1) == ["copy", "black", "green"]
    assert order(1, limit=1) == ["copy"]
    assert order(1, limit=1, offset=1) == ["black"]
    assert order(1, offset=1) == ["black", "green"]
    found = store.search((), query="green tea morning", rank_by=RankBy(diversity=0.5, explain=True))
    told: Any = {item.key: item.explanation for item in found}
    assert told["copy"]["diversity_penalty"] == 0
    assert told["green"]["similarity"] == 1.0
    assert told["green"]["diversity_penalty"] == 0.5
    # "black tea night sugar cake" against "green tea morning": one of seven.
    assert _near(told["black"]["similarity"], 1 / 7)
    scores = {item.key: item.score or 0.0 for item in found}
    assert _near(told["black"]["relevance"], scores["black"] / scores["copy"])


def what_cannot_be_a_ranking_is_refused(store: ItemStore) -> None:
    """By the part that is wrong; said twice, too; and where there is no query to rank by."""
    store.put(NOTES, "a", {"text": "tea"})
    recency: Any = Recency
    importance: Any = Importance
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("recency", {"recency": DAY}),
        ("recency", {"recency": recency(timedelta(0))}),
        ("recency", {"recency": recency(-DAY)}),
        ("recency", {"recency": recency(86400)}),
        *(("recency", {"recency": recency(DAY, weight)}) for weight in (-1, nan, 1e999, True, "1", None)),
        ("importance", {"importance": "weight"}),
        ("importance", {"importance": importance("")}),
        ("importance", {"importance": importance(7)}),
        *(("importance", {"importance": importance("w", weight)}) for weight in (-1, nan, "1", False)),
        *(
            ("importance", {"importance": importance("w", 1, ends)})
            for ends in ((1, 0), (1, 1), (0,), 5, (0, nan), (-1e308, 1e308), (0, 10**400), ("0", "1"))
        ),
        *(("diversity", {"diversity": diversity}) for diversity in (-0.1, 1.1, nan, True, "1", None)),
        *(("rerank", {"rerank": rerank}) for rerank in (1, "by score", ())),
        *(("rerank_top", {"rerank_top": top}) for top in (0, -1, 2.0, True, None)),
        ("mode", {"mode": "both"}),
        *(("weights", {"weights": weights}) for weights in ((0, 0), (1,), (-1, 1), (nan, 1), "ab", None)),
    )
    for part, options in wrong:
        error = _raised(
            QueryError, lambda options=options: store.search((), query="tea", rank_by=RankBy(**options))
        )
        assert error.part == part, (part, options)
        assert part in str(error)
    not_one: Any = {"mode": "text"}
    assert _raised(QueryError, lambda: store.search((), query="tea", rank_by=not_one)).part == "rank_by"
    twice: tuple[dict[str, Any], ...] = ({"mode": "text"}, {"weights": (1, 1)})
    for short in twice:
        error = _raised(
            QueryError, lambda short=short: store.search((), query="tea", rank_by=RankBy(), **short)
        )
        assert error.part in short
    explained = store.search((), query="tea", rank_by=RankBy(), explain=True)
    assert explained[0].explanation is not None
    for ranking, part in (
        (RankBy(recency=NEW), "recency"),
        (RankBy(importance=WEIGHTY), "importance"),
        (RankBy(diversity=0.5), "diversity"),
        (RankBy(rerank=lambda query, items: items), "rerank"),
    ):
        error = _raised(QueryError, lambda ranking=ranking: store.search((), rank_by=ranking))
        assert error.part == part
        assert _keys(store.search((), query="", rank_by=ranking)) == ["a"]  # a query without words: a listing


def a_scope_ranks_as_if_it_were_the_whole(store: ItemStore) -> None:
    """What lies outside is no part of any share."""
    scope = store.scoped(("users",)).scoped(("ada",))
    for n in range(4):
        scope.put(("notes",), str(n), {"text": "tea " * (n + 1), "weight": n / 3})
        store.put(("users", "bob"), str(n), {"text": "tea", "weight": 9})
    ranking = RankBy(importance=WEIGHTY, diversity=0.1)

    found = scope.search((), query="tea", rank_by=ranking)

    assert _keys(found) == ["3", "2", "1", "0"]
    assert {item.namespace for item in found} == {("notes",)}
    whole = store.search(("users", "ada"), query="tea", rank_by=ranking)
    assert [item.score for item in found] == [item.score for item in whole]


async def the_async_face_ranks_alike(store: ItemStore) -> None:
    """In `asearch` and in batches."""
    for n in range(4):
        await store.aput(NOTES, str(n), {"text": "tea " * (n + 1), "weight": n % 3 / 2})
    ranking = RankBy(importance=WEIGHTY, recency=NEW, diversity=0.2, explain=True)

    with FakeClock():
        found = await store.asearch(NOTES, query="tea", rank_by=ranking, limit=2)
        (batch,) = await store.abatch([SearchOp(NOTES, query="tea", rank_by=ranking, limit=2)])
        again = store.search(NOTES, query="tea", rank_by=ranking, limit=2)

    told = [(item.key, item.score, item.explanation) for item in again]
    assert [(item.key, item.score, item.explanation) for item in found] == told
    assert batch == again


RANKED_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    what_is_new_counts_more,
    a_number_of_the_value_counts,
    the_best_of_all_is_found,
    items_that_are_alike_stand_apart,
    what_cannot_be_a_ranking_is_refused,
    a_scope_ranks_as_if_it_were_the_whole,
)
ASYNC_RANKED_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (the_async_face_ranks_alike,)
