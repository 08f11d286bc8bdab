"""Many items at once, as functions that raise AssertionError.

`BULK_CHECKS` and `ASYNC_BULK_CHECKS` belong to the suite of `stores.py`. Give each check a fresh, empty store of anybody's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from perdure.store.base import BaseStore, InvalidNamespaceError, PutOp, Putting

__all__ = ["ASYNC_BULK_CHECKS", "BULK_CHECKS"]

ADA: Final = ("users", "ada")
BOB: Final = ("users", "bob")


def many_items_are_put_and_read_in_order(store: BaseStore) -> None:
    """Places that hold nothing give None; one may be asked for twice."""
    store.put_many([(ADA, "a", {"n": 1}), (BOB, "b", {"n": 2}), PutOp((*ADA, "deep"), "c", {"n": 3})])

    found = store.get_many([(BOB, "b"), (ADA, "never"), (ADA, "a"), (BOB, "b"), ((*ADA, "deep"), "c")])

    assert [None if item is None else item.value for item in found] == [
        {"n": 2},
        None,
        {"n": 1},
        {"n": 2},
        {"n": 3},
    ]
    store.put_many([])
    assert store.get_many([]) == []


def of_several_for_one_place_the_last_counts(store: BaseStore) -> None:
    """And a value None deletes."""
    store.put(ADA, "gone", {"n": 0})

    store.put_many([(ADA, "a", {"n": 1}), (ADA, "gone", None), (ADA, "a", {"n": 2})])

    assert [item.value for item in store.search(ADA)] == [{"n": 2}]


def one_bad_item_stops_all(store: BaseStore) -> None:
    """Nothing is written."""
    bad: Any = (("a.b",), "k", {})
    _refused(lambda: store.put_many([(ADA, "a", {}), bad]))
    strange: Any = "abc"
    _refused(lambda: store.put_many([(ADA, "a", {}), strange]))

    assert store.count() == 0


def a_prefix_is_deleted_whole_labels_at_a_time(store: BaseStore) -> None:
    """With a filter only what meets it; beyond a page, too."""
    store.put_many([((*ADA, "notes"), f"k{n}", {"odd": n % 2 == 1}) for n in range(1100)])
    store.put_many([(("users", "adam"), "k", {}), (BOB, "k", {}), (ADA, "k", {"odd": True})])

    assert store.delete_prefix((*ADA, "notes"), filter={"odd": True}) == 550
    assert store.count(ADA) == 551
    assert store.delete_prefix(ADA) == 551
    assert store.delete_prefix(ADA) == 0
    assert {item.namespace for item in store.search(())} == {("users", "adam"), BOB}


def a_subtree_is_counted(store: BaseStore) -> None:
    """What lives there; with a filter what of it fits."""
    items: list[Putting] = [(ADA, f"k{n}", {"n": n}) for n in range(7)]
    store.put_many([*items, (BOB, "k", {"n": 1}), ((*ADA, "notes"), "k", {})])
    store.delete(ADA, "k0")

    assert (store.count(), store.count(("users",)), store.count(ADA)) == (8, 8, 7)
    assert (store.count(("use",)), store.count(BOB)) == (0, 1)
    assert store.count(("users",), filter={"n": 1}) == 2
    _refused(lambda: store.count(("a.b",)))


BULK_CHECKS: Final[tuple[Callable[[BaseStore], None], ...]] = (
    many_items_are_put_and_read_in_order,
    of_several_for_one_place_the_last_counts,
    one_bad_item_stops_all,
    a_prefix_is_deleted_whole_labels_at_a_time,
    a_subtree_is_counted,
)


async def bulk_has_another_colour(store: BaseStore) -> None:
    """The same, awaited."""
    await store.aput_many([(ADA, "a", {"n": 1}), (BOB, "b", {"n": 2}), (ADA, "c", {"n": 1})])

    found = await store.aget_many([(BOB, "b"), (BOB, "a")])
    assert [item and item.value for item in found] == [{"n": 2}, None]
    assert await store.acount() == 3
    assert await store.acount(("users",), filter={"n": 1}) == 2
    assert await store.adelete_prefix(ADA, filter={"n": 2}) == 0
    assert await store.adelete_prefix(ADA) == 2
    assert await store.acount() == 1


ASYNC_BULK_CHECKS: Final[tuple[Callable[[BaseStore], Awaitable[None]], ...]] = (bulk_has_another_colour,)


def _refused(call: Callable[[], object]) -> None:
    try:
        call()
    except (InvalidNamespaceError, ValueError):
        return
    raise AssertionError("no ValueError was raised")
