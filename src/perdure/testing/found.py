"""What a search by words has to find, as functions that raise AssertionError: see `perdure.testing.stores`.

They hold for stores with the default index: English, all texts of a value.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from perdure.errors import QueryError
from perdure.storage.item_store import ItemStore
from perdure.store.base import PutOp, RankBy, SearchOp

__all__ = ["ASYNC_FOUND_CHECKS", "FOUND_CHECKS"]

ADA: Final = ("users", "ada", "notes")
BOB: Final = ("users", "bob")


def _filled(store: ItemStore) -> None:
    store.put(ADA, "tea", {"text": "Ada likes green tea in the morning"})
    store.put(ADA, "coffee", {"text": "Coffee? Only with milk.", "tags": ["drinks", "hot"]})
    store.put(ADA, "cats", {"about": {"pets": ["two cats", "a dog"]}, "n": 2})
    store.put(BOB, "tea", {"text": "tea, tea and tea"})


def _keys(store: ItemStore, query: str, prefix: tuple[str, ...] = ADA, **more: Any) -> list[str]:
    return [item.key for item in store.search(prefix, query=query, **more)]


def words_find_items(store: ItemStore) -> None:
    """In any text of the value, whatever the case and the ending; only items that have a word are found."""
    _filled(store)

    assert _keys(store, "TEA") == ["tea"]
    assert _keys(store, "cat") == ["cats"]
    assert _keys(store, "drink") == ["coffee"]
    assert _keys(store, "the mornings of dogs") == ["tea", "cats"] or _keys(
        store, "the mornings of dogs"
    ) == ["cats", "tea"]
    assert _keys(store, "zebra") == []
    assert _keys(store, "pets") == []  # a field's name is no text of the value


def the_best_comes_first(store: ItemStore) -> None:
    """Scores fall; more of the words, rarer words and shorter texts weigh more; equals come newest first."""
    _filled(store)

    found = store.search(("users",), query="tea with milk")
    assert [(item.namespace, item.key) for item in found] == [(ADA, "coffee"), (BOB, "tea"), (ADA, "tea")]
    scores = [item.score or 0.0 for item in found]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0
    for n in range(5):
        store.put(("same",), str(n), {"text": "just the same"})
    store.put(("same",), "1", {"text": "just the same"})
    assert _keys(store, "same", ("same",)) == ["1", "4", "3", "2", "0"]
    assert len({item.score for item in store.search(("same",), query="same")}) == 1


def a_search_stays_in_its_subtree(store: ItemStore) -> None:
    """Its words, and its statistics: what others have stored changes no score."""
    _filled(store)
    before = [(item.key, item.score) for item in store.search(ADA, query="tea coffee")]

    for n in range(20):
        store.put(("users", "eve"), str(n), {"text": f"tea {n} " + "words " * n})

    assert [(item.key, item.score) for item in store.search(ADA, query="tea coffee")] == before
    assert _keys(store, "tea", ("user",)) == []


def what_is_gone_is_not_found(store: ItemStore) -> None:
    """Replaced, updated, deleted: the words of what lives are found, no others."""
    _filled(store)
    store.put(ADA, "tea", {"text": "Ada likes water"})
    store.update(ADA, "coffee", lambda value: {**(value or {}), "text": "cocoa"})
    store.delete(ADA, "cats")

    assert _keys(store, "tea coffee cat") == []
    assert _keys(store, "water cocoa") == ["coffee", "tea"] or _keys(store, "water cocoa") == [
        "tea",
        "coffee",
    ]
    assert _keys(store, "drinks") == ["coffee"]


def pages_of_a_search_hold_each_item_once(store: ItemStore) -> None:
    """`limit` and `offset` cut the same order; a filter counts what it lets through."""
    for n in range(30):
        store.put(ADA, f"{n:02}", {"text": "tea " * (n % 4 + 1), "odd": n % 2})

    whole = _keys(store, "tea", limit=100)
    assert len(whole) == len(set(whole)) == 30
    assert [key for page in range(4) for key in _keys(store, "tea", limit=8, offset=8 * page)] == whole
    odd = _keys(store, "tea", limit=100, filter={"odd": 1})
    assert odd == [key for key in whole if int(key) % 2]
    assert _keys(store, "tea", limit=3, offset=2, filter={"odd": 1}) == odd[2:5]
    assert _keys(store, "tea", limit=0) == []
    judged = RankBy(rerank=lambda query, items: items, rerank_top=10**30)
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, whole),
        ({"filter": {"odd": 1}}, odd),
        ({"rank_by": judged}, whole),
    ]
    for more, all_of_it in cases:
        assert _keys(store, "tea", limit=sys.maxsize, offset=1, **more) == all_of_it[1:], "none is too great"
        assert _keys(store, "tea", offset=10**30, **more) == []


def what_a_put_says_is_indexed(store: ItemStore) -> None:
    """`index=False`: nothing; a list: these paths, a missing one left out. `update` keeps it, `put` begins anew."""
    value = {"title": "apples", "body": {"text": "pears"}, "tags": ["plums", "figs"]}
    store.put(ADA, "none", value, index=False)
    store.put(ADA, "some", value, index=["title", "tags[*]", "no.such.path"])
    store.put(ADA, "all", value)

    assert sorted(_keys(store, "apples")) == ["all", "some"]
    assert sorted(_keys(store, "figs")) == ["all", "some"]
    assert _keys(store, "pears") == ["all"]
    for key in ("none", "some"):
        store.update(ADA, key, lambda value: {**(value or {}), "more": "pears and figs"})
    assert _keys(store, "pears") == ["all"]
    assert sorted(_keys(store, "plum")) == ["all", "some"]
    store.put(ADA, "none", value)
    assert sorted(_keys(store, "pears")) == ["all", "none"]
    bad: Any = "title"
    with suppress(QueryError):
        store.put(ADA, "bad", value, index=bad)
        raise AssertionError("an index that is no list of paths was taken")


def any_text_is_a_query(store: ItemStore) -> None:
    """Quotes, stars, operators, odd characters, very long ones: an answer, never an error."""
    _filled(store)
    odd = [
        '"',
        '"tea',
        'tea"',
        "*",
        "tea*",
        "-tea",
        "tea OR AND NOT",
        "te\0a",
        "\ud800",
        "🍵",
        "(",
        "a" * 100_000,
    ]
    for query in (
        *odd,
        " ".join(odd),
        "tea " * 10_000,
        "%",
        "_",
        "'; DROP TABLE x; --",
        "NEAR(tea)",
        "text:tea",
    ):
        assert isinstance(store.search((), query=query), list)
    assert _keys(store, "-tea") == ["tea"]
    assert _keys(store, "tea' OR '1'='1") == ["tea"]


def phrases_and_beginnings(store: ItemStore) -> None:
    """Words in quotes stand one after the other; a star stands for the rest of a word."""
    _filled(store)
    store.put(ADA, "more", {"text": "green, and then tea"})

    assert _keys(store, '"green tea"') == ["tea"]
    assert _keys(store, '"tea green"') == []
    assert sorted(_keys(store, "green tea")) == ["more", "tea"]
    assert _keys(store, "morn*") == ["tea"]
    assert _keys(store, "cof*") == ["coffee"]
    assert _keys(store, "xyz*") == []


def words_without_spaces_are_found(store: ItemStore) -> None:
    """Chinese and Japanese, mixed with other writing."""
    store.put(ADA, "zh", {"text": "我喜欢喝绿茶"})
    store.put(ADA, "ja", {"text": "東京でPythonを学ぶ"})

    assert _keys(store, "绿茶") == ["zh"]
    assert _keys(store, "茶") == ["zh"]
    assert _keys(store, "東京") == ["ja"]
    assert _keys(store, "python") == ["ja"]
    assert _keys(store, "大阪") == []


async def the_async_face_finds_alike(store: ItemStore) -> None:
    """`asearch`, and searches in a batch, which see what was there before its writes."""
    _filled(store)

    found = await store.asearch(ADA, query="tea")
    assert [item.key for item in found] == ["tea"]
    answers = await store.abatch(
        [
            PutOp(ADA, "new", {"text": "tea"}),
            SearchOp(ADA, query="tea"),
            SearchOp(ADA, {"n": 2}, query="cats"),
        ]
    )
    assert [[item.key for item in answer] for answer in answers[1:] if isinstance(answer, list)] == [  # type: ignore[union-attr]
        ["tea"],
        ["cats"],
    ]
    assert [item.key for item in await store.asearch(ADA, query="tea")] == ["new", "tea"]


FOUND_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    words_find_items,
    the_best_comes_first,
    a_search_stays_in_its_subtree,
    what_is_gone_is_not_found,
    pages_of_a_search_hold_each_item_once,
    what_a_put_says_is_indexed,
    any_text_is_a_query,
    phrases_and_beginnings,
    words_without_spaces_are_found,
)
ASYNC_FOUND_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (the_async_face_finds_alike,)
