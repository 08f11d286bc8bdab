"""What a search of any store lists: the latest first, in pages, by filters.

Not here: operators beside the first ones, other orders (`listings.py`), words (`found.py`).
"""

from __future__ import annotations

from typing import Any, Final

from perdure.store.base import BaseStore, PutOp
from perdure.testing.raised import raised
from perdure.testing.stores.kit import NOTES

__all__ = [
    "a_search_gives_ten_unless_told",
    "an_empty_query_is_none",
    "bad_filters_are_errors",
    "bad_numbers_are_errors",
    "filters_mean_the_same_everywhere",
    "search_lists_the_latest_first",
]

FILTERS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    # (filter, keys of ITEMS it means)
    ({}, "abcdef"),
    ({"n": 1}, "ac"),
    ({"n": 1.0}, "ac"),
    ({"n": True}, "b"),
    ({"n": None}, "df"),
    ({"absent": None}, "abcdef"),
    ({"n": {"$eq": 1}}, "ac"),
    ({"n": {"$ne": 1}}, "bdef"),
    ({"n": {"$ne": None}}, "abce"),
    ({"n": {"$gt": 0}}, "ac"),
    ({"n": {"$gte": 1, "$lt": 2}}, "ac"),
    ({"n": {"$gt": 1}}, ""),
    ({"n": {"$lte": "one"}}, "e"),
    ({"n": {"$lt": "one"}}, ""),
    ({"n": 1, "tag": "x"}, "a"),
    ({"m": {"p": 1}}, "ab"),
    ({"m": {"p": {"$gte": 1}, "q": 2}}, "a"),
    ({"m": {"q": None}}, "b"),
    ({"m": {}}, "ab"),
    ({"m.p": 1}, "ab"),
    ({"m.q": {"$gt": 1}}, "a"),
    ({"user.access-level": 7}, "c"),
    ({"user": {"access-level": 7}}, "c"),
    ({"dotted.key": 1}, "d"),
    ({"0leading": 1}, "d"),
    ({"l": [1, 2]}, "e"),
    ({"l": {"$eq": [1, 2]}}, "e"),
    ({"l": [True, 2]}, ""),
    ({"l": [1]}, ""),
    ({"o": {"$eq": {"p": 1}}}, "f"),
    ({"m": {"$eq": {"p": 1}}}, "b"),
    ({"tag": "X"}, ""),
    ({"'; DROP TABLE items; --": None}, "abcdef"),
)

ITEMS: Final[dict[str, dict[str, Any]]] = {
    "a": {"n": 1, "tag": "x", "m": {"p": 1, "q": 2}},
    "b": {"n": True, "m": {"p": 1}},
    "c": {"n": 1.0, "user": {"access-level": 7}},
    "d": {"n": None, "dotted.key": 1, "dotted": {"key": 2}, "0leading": 1},
    "e": {"n": "one", "l": [1, 2]},
    "f": {"o": {"p": 1}},
}

BAD_FILTERS: Final[tuple[dict[Any, Any], ...]] = (
    {"n": {"$foo": 1}},
    {"n": {"$gt": 1, "$bar": 2}},
    {"m": {"p": {"$foo": 1}}},
    {"n": {"$gt": 1, "plain": 2}},
    {"n": {"$gt": None}},
    {"n": {"$gt": {}}},
    {"n": {"$lt": [1]}},
    {"$gt": 1},
    {"n": {1, 2}},
    {1: 2},
    {"n": float("nan")},
)


def search_lists_the_latest_first(store: BaseStore) -> None:
    """Most recently updated, not created; pages fit together."""
    for key in "abcde":
        store.put(NOTES, key, {"key": key})
    store.put(NOTES, "b", {"key": "b again"})

    assert [item.key for item in store.search(NOTES)] == ["b", "e", "d", "c", "a"]
    assert [item.key for item in store.search(NOTES, limit=2)] == ["b", "e"]
    assert [item.key for item in store.search(NOTES, limit=2, offset=2)] == ["d", "c"]
    assert store.search(NOTES, limit=0) == []
    assert store.search(NOTES, offset=5) == []
    assert all(item.score is None for item in store.search(()))


def a_search_gives_ten_unless_told(store: BaseStore) -> None:
    """And as many as there are if told."""
    store.batch([PutOp(NOTES, str(n), {}) for n in range(1234)])

    assert len(store.search(NOTES)) == 10
    assert len(store.search(NOTES, limit=10_000)) == 1234
    assert len(store.search(NOTES, limit=10_000, offset=1230)) == 4
    assert len(store.search(NOTES, limit=1000, filter={"x": None}, offset=300)) == 934


def filters_mean_the_same_everywhere(store: BaseStore) -> None:
    """Type-strict, by paths, all keys at once."""
    for key, value in ITEMS.items():
        store.put(NOTES, key, value)

    for given, keys in FILTERS:
        found = "".join(item.key for item in store.search((), filter=given))
        assert found == keys[::-1], f"{given}: {found} instead of {keys[::-1]}"
        assert [item.key for item in store.search((), filter=given, limit=1, offset=1)] == list(
            keys[::-1][1:2]
        )


def bad_filters_are_errors(store: BaseStore) -> None:
    """Never all items, never none; even when there is no item to look at."""
    for given in BAD_FILTERS:
        raised(ValueError, lambda given=given: store.search((), filter=given))


def bad_numbers_are_errors(store: BaseStore) -> None:
    """For pages and depths."""
    raised(ValueError, lambda: store.search((), limit=-1))
    raised(ValueError, lambda: store.search((), offset=-1))
    raised(ValueError, lambda: store.list_namespaces(limit=-1))
    raised(ValueError, lambda: store.list_namespaces(offset=-1))
    raised(ValueError, lambda: store.list_namespaces(max_depth=0))


def an_empty_query_is_none(store: BaseStore) -> None:
    """It lists as if it had not been given."""
    store.put(NOTES, "a", {})

    assert store.search((), query="") == store.search(())
