"""Which items come with those that a search found, as functions that raise AssertionError: see `perdure.testing.stores`.

`NEARBY_CHECKS` and `ASYNC_NEARBY_CHECKS` hold for stores with the default index that were opened with `ttl={}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from perdure.errors import QueryError
from perdure.graph import START, StateGraph
from perdure.storage.item_store import ItemStore
from perdure.store.base import PutOp, RankBy, SearchItem, SearchOp
from perdure.testing.fake_clock import FakeClock

__all__ = ["ASYNC_NEARBY_CHECKS", "NEARBY_CHECKS"]

TALK: Final = ("users", "ada", "talk")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def shown(found: list[SearchItem]) -> list[str]:
    """Keys; of a neighbour with the key of its hit."""
    return [item.key if item.neighbour_of is None else f"{item.key} of {item.neighbour_of}" for item in found]


def _talk(store: ItemStore, count: int = 9, namespace: tuple[str, ...] = TALK) -> None:
    """Messages `m0`, `m1` ... in commits of their own, a minute apart."""
    with FakeClock(BEGIN) as clock:
        for n in range(count):
            store.put(namespace, f"m{n}", {"text": f"word{n}", "n": n})
            clock.advance(minutes=1)


def what_stood_before_and_behind_comes_along(store: ItemStore) -> None:
    """Around its hit, in the order in which it was stored; marked, without a score, not counted in `limit`."""
    _talk(store)

    assert shown(store.search((), query="word4", neighbours=1)) == ["m3 of m4", "m4", "m5 of m4"]
    found = store.search((), query="word4", neighbours=2, limit=1, explain=True)
    assert shown(found) == ["m2 of m4", "m3 of m4", "m4", "m5 of m4", "m6 of m4"]
    assert [item.score is None for item in found] == [True, True, False, True, True]
    assert found[0].explanation == {"neighbour_of": "m4"}
    assert found[0].value == {"text": "word2", "n": 2}
    assert found[0].version == getattr(store.get(TALK, "m2"), "version", None)
    assert shown(store.search((), query="word0", neighbours=1)) == ["m0", "m1 of m0"]
    assert shown(store.search((), query="word8", neighbours=99))[:2] == ["m0 of m8", "m1 of m8"]
    assert shown(store.search((), query="word4")) == ["m4"]


def every_item_comes_once(store: ItemStore) -> None:
    """One that was found stands in its own place; one beside two hits comes with the better one."""
    _talk(store, 5)

    found = store.search((), query="word1 word3", neighbours=1)
    assert shown(found) == ["m2 of m3", "m3", "m4 of m3", "m0 of m1", "m1"]
    found = store.search((), query="word1 word2", neighbours=1)
    assert shown(found) == ["m2", "m3 of m2", "m0 of m1", "m1"]
    pages = [shown(store.search((), query="word1 word3", neighbours=1, limit=1, offset=n)) for n in (0, 1, 2)]
    assert pages == [["m2 of m3", "m3", "m4 of m3"], ["m0 of m1", "m1", "m2 of m1"], []]


def they_stand_as_they_were_made(store: ItemStore) -> None:
    """Replacing moves nothing, deleting and putting again does; those of one commit stand as they were put."""
    _talk(store, 5)
    with FakeClock(BEGIN) as clock:
        clock.advance(hours=1)
        store.put(TALK, "m3", {"text": "word3 anew"})
        store.update(TALK, "m1", lambda value: {**(value or {}), "more": 1})
        assert shown(store.search((), query="word2", neighbours=1)) == ["m1 of m2", "m2", "m3 of m2"]
        store.delete(TALK, "m1")
        store.put(TALK, "m1", {"text": "word1 again"})
        assert shown(store.search((), query="word2", neighbours=1)) == ["m0 of m2", "m2", "m3 of m2"]
        assert shown(store.search((), query="word1", neighbours=1)) == ["m4 of m1", "m1"]
        clock.advance(hours=1)
        store.put_many([(TALK, key, {"text": f"late {key}"}) for key in ("z", "c", "y", "b")])
        assert shown(store.search((), query="y", neighbours=2)) == ["z of y", "c of y", "y", "b of y"]
        store.put(TALK, "c", {"text": "late c, replaced"})
        assert shown(store.search((), query="y", neighbours=1)) == ["c of y", "y", "b of y"]
        # By the clock of whoever wrote: what was made earlier stands before, whenever it came.
        clock.set(BEGIN)
        clock.advance(seconds=150)
        store.put(TALK, "between", {"text": "between two and three"})
        assert shown(store.search((), query="between", neighbours=1)) == [
            "m2 of between",
            "between",
            "m3 of between",
        ]


def only_the_own_namespace_has_neighbours(store: ItemStore) -> None:
    """Not those below it, nor beside it, whoever is searched."""
    _talk(store, 3)
    _talk(store, 3, (*TALK, "below"))
    _talk(store, 3, ("users", "bob", "talk"))

    found = store.search(("users",), query="word1", neighbours=2)
    assert len(found) == 9
    for start in (0, 3, 6):
        assert len({item.namespace for item in found[start : start + 3]}) == 1
    inside = store.scoped(("users",)).scoped(("ada",)).search((), query="word1", neighbours=5, limit=1)
    assert {item.namespace for item in inside} == {("talk", "below")}
    assert shown(inside) == ["m0 of m1", "m1", "m2 of m1"]


def filters_do_not_hide_neighbours(store: ItemStore) -> None:
    """They say what is found. What cannot be found, or is gone, is another matter: the one is shown, the other is not."""
    _talk(store, 7)
    with FakeClock(BEGIN) as clock:
        clock.advance(hours=1)
        store.put(TALK, "m3", {"text": "nobody finds this"}, index=False)
        store.put(TALK, "m4", {"text": "word4 for a minute"}, ttl=1)
        store.delete(TALK, "m1")
        asked: Any = {"query": "word2", "filter": {"n": 2}, "refresh_ttl": False}

        assert shown(store.search((), neighbours=2, **asked)) == ["m0 of m2", "m2", "m3 of m2", "m4 of m2"]
        clock.advance(minutes=1)
        assert shown(store.search((), neighbours=2, **asked)) == ["m0 of m2", "m2", "m3 of m2", "m5 of m2"]


def reading_a_neighbour_is_reading(store: ItemStore) -> None:
    """Its time begins anew, as that of what was found."""
    with FakeClock(BEGIN) as clock:
        store.put(TALK, "a", {"text": "one"}, ttl=10)
        store.put(TALK, "b", {"text": "two"}, ttl=None)
        clock.advance(minutes=9)
        store.search((), query="two", neighbours=1)
        clock.advance(minutes=9)
        assert shown(store.search((), query="two", neighbours=1)) == ["a of b", "b"]
        clock.advance(minutes=10)
        assert shown(store.search((), query="two", neighbours=1)) == ["b"]


def listings_have_neighbours_too(store: ItemStore) -> None:
    """Around each item listed, in any order; a neighbour's cursor is that of its hit, so that pages go on."""
    _talk(store)

    assert shown(store.search((), filter={"n": 4}, neighbours=1)) == ["m3 of m4", "m4", "m5 of m4"]
    assert shown(store.search((), filter={"n": {"$in": [2, 3, 7]}}, order_by="n", neighbours=1)) == [
        "m1 of m2",
        "m2",
        "m3",
        "m4 of m3",
        "m6 of m7",
        "m7",
        "m8 of m7",
    ]
    for order in (None, "n", "-key"):
        whole = store.search((), order_by=order, filter={"n": {"$nin": [0, 5]}})
        pages: list[SearchItem] = []
        after: str | None = None
        while page := store.search(
            (), order_by=order, filter={"n": {"$nin": [0, 5]}}, neighbours=1, limit=2, after=after
        ):
            pages += [item for item in page if item.neighbour_of is None]
            after = page[-1].cursor
        assert pages == whole


