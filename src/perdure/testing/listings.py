"""What listings of every store have to do: operators and paths of filters, `order_by`, cursors.

As in `stores.py`: give each check a fresh, empty store; it raises AssertionError. `FILTER_CHECKS` are for anybody's store
(`perdure.testing.stores.CHECKS` has the older half), `LISTING_CHECKS` for those with `supports_order`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final

from perdure.store.base import BaseStore, PutOp, SearchItem, SearchOp

__all__ = ["ASYNC_LISTING_CHECKS", "FILTER_CHECKS", "LISTING_CHECKS"]

TEAS: Final = ("teas",)
ITEMS: Final[dict[str, dict[str, Any]]] = {
    "a": {"n": 1, "tags": ["hot", "green"], "from": [{"land": "Japan", "year": 2}, {"land": "China"}]},
    "b": {"n": 2, "tags": ["cold"], "text": "a green leaf"},
    "c": {"n": None, "tags": [], "a.b": 1, "a": {"b": 2}},
    "d": {"n": "2", "tags": "green", "from": {"land": "China"}},
    "e": {"n": True, "a": [[1, 2], [3]], "tags": [None, "green"]},
}
FILTERS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    # (filter, keys of ITEMS it means)
    ({"n": {"$in": [1, "2"]}}, "ad"),
    ({"n": {"$in": []}}, ""),
    ({"n": {"$nin": [1, None]}}, "bde"),
    ({"n": {"$nin": []}}, "abcde"),
    ({"text": {"$in": [None]}}, "acde"),
    ({"n": {"$exists": True}}, "abcde"),
    ({"text": {"$exists": True}}, "b"),
    ({"text": {"$exists": False}}, "acde"),
    ({"n": {"$exists": True, "$eq": None}}, "c"),
    ({"tags": {"$contains": "green"}}, "ade"),
    ({"tags": {"$contains": None}}, "e"),
    ({"text": {"$contains": "green"}}, "b"),
    ({"from": {"$contains": {"land": "China"}}}, "a"),
    ({"$or": [{"n": 1}, {"n": True}]}, "ae"),
    ({"$and": [{"n": {"$gte": 1}}, {"n": {"$lt": 2}}]}, "a"),
    ({"$not": {"n": {"$exists": False}, "tags": ["cold"]}}, "abcde"),
    ({"$not": {"tags": {"$contains": "green"}}}, "bc"),
    ({"n": {"$or": [1, {"$gt": 1}]}}, "ab"),
    ({"n": {"$not": {"$gt": 1}}}, "acde"),
    ({"$or": [{"n": 1}, {"$not": {"tags[*]": {"$exists": True}}}]}, "acd"),
    ({"tags[0]": "hot"}, "a"),
    ({"tags[-1]": "green"}, "ae"),
    ({"tags[7]": None}, "abcde"),
    ({"a[0][1]": 2}, "e"),
    ({"a[*][*]": {"$gt": 2}}, "e"),
    ({"a.b": 1}, "c"),
    ({"a": {"b": 2}}, "c"),
    ({"tags[*]": "green"}, "ae"),
    ({"tags[*]": {"$ne": "green"}}, "abcde"),
    ({"tags[*]": {"$not": "green"}}, "bcd"),
    ({"tags[*]": None}, "cde"),
    ({"tags[*]": {"$exists": False}}, "cd"),
    ({"from[*].land": {"$gt": "D", "$lt": "I"}}, ""),
    ({"from[*].land": {"$gt": "D", "$lt": "K"}}, "a"),
    ({"from[*]": {"land": "China", "year": None}}, "a"),
    ({"from[*]": {"land": "China", "year": 2}}, ""),
)
BAD_FILTERS: Final[tuple[dict[Any, Any], ...]] = (
    {"$nor": [{"n": 1}]},
    {"$and": []},
    {"n": {"$or": []}},
    {"$or": {"n": 1}},
    {"$not": []},
    {"n": {"$in": 1}},
    {"n": {"$in": [{1}]}},
    {"n": {"$exists": 1}},
    {"n": {"$contains": b""}},
    {"n": {"$not": {"$like": "x"}}},
    {"n": float("inf")},
)


def operators_and_paths_mean_the_same_everywhere(store: BaseStore) -> None:
    """Choice, presence, contents, logic, elements of lists."""
    for key, value in ITEMS.items():
        store.put(TEAS, key, value)

    for given, keys in FILTERS:
        found = "".join(sorted(item.key for item in store.search((), filter=given)))
        assert found == keys, f"{given}: {found} instead of {keys}"


def filters_that_cannot_be_right_are_errors(store: BaseStore) -> None:
    """Deep ones, too; even when there is no item to look at."""
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"$not": deep}
    for given in (*BAD_FILTERS, deep):
        _refused(lambda given=given: store.search((), filter=given))


# ---- order


MIXED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    # upwards
    ("null", {"v": None}),
    ("false", {"v": False}),
    ("true", {"v": True}),
    ("low", {"v": -(2**70)}),
    ("one", {"v": 1}),
    ("one more", {"v": 1.0}),
    ("one and a half", {"v": 1.5}),
    ("high", {"v": 2**70}),
    ("empty", {"v": ""}),
    ("upper", {"v": "B"}),
    ("lower", {"v": "a"}),
    ("odd", {"v": "\ud800"}),
    ("list", {"v": [1]}),
    ("object", {"v": {"x": 1}}),
    ("missing", {}),
    ("missing, too", {"w": 1}),
)


def any_values_have_one_order(store: BaseStore) -> None:
    """By kind, then by size; missing ones last in both directions; equal ones by place."""
    _fill(store, dict(reversed(MIXED)))
    upwards = [key for key, _ in MIXED]
    downwards = [*upwards[:14][::-1], *upwards[14:]]
    one, more = downwards.index("one"), downwards.index("one more")
    downwards[one], downwards[more] = downwards[more], downwards[one]

    assert _keys(store, order_by="v", limit=99) == upwards
    assert _keys(store, order_by="-v", limit=99) == downwards
    assert _keys(store, order_by="value.v", limit=3, offset=2) == upwards[2:5]
    cases: tuple[dict[str, Any], ...] = ({}, {"filter": {"v": {"$exists": True}}}, {"order_by": "v"})
    for more in cases:
        whole = _keys(store, **more, limit=99)
        assert _keys(store, **more, limit=10**30, offset=1) == whole[1:], "none is too great"
        assert _keys(store, **more, offset=10**30) == []
    assert _keys(store, order_by="-v", filter={"v": {"$gte": 1}}) == [
        "high",
        "one and a half",
        "one",
        "one more",
    ]


def items_are_ordered_by_their_own_facts(store: BaseStore) -> None:
    """Key and times; a path that is called like one is written with `value.` in front."""
    for n, key in enumerate(("b", "c", "a")):
        store.put((f"ns{n}",), key, {"key": n, "created_at": -n, "deep": {"l": [n, -n]}})
    store.put(("ns1",), "a", {"key": 9})

    assert _keys(store, order_by="key") == ["a", "a", "b", "c"]
    assert [item.namespace for item in store.search((), order_by="-key")][-2:] == [("ns1",), ("ns2",)]
    assert _keys(store, order_by="value.key") == ["b", "c", "a", "a"]
    assert _keys(store, order_by="value.created_at") == ["a", "c", "b", "a"]
    assert _keys(store, order_by="-deep.l[-1]", limit=2) == ["b", "c"]
    moments = [item.created_at for item in store.search((), order_by="created_at")]
    assert moments == sorted(moments)
    moments = [item.updated_at for item in store.search((), order_by="-updated_at")]
    assert moments == sorted(moments, reverse=True)


def orders_that_cannot_be_right_are_errors(store: BaseStore) -> None:
    """No text, no name, many places at once."""
    wrong: tuple[Any, ...] = ("", "-", "value.", "-value.", "tags[*]", "tags[*].x", 5, ["key"], True)
    for order_by in wrong:
        _refused(lambda order_by=order_by: store.search((), order_by=order_by))
        _refused(lambda order_by=order_by: store.batch([SearchOp((), order_by=order_by)]))
    _refused(lambda: store.search((), query="words", order_by="key"))
    _refused(lambda: store.search((), query="words", after="x"))


# ---- cursors


ORDERS: Final = (
    None,
    "key",
    "-key",
    "created_at",
    "-created_at",
    "updated_at",
    "-updated_at",
    "v",
    "-v",
    "d.x",
)


def walking_cursors_gives_the_whole_listing(store: BaseStore) -> None:
    """In every order, by pages of any size, filtered or not."""
    _fill(store, dict(MIXED))
    store.put(("other",), "one", {"v": 1})

    for order_by in ORDERS:
        for given in (None, {"v": {"$exists": True}}):
            whole = store.search((), order_by=order_by, filter=given, limit=99)
            assert len(whole) in (15, 17)
            for size in (1, 4, 99):
                assert _walk(store, size, order_by=order_by, filter=given) == whole
            behind = store.search(
                (), order_by=order_by, filter=given, limit=2, offset=3, after=whole[1].cursor
            )
            assert behind == whole[5:7], order_by


def a_cursor_holds_while_others_write(store: BaseStore) -> None:
    """What nobody wrote meanwhile comes exactly once, even if the very item of the cursor is gone."""
    for order_by in ORDERS:
        _fill(store, {f"k{n:02}": {"v": n, "d": {"x": n % 3}} for n in range(20)})
        first = store.search(TEAS, order_by=order_by, limit=5)
        rest = [item.key for item in store.search(TEAS, order_by=order_by, limit=99)[5:]]
        touched = {first[4].key: None, first[0].key: {"v": 99}, rest[0]: None, rest[1]: {"v": -99}}
        store.batch([PutOp(TEAS, key, value) for key, value in touched.items()])
        store.put(TEAS, "new", {"v": 7})

        more = _walk(store, 3, TEAS, order_by=order_by, after=first[4].cursor)

        found = [item.key for item in more if item.key not in (*touched, "new")]
        assert found == rest[2:], (order_by, found)
        store.batch([PutOp(TEAS, item.key, None) for item in store.search((), limit=99)])


def a_cursor_of_another_order_is_refused(store: BaseStore) -> None:
    """By what it says of itself."""
    store.put(TEAS, "a", {"v": 1})
    for made in ORDERS:
        cursor = store.search((), order_by=made)[0].cursor
        assert cursor is not None
        for used in ORDERS:
            if used == made:
                assert store.search((), order_by=used, after=cursor) == []
            else:
                _refused(lambda used=used, cursor=cursor: store.search((), order_by=used, after=cursor))
    same = store.search((), order_by="v")[0].cursor
    assert store.search((), order_by="value.v", after=same) == []


def a_text_that_is_no_cursor_is_refused(store: BaseStore) -> None:
    """Whatever it is; nothing of it is believed."""
    store.put(TEAS, "a", {"v": 1})
    wrong: list[Any] = ["", "x", "====", "é", "\0", 5, b"x", ("a",), "A" * 20_000_000, _text("[" * 100_000)]
    newest, by_value = "newest first", "value.v"
    shapes: tuple[Any, ...] = (
        None, 5, {}, [], [5], [newest], [newest, 0], [newest, "1"], [newest, True], [newest, 1.5], [newest, 2**63],
        [newest, 1, 1], [by_value], [by_value, 2, 1, ["a"]], [by_value, 2, "1", ["a"], "k"], [by_value, 9, 1, ["a"], "k"],
        [by_value, True, True, ["a"], "k"], [by_value, 2, True, ["a"], "k"], [by_value, 1, 1, ["a"], "k"],
        [by_value, 3, 1, ["a"], "k"], [by_value, 0, 0, ["a"], "k"], [by_value, -1, 0, ["a"], "k"],
        [by_value, 2, 1, "a", "k"], [by_value, 2, 1, [1], "k"], [by_value, 2, 1, ["a"], 5], [by_value, 4, [1], ["a"], "k"],
        ["key", 2, 1, ["a"], "k"], ["created_at", 3, "a", ["a"], "k"],
    )  # fmt: skip
    wrong += [_text(json.dumps(parts)) for parts in shapes]
    wrong += [_text('["value.v",2,NaN,["a"],"k"]'), _text('["value.v",2,1e999,["a"],"k"]')]
    for cursor in wrong:
        for order_by in (None, "v", "key", "created_at"):
            _refused(
                lambda cursor=cursor, order_by=order_by: store.search((), order_by=order_by, after=cursor)
            )


def a_cursor_never_leads_out_of_the_prefix_or_the_filter(store: BaseStore) -> None:
    """It is a place in the order and no more, whichever item it was made at."""
    for label in ("a", "b", "c"):
        for n in range(3):
            store.put((label,), f"{n}", {"v": n})
    seen = 0
    for order_by in ORDERS:
        for item in store.search((), order_by=order_by, limit=99):
            found = store.search(
                ("b",), order_by=order_by, after=item.cursor, filter={"v": {"$ne": 1}}, limit=99
            )
            assert {found.namespace for found in found} <= {("b",)}
            assert 1 not in [found.value["v"] for found in found]
            seen += len(found)
    assert seen > 0


def a_cursor_tells_of_its_own_item_only(store: BaseStore) -> None:
    """Not even whether there are others."""
    store.put(TEAS, "b", {"v": "mine", "w": "hidden"})
    alone = [item.cursor for item in (store.search((), order_by=order)[0] for order in ("v", "-key", None))]
    store.put(("secret",), "a", {"v": "a secret"})
    store.put(("secret",), "c", {"v": "secret, too"})

    def mine(order_by: str | None) -> SearchItem:
        (item,) = (item for item in store.search((), order_by=order_by) if item.key == "b")
        return item

    assert [mine(order).cursor for order in ("v", "-key", None)] == alone
    for cursor in alone:
        assert cursor is not None
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        assert b"secret" not in text
        assert b"hidden" not in text


async def the_async_face_orders_alike(store: BaseStore) -> None:
    """And takes the same cursors."""
    _fill(store, dict(MIXED))
    first = await store.asearch((), order_by="-v", limit=4)

    assert first == store.search((), order_by="-v", limit=4)
    rest = await store.asearch((), order_by="-v", after=first[-1].cursor, limit=99)
    assert [*first, *rest] == store.search((), order_by="-v", limit=99)


FILTER_CHECKS: Final[tuple[Callable[[BaseStore], None], ...]] = (
    operators_and_paths_mean_the_same_everywhere,
    filters_that_cannot_be_right_are_errors,
)
"""Filters, for anybody's store."""
LISTING_CHECKS: Final[tuple[Callable[[BaseStore], None], ...]] = (
    any_values_have_one_order,
    items_are_ordered_by_their_own_facts,
    orders_that_cannot_be_right_are_errors,
    walking_cursors_gives_the_whole_listing,
    a_cursor_holds_while_others_write,
    a_cursor_of_another_order_is_refused,
    a_text_that_is_no_cursor_is_refused,
    a_cursor_never_leads_out_of_the_prefix_or_the_filter,
    a_cursor_tells_of_its_own_item_only,
)
"""Orders and cursors, for stores that have them."""
ASYNC_LISTING_CHECKS: Final = (the_async_face_orders_alike,)
"""The same in its other colour."""


def _fill(store: BaseStore, items: dict[str, dict[str, Any]]) -> None:
    store.batch([PutOp(TEAS, key, value) for key, value in items.items()])


def _keys(store: BaseStore, **options: Any) -> list[str]:
    return [item.key for item in store.search((), **options)]


def _walk(
    store: BaseStore, size: int, prefix: tuple[str, ...] = (), after: str | None = None, **options: Any
) -> list[SearchItem]:
    found: list[SearchItem] = []
    while page := store.search(prefix, limit=size, after=after, **options):
        found += page
        after = page[-1].cursor
        assert after is not None
    return found


def _text(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _refused(call: Callable[[], object]) -> None:
    try:
        call()
    except ValueError:
        return
    raise AssertionError("no ValueError was raised")