def the_past_has_its_own_neighbours(store: ItemStore) -> None:
    """A view shows what stood there then, as it then was: deleted, replaced and made since."""
    _talk(store, 5)
    with FakeClock(BEGIN) as clock:
        clock.advance(hours=1)
        store.put(TALK, "short", {"text": "short", "n": 5}, ttl=5)
        item = store.get(TALK, "short", refresh_ttl=False)
        assert item is not None
        then = store.at(item.revision or "")
        clock.advance(minutes=6)
        later = store.at(clock.now())
        store.put(TALK, "m5", {"text": "word5"})
        store.put(TALK, "m3", {"text": "changed"})
        store.delete(TALK, "m1")
        store.delete(TALK, "m2")
        clock.advance(minutes=1)
        store.put(TALK, "m2", {"text": "made anew"})
        where: Any = {"filter": {"n": 4}, "neighbours": 3}

        assert shown(store.search((), **where)) == ["m0 of m4", "m3 of m4", "m4", "m5 of m4", "m2 of m4"]
        whole = ["m1 of m4", "m2 of m4", "m3 of m4", "m4"]
        assert shown(then.search((), **where)) == [*whole, "short of m4"]
        assert shown(later.search((), **where)) == whole
        assert then.search((), **where)[2].value == {"text": "word3", "n": 3}
        inside = store.scoped(("users",)).at(clock.now()).search(("ada",), **where)
        assert shown(inside) == ["m0 of m4", "m3 of m4", "m4", "m5 of m4", "m2 of m4"]
        assert inside[0].namespace == TALK[1:]


def neighbours_stay_beside_what_is_ranked_anew(store: ItemStore) -> None:
    """A reranker and diversity move hits; what stands beside them moves along."""
    _talk(store, 7)

    def by_key(query: str, items: list[SearchItem]) -> list[float]:
        assert all(item.neighbour_of is None for item in items), query
        return [-item.value["n"] for item in items]

    ranking = RankBy(rerank=by_key, diversity=0.1)
    found = store.search((), query="word5 word1", rank_by=ranking, neighbours=1, limit=1)
    assert shown(found) == ["m0 of m1", "m1", "m2 of m1"]
    found = store.search((), query="word5 word1", rank_by=ranking, neighbours=1, offset=1)
    assert shown(found) == ["m4 of m5", "m5", "m6 of m5"]


def what_is_no_number_of_neighbours_is_refused(store: ItemStore) -> None:
    """By its name, with a query and without; 0 is none."""
    _talk(store, 3)
    bad: tuple[Any, ...] = (-1, 1.0, True, "1", None)

    for given in bad:
        for query in ("word1", None):
            assert _refused(store, query, given) == "neighbours", given
    assert shown(store.search((), query="word1", neighbours=0)) == ["m1"]
    assert shown(store.search((), query="word1", neighbours=1 << 80)) == ["m0 of m1", "m1", "m2 of m1"]
    assert store.search((), query="word1", neighbours=1, limit=0) == []


def _refused(store: ItemStore, query: str | None, neighbours: Any) -> str | None:
    try:
        store.search((), query=query, neighbours=neighbours)
    except QueryError as error:
        return error.part
    return "nothing"


def a_task_sees_what_the_commit_gives(store: ItemStore) -> None:
    """However time goes on in it: keys that are new, made again, and replaced stand where they will when its step is done."""
    _talk(store, 5)
    seen: list[list[str]] = []

    def node(state: Any, *, store: Any) -> None:
        del state
        for key, act in (
            ("new", "put"),
            ("m1", "delete"),
            ("newer", "put"),
            ("m4", "put"),  # made again: its deletion is kept
            ("m1", "put"),
            ("m3", "put"),  # replaced
            ("new", "delete"),
            ("newest", "put"),
            ("new", "put"),
            ("m4", "put"),
        ):
            clock.advance(seconds=1)
            if act == "put":
                store.put(TALK, key, {"text": f"all {key}", "at": len(seen)})
            else:
                store.delete(TALK, key)
        clock.advance(minutes=1)
        seen.extend(_around_each(store))

    with FakeClock(BEGIN) as clock:
        clock.advance(hours=1)
        store.delete(TALK, "m4")
        clock.advance(minutes=1)
        _in_a_task(store, node)

        assert seen == _around_each(store)
        assert shown(store.search((), query="word0", neighbours=9)) == [
            "m0",
            *(f"{key} of m0" for key in ("m2", "m3", "m1", "m4", "new", "newer", "newest")),
        ]


def _around_each(store: Any) -> list[list[str]]:
    """What stands beside each item: all of it, and the next."""
    size = len(store.search(TALK, limit=99))
    asked: list[dict[str, Any]] = [
        {"order_by": "key", "offset": place, "neighbours": count}
        for place in range(size)
        for count in (1, 99)
    ]
    return [shown(store.search(TALK, limit=1, **options)) for options in asked] + [
        shown(store.search(TALK, query="all", limit=1, offset=place, neighbours=99)) for place in range(size)
    ]


class _State(TypedDict, total=False):
    """Nothing is said in it."""

    said: str


def _in_a_task(store: ItemStore, node: Callable[..., None]) -> None:
    """Runs the function as the one node of a graph with this store."""
    graph = StateGraph(_State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.compile(store=store).invoke({})


async def the_async_face_has_the_same_neighbours(store: ItemStore) -> None:
    """In `asearch`, in batches, before their writes; past a task, too."""
    _talk(store, 4)
    expected = ["m0 of m1", "m1", "m2 of m1"]

    assert shown(await store.asearch((), query="word1", neighbours=1)) == expected
    answers: Any = await store.abatch(
        [
            SearchOp(TALK, {"n": 1}, neighbours=1),
            PutOp(TALK, "m2", None),
            SearchOp(TALK, query="word1", neighbours=1),
        ]
    )
    assert [shown(answers[0]), shown(answers[2])] == [expected, expected]
    assert shown(await store.asearch((), query="word1", neighbours=1)) == ["m0 of m1", "m1", "m3 of m1"]
    direct: Any = store.direct
    assert shown(direct.search((), query="word1", neighbours=1)) == ["m0 of m1", "m1", "m3 of m1"]


NEARBY_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    what_stood_before_and_behind_comes_along,
    every_item_comes_once,
    they_stand_as_they_were_made,
    only_the_own_namespace_has_neighbours,
    filters_do_not_hide_neighbours,
    reading_a_neighbour_is_reading,
    listings_have_neighbours_too,
    the_past_has_its_own_neighbours,
    neighbours_stay_beside_what_is_ranked_anew,
    what_is_no_number_of_neighbours_is_refused,
    a_task_sees_what_the_commit_gives,
)
ASYNC_NEARBY_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (
    the_async_face_has_the_same_neighbours,
)
